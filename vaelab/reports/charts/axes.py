"""Scales, ticks and the frame of a chart. Lengths are in units of its view box, about one CSS pixel each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

from markupsafe import Markup

from vaelab.reports.text import number

WIDTH, HEIGHT = 420.0, 310.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 410.0, 14.0, 266.0  # of the area of the marks
MARGIN = 0.08  # of the range of the data, on each side


@dataclass(frozen=True)
class Scale:
    """A linear map from values [low, high] to places [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values in the range, 1, 2 or 5 times a power of ten apart."""
        step = _round_step((self.high - self.low) / about)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def horizontal(values: Sequence[float]) -> Scale:
    return Scale(*_range(values), LEFT, RIGHT)


def vertical(values: Sequence[float]) -> Scale:
    return Scale(*_range(values), BOTTOM, TOP)


def frame(x: Scale, y: Scale, x_name: str, y_name: str, x_ticks: Sequence[tuple[float, str]] = ()) -> Markup:
    """The grid of horizontal lines, ticks and names of the axes.

    Arguments:
        x_ticks: place in the units of `x`, and text; by default round numbers.
    """
    parts = list[Markup]()
    for value, text in labelled(y.ticks()):
        place = f"{y(value):.1f}"
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT, place, RIGHT))
        parts.append(Markup('<text class="tick end" x="{}" y="{}" dy=".32em">{}</text>').format(LEFT - 6, place, text))
    for value, text in x_ticks or labelled(x.ticks()):
        parts.append(Markup('<path class="grid" d="M{:.1f} {}v5"/>').format(x(value), BOTTOM))
        parts.append(
            Markup('<text class="tick middle" x="{:.1f}" y="{}">{}</text>').format(x(value), BOTTOM + 18, text)
        )
    middle = (LEFT + RIGHT) / 2
    parts.append(Markup('<path class="axis" d="M{} {}V{}H{}"/>').format(LEFT, TOP, BOTTOM, RIGHT))
    parts.append(Markup('<text class="name middle" x="{}" y="{}">{}</text>').format(middle, HEIGHT - 8, x_name))
    parts.append(
        Markup('<text class="name middle" transform="translate(12 {}) rotate(-90)">{}</text>').format(
            (TOP + BOTTOM) / 2, y_name
        )
    )
    return joined(parts)


def svg(title: str, content: Markup, height: float = HEIGHT, data: str = "") -> Markup:
    """The element of a chart; `title` says what is seen.

    Arguments:
        data: what the page's program must know to read values from a place, as text.
    """
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="group" aria-label="{}" data-axes="{}">{}</svg>').format(
        f"{WIDTH:g}", f"{height:g}", title, data, content
    )


def labelled(values: Sequence[float]) -> list[tuple[float, str]]:
    """Values with texts of equally many decimals, as many as their steps need."""
    step = min((b - a for a, b in pairwise(values)), default=1.0)
    decimals = max(0, -floor(log10(step) + 1e-9))
    return [(value, number(value, decimals)) for value in values]


def joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    more = MARGIN * (high - low) or abs(high) / 10 or 1.0
    return low - more, high + more


def _round_step(step: float) -> float:
    power = 10.0 ** floor(log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
