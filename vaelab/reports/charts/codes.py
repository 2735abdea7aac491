"""The codes of a run as SVG: a dot for each of some test images, in the colour of its label, and the prior."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from markupsafe import Markup

from vaelab.data.dataset import Dataset
from vaelab.figures.latents import CONTOURS, LONGEST, NAMED, ellipse, normal_prior, projected, spread_out
from vaelab.figures.model_calls import encode
from vaelab.figures.style import colours
from vaelab.models import VAE
from vaelab.reports.charts.axes import joined
from vaelab.reports.text import listed

SIDE = 320  # of the square in which the dots are drawn, in units of the view box and in CSS pixels
MARGIN = 0.05  # of the range of the codes, on each side
BOX = (9.0, 15.0)  # the width of a letter of a name and the height of a name


def codes(model: VAE, data: Dataset, chosen: np.ndarray, name: str) -> tuple[Markup, str]:
    """Draw the posterior means of the images `chosen`, and name the axes; call it in `seeded_model`.

    In two dimensions the axes are those of z, in more the first two principal components, and in one the dots are
    spread upwards. Dashed lines are the prior's contours at one and two standard deviations, if it is a normal.

    Arguments:
        name: of the run, for readers who do not see the picture.
    """
    means = encode(model, data, chosen).numpy()
    labels = np.zeros(len(chosen), int) if data.labels is None else data.labels[chosen]
    values, category = np.unique(labels, return_inverse=True)
    names = [] if data.labels is None or len(values) > NAMED else [data.class_name(value) for value in values]
    if model.latent == 1:
        spread = np.random.default_rng(0).uniform(-1, 1, len(means))
        points, axes, contours = np.column_stack([means[:, 0], spread]), ("z\N{SUBSCRIPT ONE}", ""), Markup("")
        place = _Places(points)
    else:
        seen = projected(means)
        points, axes, normal = seen.points, seen.axes, normal_prior(model)
        place = _Places(points)
        contours = Markup("") if normal is None else _contours(place, *seen.normal(*normal))
    dots = [_dots(place(points[category == i]), colour) for i, colour in enumerate(colours(len(values)))]
    says = f"Codes of {len(chosen)} test images in {name}{f', by label: {listed(names)}' if names else ''}."
    where = f"{axes[0]} to the right" + (f", {axes[1]} upwards" if axes[1] else "")
    content = joined([*dots, contours, _names(place, points, category, names)])
    return Markup(
        '<svg class="codes" viewBox="0 0 {0} {0}" width="{0}" height="{0}" role="img" aria-label="{1}">{2}</svg>'
    ).format(SIDE, says, content), where


class _Places:
    """From points to whole places in the square, with the same scale for both axes: [N, 2] -> [N, 2]."""

    def __init__(self, points: np.ndarray) -> None:
        low, high = points.min(0), points.max(0)
        self.middle = (low + high) / 2
        self.scale = SIDE * (1 - 2 * MARGIN) / (float((high - low).max()) or 1.0)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return SIDE / 2 + (points - self.middle) * self.scale * np.array([1.0, -1.0])


def _dots(places: np.ndarray, colour: str | tuple[float, ...]) -> Markup:
    """Lines of no length with round ends: a few letters for each dot, from one to the next on its right."""
    whole = places.round().astype(int)
    whole = np.unique(whole, axis=0)
    steps = np.diff(whole, axis=0, prepend=np.zeros((1, 2), int))
    path = "".join(f"m{dx}{dy if dy < 0 else f' {dy}'}h0" for dx, dy in steps)
    return Markup('<path stroke="{}" d="{}"/>').format(_hex(colour), path)


def _hex(colour: str | tuple[float, ...]) -> str:
    if isinstance(colour, str):
        return colour
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


def _contours(place: _Places, centre: np.ndarray, covariance: np.ndarray) -> Markup:
    x, y = place(centre[None])[0]
    major, minor, angle = ellipse(covariance)
    shape = Markup('<ellipse rx="{:.1f}" ry="{:.1f}" transform="translate({:.1f} {:.1f}) rotate({:.1f})"/>')
    sizes = [(times * major * place.scale, times * minor * place.scale) for times in CONTOURS]
    return joined(shape.format(*size, x, y, -angle) for size in sizes)


def _names(place: _Places, points: np.ndarray, category: np.ndarray, names: Sequence[str]) -> Markup:
    """The name of each label at the median of its dots; names do not collide."""
    if not names:
        return Markup("")
    medians = place(np.array([np.median(points[category == index], axis=0) for index in range(len(names))]))
    shown = [name if len(name) <= LONGEST + 1 else f"{name[:LONGEST]}\N{HORIZONTAL ELLIPSIS}" for name in names]
    box = np.array([BOX[0] * max(map(len, shown)) + 4, BOX[1]])
    places = box * spread_out(medians / box)
    text = Markup('<text x="{}" y="{}">{}</text>')
    return joined(text.format(ceil(x), ceil(y), name) for name, (x, y) in zip(shown, places, strict=True))
