"""Charts of paired differences: how far each run is behind the best of its block, with the 95 % interval."""

from collections.abc import Sequence
from textwrap import shorten

from markupsafe import Markup

from vaelab.reports.charts.axes import RIGHT, TOP, WIDTH, Scale, joined, labelled, svg
from vaelab.reports.charts.marks import colour, shape
from vaelab.reports.charts.plane import Chart, name_of
from vaelab.reports.context import ReportContext
from vaelab.reports.differences import Block, Differences
from vaelab.reports.text import number, plus_minus
from vaelab.studies.study import Member

MOST = 24  # runs in a chart, the best ones
LETTERS = 62  # of a name, as many as are beside each other in the chart
ROW = 30.0  # the height of the row of a run: its name, and below it the difference
START = 12.0  # the left edge of the differences
BAR = Markup(
    '<path class="bars" d="M{:.1f} {:.1f}H{:.1f}"/><path class="dot" transform="translate({:.1f} {:.1f})" d="{}"/>'
)


def gap_charts(context: ReportContext, blocks: Sequence[Block]) -> list[Chart]:
    """A chart for each block that has two comparable runs: NLL, or -ELBO where the NLLs are not comparable."""
    charts = list[Chart]()
    for block in blocks:
        for name in ("nll", "elbo"):
            metric = block.metrics.get(name)
            if metric is not None and metric.halves and (order := _comparable(metric)):
                charts.append(_chart(context, block.title, block.members, metric, order))
                break
    return charts


def _comparable(metric: Differences) -> list[int]:
    """The runs of the largest kind, the best first; empty if it is a single run."""
    usual = max(dict.fromkeys(metric.kinds), key=metric.kinds.count)
    order = [i for i, kind in enumerate(metric.kinds) if kind == usual]
    return sorted(order, key=lambda i: metric.values[i])[:MOST] if len(order) > 1 else []


def _chart(context: ReportContext, title: str, members: list[Member], metric: Differences, order: list[int]) -> Chart:
    models = list(dict.fromkeys(context.of_model(member) for member in context.done))
    best = order[0]
    gaps = [metric.values[i] - metric.values[best] for i in order]
    halves = [0.0 if i == best else metric.halves[max(i, best)][min(i, best)] or 0.0 for i in order]
    ends = [gap + sign * half for gap, half in zip(gaps, halves, strict=True) for sign in (-1, 1)]
    widest = max(ends) - min(0.0, *ends)
    x = Scale(min(0.0, *ends) - 0.02 * widest, max(ends) + 0.04 * widest, START, RIGHT)
    height = TOP + ROW * len(order)
    parts = [_grid(x, height)]
    for row, (i, gap, half) in enumerate(zip(order, gaps, halves, strict=True)):
        index, name = models.index(context.of_model(members[i])), name_of(context, members[i])
        says = f"{name}: {metric.name} {number(metric.values[i], 2)} nats, "
        says += "the lowest" if i == best else f"{plus_minus(gap, half)} nats above the lowest"
        middle = TOP + ROW * row + 20
        places = (x(gap - half), middle, x(gap + half), x(gap), middle)
        parts.append(
            Markup('<g class="point {}" data-run="{}" role="img" aria-label="{}">{}{}</g>').format(
                colour(index),
                members[i].label,
                says,
                Markup('<text class="row" x="{:.1f}" y="{:.1f}">{}</text>').format(
                    x(0.0) + 8, middle - 9, shorten(name, LETTERS, placeholder=" …")
                ),
                BAR.format(*places, shape(index)),
            )
        )
    axis = f"{metric.name} above the lowest / nats per image"
    parts.append(Markup('<text class="name middle" x="{}" y="{}">{}</text>').format(WIDTH / 2, height + 38, axis))
    says = f"{metric.name} of {len(order)} runs on {title}, as the difference from the lowest."
    return Chart(title, svg(says, joined(parts), height + 46), Markup(""))


def _grid(x: Scale, height: float) -> Markup:
    parts = list[Markup]()
    for value, text in labelled(x.ticks()):
        parts.append(Markup('<path class="grid" d="M{:.1f} {}V{}"/>').format(x(value), TOP, height))
        parts.append(
            Markup('<text class="tick middle" x="{:.1f}" y="{}">{}</text>').format(x(value), height + 16, text)
        )
    parts.append(Markup('<path class="axis" d="M{:.1f} {}V{}"/>').format(x(0.0), TOP, height))
    return joined(parts)
