"""Figures: pure functions of (model, data, seed), or of numbers, that return a matplotlib Figure."""

import inspect
import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaelab.figures.curves import curves as curves
from vaelab.figures.interpolation import interpolation
from vaelab.figures.latents import latents
from vaelab.figures.manifold import manifold
from vaelab.figures.rate_distortion import rate_distortion as rate_distortion
from vaelab.figures.reconstructions import reconstructions
from vaelab.figures.samples import samples
from vaelab.figures.style import DPI, one_look
from vaelab.figures.traversal import traversal
from vaelab.parts import contracts
from vaelab.system.files import write_atomically

FIGURES: dict[str, contracts.Figure] = {
    "interpolation": interpolation,
    "latents": latents,
    "manifold": manifold,
    "reconstructions": reconstructions,
    "samples": samples,
    "traversal": traversal,
}


def needs_data(picture: contracts.Figure) -> bool:
    """Whether a picture is of test images; one whose second argument defaults to None is of the model alone."""
    return list(inspect.signature(picture).parameters.values())[1].default is not None


def save(figure: Figure, path: Path, dpi: float = DPI) -> None:
    """Write a figure as PNG, atomically. Equal figures give equal bytes: the file has no date and no version.

    Arguments:
        figure: the figure to draw.
        path: the file to write; its folder exists.
        dpi: dots per inch. At 150, the default, every pixel of an image grid is a whole number of dots.
    """
    buffer = io.BytesIO()
    with one_look():
        FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=dpi, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
