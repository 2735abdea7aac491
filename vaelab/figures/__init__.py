"""Figures: pure functions of (model, data, seed), or of numbers, that return a matplotlib Figure."""

import inspect
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaelab.figures.curves import curves as curves
from vaelab.figures.interpolation import interpolation
from vaelab.figures.latents import latents
from vaelab.figures.manifold import manifold
from vaelab.figures.rate_distortion import rate_distortion as rate_distortion
from vaelab.figures.reconstructions import reconstructions
from vaelab.figures.samples import samples
from vaelab.figures.style import SCREEN, Page, one_look
from vaelab.figures.traversal import traversal
from vaelab.models import VAE
from vaelab.parts import contracts
from vaelab.system.files import write_atomically


class PagedFigure(contracts.Figure, Protocol):
    """A figure that is laid out for a page."""

    def __call__(self, model: VAE, data: Any, /, *, title: str, seed: int, page: Page = SCREEN) -> Figure: ...


FIGURES: dict[str, PagedFigure] = {
    "interpolation": interpolation,
    "latents": latents,
    "manifold": manifold,
    "reconstructions": reconstructions,
    "samples": samples,
    "traversal": traversal,
}


def needs_data(picture: contracts.Figure) -> bool:
    """Whether a figure needs test images. If its second argument defaults to None, it needs only the model."""
    return list(inspect.signature(picture).parameters.values())[1].default is not None


FORMATS: dict[str, dict[str, None]] = {  # the formats of `save` -> what matplotlib would write about itself
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None, "Format": None, "Type": None},
}
DESCRIPTION = {"png": "Description", "pdf": "Title", "svg": "Title"}  # where each format keeps what is seen


def save(figure: Figure, path: Path, dpi: float | None = None) -> None:
    """Write a figure, atomically. Equal figures give equal bytes: the file has no date and no version.

    In PDF and SVG, texts are text and lines are lines; images are made of dots. The label of the figure, which says
    what is seen, becomes the description in the file.

    Arguments:
        figure: the figure to draw.
        path: the file to write; its folder exists. Its suffix is one of FORMATS.
        dpi: dots per inch; by default those of the figure, at which every pixel of an image grid is whole dots.
    """
    buffer, kind = io.BytesIO(), path.suffix[1:]
    about = {**FORMATS[kind], **({DESCRIPTION[kind]: label} if (label := str(figure.get_label())) else {})}
    with one_look(), _without_date():
        FigureCanvasAgg(figure).print_figure(buffer, format=kind, dpi=dpi or figure.dpi, metadata=about)
    write_atomically(path, buffer.getvalue())


@contextmanager
def _without_date() -> Iterator[None]:
    """A context without SOURCE_DATE_EPOCH: matplotlib reads it although no date is written, and may raise."""
    before = os.environ.pop("SOURCE_DATE_EPOCH", None)
    try:
        yield
    finally:
        if before is not None:
            os.environ["SOURCE_DATE_EPOCH"] = before
