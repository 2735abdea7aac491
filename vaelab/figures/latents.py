from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from sklearn.decomposition import PCA

from vaelab.data.dataset import Dataset
from vaelab.distributions import is_diagonal_normal
from vaelab.figures.model_calls import choose, encode, seeded_model
from vaelab.figures.style import SCREEN, SMALL, Page, colours, label_axes, note, plot_figure, subscript
from vaelab.models import VAE

POINTS = 5000
NAMED = 20  # with more labels, their names are not drawn among the points
AXES = 0.7  # approximate width of the axes, as a share of that of the figure
LONGEST = 8  # letters of a name for which there is room among the points
CONTOURS = (1, 2)  # standard deviations of the prior
DARK = "#444444"


def latents(model: VAE, data: Dataset, *, title: str = "", seed: int = 0, page: Page = SCREEN) -> Figure:
    """Draw the posterior means of up to 5,000 images in the latent space, coloured by label.

    The name of a label is also drawn at the median of its points, because not everybody can distinguish ten colours.
    For D = 2 the axes are the dimensions, for D > 2 the first two principal components. For D = 1 each label has a row
    of points. If the prior is a normal with independent dimensions, dashed lines are its contours at one and two
    standard deviations.
    """
    with seeded_model(model, seed):
        indices = choose(data, POINTS)
        means = encode(model, data, indices).numpy()
        normal = normal_prior(model)
    labels = np.zeros(len(indices), int) if data.labels is None else data.labels[indices]
    values, category = np.unique(labels, return_inverse=True)
    names = [data.class_name(value) for value in values]
    palette = np.array(colours(len(names)))

    figure, (ax,) = plot_figure(title or "Posterior means", 1, (6.5, 5.5), page)
    size = float(np.clip(20_000 / len(means), 7, 30))  # points^2
    size *= min(1.0, figure.get_size_inches()[0] / 6.5)
    contours = "" if normal is None else ", and the prior's contours at 1 and 2 standard deviations"
    by_label = "" if data.labels is None else f", coloured by label ({', '.join(names[:NAMED])})"
    figure.set_label(f"Posterior means of {len(means):,} {data.split} images{by_label}{contours}.")
    if model.latent == 1:
        height = category + np.random.default_rng(0).uniform(-0.35, 0.35, len(means))  # so that points do not overlap
        ax.scatter(means[:, 0], height, s=size, c=palette[category], alpha=0.6, linewidths=0)
        ax.set_yticks(range(len(names)), [] if data.labels is None else names)
        for place in [] if normal is None else [normal[0] + times * normal[1] for d in CONTOURS for times in (-d, d)]:
            ax.axvline(place[0], linestyle="--", color=DARK, linewidth=0.8)
        label_axes(
            ax,
            f"z{subscript(1)} (posterior mean)",
            "" if data.labels is None else "label (points spread for legibility)",
        )
        return figure

    seen = projected(means)
    points = seen.points
    label_axes(ax, *seen.axes)
    ax.scatter(points[:, 0], points[:, 1], s=size, c=palette[category], alpha=0.7, linewidths=0)
    ax.set_aspect("equal", adjustable="datalim")
    if normal is not None:
        _contours(ax, *seen.normal(*normal))
    if data.labels is not None:
        _name_labels(figure, ax, points, category, names, palette, page)
    return figure


@dataclass(frozen=True)
class Projection:
    """Points in the plane in which latent vectors are seen.

    Arguments:
        points: [N, 2].
        axes: the names of the two axes.
        across: the directions of the axes in the latent space, [2, D].
        origin: the latent vector at (0, 0), [D].
    """

    points: np.ndarray
    axes: tuple[str, str]
    across: np.ndarray
    origin: np.ndarray

    def normal(self, mean: np.ndarray, stddev: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean [2] and covariance [2, 2] in the plane of a normal with independent dimensions [D]."""
        return self.across @ (mean - self.origin), (self.across * stddev**2) @ self.across.T


def projected(means: np.ndarray) -> Projection:
    """Latent vectors [N, D], D > 1, by their two dimensions, or by the first two principal components for D > 2."""
    latent = means.shape[1]
    if latent == 2 or np.ptp(means, axis=0).max() == 0:  # a collapsed posterior has no principal components
        across, origin = np.eye(latent)[:2], np.zeros(latent)
        axes = f"z{subscript(1)} (posterior mean)", f"z{subscript(2)} (posterior mean)"
    else:
        pca = PCA(n_components=2, svd_solver="full").fit(means)
        across, origin = np.asarray(pca.components_), np.asarray(pca.mean_)
        first, second = (f"{share:.0%} of the variance" for share in pca.explained_variance_ratio_)
        axes = f"first principal component ({first})", f"second principal component ({second})"
    return Projection((means - origin) @ across.T, axes, across, origin)


def normal_prior(model: VAE) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and standard deviation [D] of a normal prior with independent dimensions; None for another prior."""
    prior = model.prior()
    if not is_diagonal_normal(prior):
        return None
    return prior.mean.cpu().double().numpy(), prior.stddev.cpu().double().numpy()


def _contours(ax: Axes, centre: np.ndarray, covariance: np.ndarray) -> None:
    """Draw the ellipses of one and two standard deviations of a normal distribution [2], [2, 2], with their names."""
    major, minor, angle = ellipse(covariance)
    for deviations in CONTOURS:
        sides = 2 * deviations * major, 2 * deviations * minor
        contour = Ellipse(
            (centre[0], centre[1]), *sides, angle=angle, fill=False, linestyle="--", edgecolor=DARK, linewidth=0.8
        )
        ax.add_patch(contour)
        top = (centre[0], centre[1] + deviations * np.sqrt(covariance[1, 1]))
        note(ax, f"prior, {deviations} sd", top, (0, 2), DARK, align="center")


def ellipse(covariance: np.ndarray) -> tuple[float, float, float]:
    """The larger and the smaller half axis at one standard deviation of a normal [2, 2], and its angle in degrees."""
    variances, directions = np.linalg.eigh(covariance)  # the largest last
    angle = np.degrees(np.arctan2(directions[1, 1], directions[0, 1]))
    return float(np.sqrt(variances[1])), float(np.sqrt(variances[0])), float(angle)


def _name_labels(
    figure: Figure,
    ax: Axes,
    points: np.ndarray,
    category: np.ndarray,
    names: list[str],
    palette: np.ndarray,
    page: Page,
) -> None:
    """Write the names of the labels at their points [N, 2], and in a legend with their colours."""
    if len(names) <= NAMED:
        medians = np.array([np.median(points[category == index], axis=0) for index in range(len(names))])
        per_inch = max(np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())) / (AXES * figure.get_size_inches()[0])
        letters = min(max(map(len, names)), LONGEST)
        box = np.array([0.6 * letters + 0.5, 1.1]) * page.heading / 72 * per_inch  # of a name, in units of the axes
        for name, (x, y) in zip(names, box * spread_out(medians / box), strict=True):
            note(ax, name, (x, y), (0, 0), "black", align="center", size=page.heading)
    handles = [
        Line2D([], [], marker="o", markersize=5, linestyle="", color=colour, label=name)
        for name, colour in zip(names, palette, strict=True)
    ]
    figure.legend(
        handles=handles,
        title="label",
        loc="outside right upper",
        ncols=ceil(len(names) / 25),
        fontsize=SMALL,
        title_fontsize=SMALL,
    )


def spread_out(places: np.ndarray) -> np.ndarray:
    """Move places [N, 2] whose distance is below 1 apart, by pairs and by halves: [N, 2]."""
    moved = places.astype(float)
    for _ in range(200):
        for i in range(len(moved)):
            for j in range(i):
                between = moved[i] - moved[j]
                apart = float(np.hypot(*between))
                if apart < 1:
                    way = between / apart if apart > 0 else np.array([1.0, 0.0])
                    moved[i] += way * (1 - apart) / 2
                    moved[j] -= way * (1 - apart) / 2
    return moved
