"""One style for all figures: pages, colours, fonts. It is set on the objects, never in matplotlib's global settings."""

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

DPI = 150  # dots per inch for the layout of figures, and the default for saving them
HEADING, TEXT, SMALL = 11, 9, 7.5  # font sizes in points
PRINT = 7  # font size in points of a figure whose width is given: that of the figures in papers
PANEL = 2.0  # the smallest width in inches of a panel of a plot, where the width is given
FLAT = 0.6
FAINT = "#9a9a9a"

# Ten colours whose smallest difference (CIEDE2000) is 23.6 for normal vision and 15.6 for protanopia, deuteranopia and
# tritanopia, found by a search. tests/figures/test_palette.py computes both.
PALETTE = (
    "#056d97", "#ffba00", "#b72047", "#61d89d", "#040eb1", "#b698cc", "#fb3b06", "#612200", "#b422fc", "#6b8c7e",
)  # fmt: skip
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
MARKERS = "osD^vPX<>*"
LOOK = {
    "text.parse_math": False,
    "pdf.fonttype": 42,  # text is text, in a font that editors can use
    "svg.fonttype": "none",  # text is text
    "svg.hashsalt": "vaelab",  # equal figures have equal names inside the file
}


@dataclass(frozen=True)
class Page:
    """The page that a figure is drawn for: a screen by default; with a width, a column of a paper.

    Arguments:
        width: of the figure in inches, with all fonts of 7 points; None: each figure has its own width and fonts.
        dpi: the smallest number of dots per inch. A grid of images takes more, up to twice as many, so that every pixel
            of an image covers a whole number of dots.
    """

    width: float | None = None
    dpi: float = DPI

    @property
    def heading(self) -> float:
        """Font size of the title in points."""
        return HEADING if self.width is None else PRINT

    @property
    def small(self) -> float:
        """Font size of ticks and captions in points."""
        return SMALL if self.width is None else PRINT


SCREEN = Page()


def typeset(figure: Figure, page: Page) -> None:
    """Give a figure the width and the fonts of the page, if the page has a width; the proportions stay."""
    if page.width is None:
        return
    width, height = figure.get_size_inches()
    figure.set_size_inches(page.width, height * page.width / width)
    for ax in figure.axes:
        ax.tick_params(labelsize=PRINT)
    for text in figure.findobj(Text):
        text.set_fontsize(PRINT)


@contextmanager
def one_look() -> Iterator[None]:
    """A context with matplotlib's own defaults, which ignores a matplotlibrc and draws a "$" in a name as "$"."""
    with style.context(["default", LOOK]), warnings.catch_warnings():
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


def plot_figure(
    title: str, panels: int, panel_size: tuple[float, float], page: Page = SCREEN
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a heading and `panels` axes of the proportions of `panel_size` = (width, height) inches.

    On a screen they have that size and stand in one row. On a page with a width there are as many in a row as fit.
    """
    width, height = panel_size
    columns = panels
    if page.width is not None:
        columns = max(1, min(panels, int(page.width / PANEL)))
        flat = FLAT if columns < panels else 1.0  # panels below each other would make a tall figure
        width, height = page.width / columns, flat * height * page.width / columns / width
    rows = ceil(panels / columns)
    figure = Figure(figsize=(columns * width, rows * height), dpi=page.dpi, layout="constrained")
    figure.suptitle(wrapped(title, columns * width, page.heading), fontsize=page.heading)
    axes = [figure.add_subplot(rows, columns, 1 + i) for i in range(panels)]
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
    ax: Axes,
    text: str,
    place: tuple[float, float],
    offset: tuple[float, float],
    colour: str,
    align: str = "left",
    size: float = SMALL,
) -> None:
    """Draw small text `offset` points from a place, with a white outline, so that it is readable on other marks."""
    ax.annotate(
        text,
        place,
        offset,
        textcoords="offset points",
        fontsize=size,
        color=colour,
        ha=align,
        path_effects=[withStroke(linewidth=2, foreground="white")],
        zorder=5,
    )
