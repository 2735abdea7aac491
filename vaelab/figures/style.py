"""One style for all figures: sizes, colours, fonts. It is set on the objects, never in matplotlib's global settings."""

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

DPI = 150  # dots per inch for the layout of figures, and the default for saving them
HEADING, TEXT, SMALL = 11, 9, 7.5  # font sizes in points
FAINT = "#9a9a9a"

# Ten colours whose smallest difference (CIEDE2000) is 23.6 for normal vision and 15.6 for protanopia, deuteranopia and
# tritanopia, found by a search. tests/figures/test_palette.py computes both.
PALETTE = (
    "#056d97", "#ffba00", "#b72047", "#61d89d", "#040eb1", "#b698cc", "#fb3b06", "#612200", "#b422fc", "#6b8c7e",
)  # fmt: skip
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
MARKERS = "osD^vPX<>*"


@contextmanager
def one_look() -> Iterator[None]:
    """A context with matplotlib's own defaults, which ignores a matplotlibrc and draws a "$" in a name as "$"."""
    with style.context(["default", {"text.parse_math": False}]), warnings.catch_warnings():
        for said in ("Glyph .* missing from", "constrained_layout not applied"):  # for long names and other scripts
            warnings.filterwarnings("ignore", said, UserWarning)
        yield


def subscript(number: int) -> str:
    """1 -> "₁"."""
    return str(number).translate(SUBSCRIPTS)


def colours(count: int) -> list[str] | list[tuple[float, float, float, float]]:
    """Return `count` colours for categories: the first of the palette, or even steps of viridis if it has too few."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return [colormaps["viridis"](i / (count - 1)) for i in range(count)]


def wrapped(text: str, inches: float, size: float) -> str:
    """Break `text` into lines that fit `inches` at font size `size` (a letter is about 0.6 times that size wide)."""
    return "\n".join(textwrap.wrap(text, max(8, int(72 * inches / (0.6 * size)))))


def plot_figure(title: str, panels: int, panel_size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make a figure with a heading and one row of `panels` axes, each of `panel_size` = (width, height) inches."""
    width, height = panel_size
    figure = Figure(figsize=(panels * width, height), dpi=DPI, layout="constrained")
    figure.suptitle(wrapped(title, panels * width, HEADING), fontsize=HEADING)
    axes = [figure.add_subplot(1, panels, 1 + i) for i in range(panels)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=SMALL)
        ax.grid(color="#e6e6e6", linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def label_axes(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Set the texts of one axes; x and y name the quantity and its unit."""
    ax.set_xlabel(x, fontsize=TEXT)
    ax.set_ylabel(y, fontsize=TEXT)
    ax.set_title(title, fontsize=TEXT)


def note(
    ax: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], colour: str, align: str = "left"
) -> None:
    """Draw small text `offset` points from a place, with a white outline, so that it is readable on other marks."""
    ax.annotate(
        text,
        place,
        offset,
        textcoords="offset points",
        fontsize=SMALL,
        color=colour,
        ha=align,
        path_effects=[withStroke(linewidth=2, foreground="white")],
        zorder=5,
    )
