"""Learning curves: -ELBO of validation and training images against the epoch."""

from collections.abc import Sequence

from markupsafe import Markup

from vaelab.reports.charts.axes import Scale, frame, horizontal, joined, svg, vertical
from vaelab.reports.charts.marks import colour
from vaelab.reports.charts.plane import Chart, name_of
from vaelab.reports.context import ReportContext
from vaelab.reports.labels import points
from vaelab.reports.text import MINUS, number
from vaelab.studies.study import Member

MOST = 120  # points of a curve: one for each 3 units of the chart
SETTLED = 0.1  # the range of the chart is that of the curves after this share of the epochs
Curve = list[tuple[float, float]]  # epoch and -ELBO


def learning_curves(context: ReportContext) -> list[Chart]:
    """A chart for each group of the study: validation images solid, training images dotted."""
    return [_chart(context, members) for members in context.groups().values() if any(m.run.log for m in members)]


def _chart(context: ReportContext, members: Sequence[Member]) -> Chart:
    curves = {m.label: (_curve(m, "validation"), _curve(m, "train")) for m in members}
    every = [point for pair in curves.values() for curve in pair for point in curve]
    last = max(epoch for epoch, _ in every)
    x = horizontal([0.0, last])
    x = Scale(0.0, last, x.start, x.end)
    y = vertical([value for epoch, value in every if epoch >= SETTLED * last])
    lines, entries = list[Markup](), list[Markup]()
    for index, runs in enumerate(points(list(members))):
        for member in runs:
            lines.append(_lines(context, member, *curves[member.label], index, x, y))
        seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
        entries.append(_entry(f"{context.point(runs[0])}{seeds}", colour(index), "line"))
    entries.append(_entry("validation images", "", "line"))
    entries.append(_entry("training images", "", "line dotted"))
    axes = frame(x, y, "epoch", f"{MINUS}ELBO / nats per image")
    says = f"Learning curves of {members[0].title}: {MINUS}ELBO against the epoch, {len(members)} runs."
    data = " ".join(f"{of:.6g}" for scale in (x, y) for of in (scale.low, scale.high, scale.start, scale.end))
    return Chart(
        members[0].title,
        svg(says, joined([axes, *lines]), data=data),
        Markup('<ul class="key">{}</ul>').format(joined(entries)),
    )


def _curve(member: Member, split: str) -> Curve:
    rows = [row for row in member.run.log if split in row]
    step = max(1, -(-len(rows) // MOST))
    return [(row["epoch"], -row[split]["elbo"]) for row in [*rows[:-1:step], *rows[-1:]]]


def _lines(context: ReportContext, member: Member, held: Curve, train: Curve, index: int, x: Scale, y: Scale) -> Markup:
    said = name_of(context, member)
    if held:
        best = min(held, key=lambda point: point[1])
        said += f": validation {number(best[1], 2)} nats at best, at epoch {number(best[0])}"
    if train:
        said += f", training {number(train[-1][1], 2)} nats at the end"
    shown = [
        Markup('<polyline class="line {}" points="{}" data-of="{}"/>').format(kind, _places(curve, x, y), name)
        for curve, kind, name in ((held, "", "validation"), (train, "dotted", "training"))
        if curve
    ]
    return Markup('<g class="point {}" data-run="{}" role="img" aria-label="{}">{}</g>').format(
        colour(index), member.label, said, joined(shown)
    )


def _places(curve: Curve, x: Scale, y: Scale) -> str:
    """The points of a polyline; values above the chart are at its upper edge, where they are cut off."""
    return " ".join(f"{x(epoch):.1f},{max(y(value), -50.0):.1f}" for epoch, value in curve)


def _entry(text: str, colours: str, kind: str) -> Markup:
    sample = Markup('<svg viewBox="0 0 24 14" class="wide" aria-hidden="true"><path class="{}" d="M1 7H23"/></svg>')
    return Markup('<li class="{}">{}{}</li>').format(colours, sample.format(kind), text)
