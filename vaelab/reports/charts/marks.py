"""The marks of a chart: points with their errors, lines, the key of their colours, and labels that do not collide."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from vaelab.reports.charts.axes import BOTTOM, LEFT, RIGHT, TOP, Scale, joined

Box = tuple[float, float, float, float]  # left, top, right, bottom
COLOURS = 8  # classes s0 to s7 of the style sheet
SHAPES = (  # each has about the same area, around the origin
    "M4.4 0A4.4 4.4 0 1 1 -4.4 0A4.4 4.4 0 1 1 4.4 0Z",
    "M-4 -4H4V4H-4Z",
    "M0 -5.6L5.6 0L0 5.6L-5.6 0Z",
    "M0 -5.2L5.2 4H-5.2Z",
    "M0 5.2L5.2 -4H-5.2Z",
    "M-1.7 -5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    "M-5 -2.6L0 -5.4L5 -2.6V2.6L0 5.4L-5 2.6Z",
)
LETTER, LINE = 6.3, 12.0  # the width of a letter and the height of a line of a label, a little more than they need
STEPS = 60  # places on a line or bar that a label should not hide
CLOSE = 5.5  # half the side of the square that a point covers


@dataclass(frozen=True)
class Point:
    """One run in the plane of a chart."""

    run: str  # its label in the comparison table
    x: float
    y: float
    x_half: float  # half the width of the interval; 0 if it is not known
    y_half: float
    short: str  # beside the point
    says: str  # what a reader hears and sees who goes to the point


@dataclass(frozen=True)
class Series:
    """Points of one model, in the order in which a line goes through them."""

    name: str
    index: int  # of its colour and its shape
    points: list[Point]


def colour(index: int) -> str:
    """The class of a colour."""
    return f"s{index % COLOURS}"


def shape(index: int) -> str:
    return SHAPES[(index + index // COLOURS) % len(SHAPES)]


def drawn(series: Sequence[Series], x: Scale, y: Scale) -> Markup:
    """Lines, then errors and points with their labels."""
    every = [(one, point) for one in series for point in one.points]
    texts = [(x(point.x), y(point.y), point.short) for _, point in every]
    strokes = [stroke for one in series for stroke in _strokes(one, x, y)]
    lines = [_line(one, x, y) for one in series if len(one.points) > 1]
    labels = placed(texts, strokes)
    points = [_point(one, point, x, y, label) for (one, point), label in zip(every, labels, strict=True)]
    return joined(lines + points)


def key(series: Sequence[Series]) -> Markup:
    """The names of the series with their marks."""
    entry = Markup(
        '<li class="{}"><svg viewBox="-7 -7 14 14" aria-hidden="true"><path class="dot" d="{}"/></svg>{}</li>'
    )
    items = {one.name: entry.format(colour(one.index), shape(one.index), one.name) for one in series}
    return Markup('<ul class="key">{}</ul>').format(joined(items.values()))


def placed(
    texts: Sequence[tuple[float, float, str]], strokes: Sequence[tuple[float, float]] = ()
) -> list[tuple[float, float, str] | None]:
    """A place for the label of each point: x and y of its middle and the text; None where every place is taken.

    A label is beside its point on one of eight sides, where it hides least of the strokes. It covers no point, no other
    label and nothing outside the chart.

    Arguments:
        texts: x and y of each point, with the text of its label.
        strokes: places on lines and bars, a few units apart.
    """
    taken = [(x - CLOSE, y - CLOSE, x + CLOSE, y + CLOSE) for x, y, _ in texts]
    found = list[tuple[float, float, str] | None]()
    for x, y, text in texts:
        free = [box for box in _beside(x, y, LETTER * len(text)) if not any(_overlap(box, other) for other in taken)]
        if not free or not text:
            found.append(None)
            continue
        best = min(free, key=lambda box: sum(_overlap(box, (*place, *place)) for place in strokes))
        taken.append(best)
        found.append(((best[0] + best[2]) / 2, (best[1] + best[3]) / 2, text))
    return found


def _beside(x: float, y: float, width: float) -> list[Box]:
    """The boxes on eight sides of a point that are inside the chart, the best side first."""
    across, down = CLOSE + 2 + width / 2, CLOSE + 1 + LINE / 2
    sides = [(across, 0), (0, -down), (-across, 0), (0, down)]
    sides += [(across, -down), (-across, -down), (across, down), (-across, down)]
    boxes = [(x + dx - width / 2, y + dy - LINE / 2, x + dx + width / 2, y + dy + LINE / 2) for dx, dy in sides]
    return [box for box in boxes if _inside(box)]


def _strokes(one: Series, x: Scale, y: Scale) -> list[tuple[float, float]]:
    """Places on the line of a series and on its bars."""
    ends = [((x(a.x), y(a.y)), (x(b.x), y(b.y))) for a, b in pairwise(one.points)]
    for p in one.points:
        ends.append(((x(p.x - p.x_half), y(p.y)), (x(p.x + p.x_half), y(p.y))))
        ends.append(((x(p.x), y(p.y - p.y_half)), (x(p.x), y(p.y + p.y_half))))
    steps = [i / STEPS for i in range(STEPS + 1)]
    return [(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])) for a, b in ends for t in steps]


def _line(one: Series, x: Scale, y: Scale) -> Markup:
    places = " ".join(f"{x(point.x):.1f},{y(point.y):.1f}" for point in one.points)
    return Markup('<polyline class="line {}" points="{}"/>').format(colour(one.index), places)


def _point(one: Series, point: Point, x: Scale, y: Scale, label: tuple[float, float, str] | None) -> Markup:
    px, py = x(point.x), y(point.y)
    bars = ""
    if point.x_half:
        bars += f"M{x(point.x - point.x_half):.1f} {py:.1f}H{x(point.x + point.x_half):.1f}"
    if point.y_half:
        bars += f"M{px:.1f} {y(point.y - point.y_half):.1f}V{y(point.y + point.y_half):.1f}"
    text = Markup("")
    if label is not None:
        text = Markup('<text class="label middle" x="{:.1f}" y="{:.1f}" dy=".32em">{}</text>').format(*label)
    return Markup(
        '<g class="point {}" data-run="{}" role="img" aria-label="{}"><path class="bars" d="{}"/>'
        '<path class="dot" transform="translate({:.1f} {:.1f})" d="{}"/>{}</g>'
    ).format(colour(one.index), point.run, point.says, bars, px, py, shape(one.index), text)


def _inside(box: Box) -> bool:
    return box[0] >= LEFT and box[1] >= TOP - 8 and box[2] <= RIGHT + 8 and box[3] <= BOTTOM


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
