"""The figures of a report: drawn, written next to it as PNG files, and inlined with as few bytes as they need."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Drawing
from PIL import Image

from vaelab.figures import rate_distortion, save
from vaelab.figures.panels import data_panel, manifold_panel, reconstruction_panel, sample_panel
from vaelab.figures.style import SMALL, colours, label_axes, plot_figure
from vaelab.randomness.seeds import derive
from vaelab.reports.context import ReportContext
from vaelab.reports.labels import points
from vaelab.reports.text import MINUS, latent
from vaelab.studies.study import Member
from vaelab.studies.study_file import Figure, Panel

IMAGES = 36  # in a panel, 6 x 6
LARGE = 30_000  # bytes of an image that is compressed without loss, above which its pixels are not kept exactly
QUALITY = 75  # of WebP with loss: on pictures of SVHN a pixel differs by 2 to 5 of 256 levels on average
BESIDE = 6  # the largest number of panels in a row


@dataclass(frozen=True)
class Picture:
    """A PNG file of the report."""

    path: Path
    alt: str

    @property
    def inline(self) -> str:
        """Its pixels as a data URI."""
        with Image.open(self.path) as image:
            return as_uri(image)

    @property
    def link(self) -> str:
        """Its path, relative to the folder of the report."""
        return f"{self.path.parent.name}/{self.path.name}"


@dataclass(frozen=True)
class Shown:
    """One panel as the report shows it; it has no picture if its run is not done."""

    key: str  # "3c"
    letter: str
    says: str  # what it shows
    ours: bool
    picture: Picture | None
    wants_samples: bool
    samples: Picture | None  # samples of the prior of the same run, if wanted


@dataclass(frozen=True)
class ShownFigure:
    """A figure of the article, panel by panel."""

    number: str
    title: str
    caption: str
    wide: bool  # whether its panels need a large width, as manifolds do
    columns: int  # number of panels in a row on a wide page
    panels: list[Shown]


def as_uri(image: Image.Image, lossless: int = LARGE) -> str:
    """An image as a data URI: PNG or lossless WebP, whichever is smaller, or WebP of quality 75 if that would be large.

    Arguments:
        lossless: the largest number of bytes of an image whose pixels are kept exactly.
    """
    image = image.convert("RGB") if image.mode not in ("L", "RGB") else image
    pixels = np.asarray(image)
    if image.mode == "RGB" and (pixels == pixels[..., :1]).all():
        image = image.convert("L")
    found = dict[str, bytes]()
    for kind, options in (("png", {"optimize": True}), ("webp", {"lossless": True, "quality": 75, "method": 2})):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        found[kind] = buffer.getvalue()
    kind = min(found, key=lambda kind: len(found[kind]))
    if len(found[kind]) > lossless:
        buffer, kind = io.BytesIO(), "webp"
        image.save(buffer, kind, quality=QUALITY)
        found[kind] = buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(found[kind]).decode()}"


def render(drawing: Drawing, folder: Path, name: str, alt: str) -> Picture:
    """Write `drawing` as folder/name.png."""
    save(drawing, folder / f"{name}.png")
    return Picture(folder / f"{name}.png", alt)


def figures(context: ReportContext, folder: Path) -> list[ShownFigure]:
    """Draw every figure of the study and write its pictures to `folder`."""
    return [_figure(context, figure, folder) for figure in context.study.figures]


def rate_distortion_plot(context: ReportContext, folder: Path) -> Picture | None:
    """Draw rate against distortion of every run; None if no run is done."""
    if not context.done:
        return None
    return render(rate_distortion(_points(context)), folder, "rate-distortion", "Rate against distortion of every run")


def learning_curves(context: ReportContext, folder: Path) -> list[Picture]:
    """Draw -ELBO against the epoch, for each group: validation solid, training dotted, seeds in one colour."""
    return [
        render(_curves(context, members), folder, f"learning-{name}", f"Learning curves of {members[0].title}")
        for name, members in context.groups().items()
    ]


def _curves(context: ReportContext, members: list[Member]) -> Drawing:
    drawing, (ax,) = plot_figure(members[0].title, 1, (5.0, 3.4))
    models = points(members)
    for colour, runs in zip(colours(len(models)), models, strict=True):
        for log in (member.run.log for member in runs):
            held = [row for row in log if "validation" in row]
            ax.plot([row["epoch"] for row in log], [-row["train"]["elbo"] for row in log], ":", color=colour)
            ax.plot([row["epoch"] for row in held], [-row["validation"]["elbo"] for row in held], color=colour)
        seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
        ax.plot([], [], color=colour, label=context.point(runs[0]) + seeds)
    label_axes(ax, "epoch", f"{MINUS}ELBO / nats per image")
    ax.legend(fontsize=SMALL, frameon=False)
    return drawing


def _points(context: ReportContext) -> list[dict[str, object]]:
    points = list[dict[str, object]]()
    for member in context.done:
        rate, distortion = member.run.metric("rate"), member.run.metric("distortion")
        points.append(
            {
                "panel": f"{member.spec.data}, {member.spec.protocol}",
                "group": context.of_model(member),
                "latent": member.latent,
                "rate": rate.value,
                "rate_se": rate.se or 0.0,
                "distortion": distortion.value,
                "distortion_se": distortion.se or 0.0,
            }
        )
    return points


def _figure(context: ReportContext, figure: Figure, folder: Path) -> ShownFigure:
    shown = {panel.show for panel in figure.panels}
    caption = " ".join(CAPTIONS[kind] for kind in CAPTIONS if kind in shown)
    if any(panel.ours for panel in figure.panels):
        caption += " Panels with the mark ours are not in the article."
    panels = [_panel(context, figure.number, panel, folder) for panel in figure.panels]
    wide, count = "manifold" in shown, len(panels)
    columns = min(count, BESIDE) if not wide else 2 if count in (2, 4) else 3
    return ShownFigure(figure.number, figure.title, caption, wide, columns, panels)


CAPTIONS = {
    "data": "The first panel shows test images. Every panel has the same images in the same places.",
    "reconstructions": "Reconstructions are the decoder's mean, averaged over 32 samples of z from the encoder's "
    "posterior of each image. Below each panel: samples of the same run, the decoder's means for z drawn from the "
    "prior.",
    "samples": "Samples of the model: the decoder's means for z drawn from the prior. Panels with the same prior have "
    "the same z.",
    "manifold": "Each image is the decoder's mean at one z of a 20 x 20 grid. The cells of the grid have equal "
    "probability: its coordinates are quantiles of the Gaussian distribution.",
}


SEEN = {  # what a panel shows, for those who do not see it
    "data": f"A square of {IMAGES} test images, the originals of the reconstructions beside it",
    "reconstructions": f"A square of {IMAGES} reconstructions of the same test images by {{}}",
    "samples": f"A square of {IMAGES} images that {{}} draws for z from the prior",
    "manifold": "A square of 20 by 20 images that {} draws at a grid of places z: they change little by little from "
    "one corner to the others",
}


def _panel(context: ReportContext, number: str, panel: Panel, folder: Path) -> Shown:
    key = f"{number}{panel.letter}"
    member = _member(context, panel)
    says = {
        "data": "test images",
        "reconstructions": latent(panel.latent) if member is None else context.at(member),
        "samples": _of_group(context, panel),
        "manifold": _of_group(context, panel),
    }[panel.show]
    picture = samples = None
    if member is not None and member.run.done:
        alt = SEEN[panel.show].format(f"{member.title}, {latent(panel.latent)}")
        picture = render(_drawing(context, member, panel.show), folder, f"figure-{key}", alt)
        if panel.show == "reconstructions":
            drawing = sample_panel(context.model(member), count=IMAGES, seed=member.seed)
            samples = render(
                drawing,
                folder,
                f"figure-{key}-prior",
                SEEN["samples"].format(f"{member.title}, {latent(panel.latent)}"),
            )
    return Shown(key, panel.letter, says, panel.ours, picture, panel.show == "reconstructions", samples)


def _member(context: ReportContext, panel: Panel) -> Member | None:
    """The run of a panel: the first of its group with this number of latent dimensions."""
    own = [m for m in context.study.members if (m.group, m.latent) == (panel.group, panel.latent)]
    return own[0] if own else None


def _of_group(context: ReportContext, panel: Panel) -> str:
    """The label of a panel that shows one run of a group, with what distinguishes this run from the others."""
    member = _member(context, panel)
    if member is None:
        return panel.group
    alike = [m for m in context.study.members if (m.group, m.latent) == (panel.group, panel.latent)]
    return ", ".join(filter(None, [context.of_model(member), f"seed {member.seed}" if len(alike) > 1 else ""]))


def _drawing(context: ReportContext, member: Member, show: str) -> Drawing:
    if show == "manifold":
        return manifold_panel(context.model(member))
    if show == "samples":
        return sample_panel(context.model(member), count=IMAGES, seed=member.seed)
    test = context.data(member).test
    chosen = np.random.default_rng(derive(0, "figures")).permutation(len(test))[:IMAGES]
    if show == "data":
        return data_panel(test.images[chosen])
    return reconstruction_panel(context.model(member), test, chosen, seed=member.seed)
