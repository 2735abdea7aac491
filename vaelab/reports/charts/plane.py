"""Charts with a point for each run: rate against distortion, and the error of reconstructions against z."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

from markupsafe import Markup

from vaelab.evaluation.measure import Metric
from vaelab.reports.charts.axes import BOTTOM, LEFT, RIGHT, TOP, Scale, frame, horizontal, joined, svg, vertical
from vaelab.reports.charts.marks import Point, Series, drawn, key
from vaelab.reports.claims.estimate import NORMAL
from vaelab.reports.context import ReportContext
from vaelab.reports.text import MINUS, latent, number, plus_minus
from vaelab.studies.study import Member

LABELLED = 24  # with more points in a chart, labels would be most of it; the text of each point remains


@dataclass(frozen=True)
class Chart:
    """A chart with its heading, and the key of its colours."""

    title: str
    picture: Markup
    key: Markup


def rate_against_distortion(context: ReportContext) -> list[Chart]:
    """A chart for each data set and protocol. A line goes through the points of a model in the order of their rate.

    So it does not double back where more latent dimensions have no more rate.
    """

    def plane(title: str, members: Sequence[Member]) -> Chart:
        series = _series(context, members, _of_plane, lambda point: point.x)
        points = [point for one in series for point in one.points]
        ends = [(p.x + sign * p.x_half, p.y + sign * p.y_half) for p in points for sign in (-1, 1)]
        x, y = horizontal([end[0] for end in ends]), vertical([end[1] for end in ends])
        axes = frame(x, y, "rate / nats per image", "distortion / nats per image")
        says = f"Rate against distortion on {title}: {len(points)} runs. {_lowest(points)}"
        return Chart(title, svg(says, joined([_diagonals(x, y), axes, drawn(series, x, y)])), key(series))

    return _charts(context, plane)


def error_against_latent(context: ReportContext) -> list[Chart]:
    """The error of reconstructions: a chart for each data set and protocol with several numbers of dimensions."""

    def plane(title: str, members: Sequence[Member]) -> Chart | None:
        numbers = sorted({member.latent for member in members})
        if len(numbers) < 2:
            return None
        series = _series(context, members, _of_error, lambda point: point.x)
        points = [point for one in series for point in one.points]
        x, y = horizontal([log2(of) for of in numbers]), vertical([0.0, *(point.y + point.y_half for point in points)])
        y = Scale(0.0, y.high, y.start, y.end)
        ticks = [(log2(of), str(of)) for of in numbers]
        axes = frame(x, y, "z: latent dimensions", "reconstruction MSE", _apart(ticks, x))
        best = min(points, key=lambda point: point.y)
        says = f"Error of reconstructions against the latent dimensions on {title}. Lowest: {best.says}"
        return Chart(title, svg(says, joined([axes, drawn(series, x, y)])), key(series))

    return _charts(context, plane)


def _charts(context: ReportContext, plane: Callable[[str, Sequence[Member]], Chart | None]) -> list[Chart]:
    blocks = dict[str, list[Member]]()
    for member in context.done:
        blocks.setdefault(f"{member.spec.data}, {member.spec.protocol}", []).append(member)
    return [chart for title, members in blocks.items() if (chart := plane(title, members)) is not None]


def _series(
    context: ReportContext,
    members: Sequence[Member],
    of: Callable[[ReportContext, Member], Point],
    order: Callable[[Point], float],
) -> list[Series]:
    """The points of each model. Its colour is that of its place in the study, so that it is the same in every chart."""
    models = list(dict.fromkeys(context.of_model(member) for member in context.done))
    points = {model: [of(context, m) for m in members if context.of_model(m) == model] for model in models}
    series = [Series(model, i, sorted(points[model], key=order)) for i, model in enumerate(models) if points[model]]
    if sum(len(one.points) for one in series) <= LABELLED:
        return series
    return [Series(o.name, o.index, [_unlabelled(point) for point in o.points]) for o in series]


def _of_plane(context: ReportContext, member: Member) -> Point:
    rate, distortion = member.run.metric("rate"), member.run.metric("distortion")
    bound = number(-member.run.metric("elbo").value, 2)
    says = f"{name_of(context, member)}: rate {_text(rate)}, distortion {_text(distortion)}, {MINUS}ELBO {bound} nats"
    return _at(context, member, (rate.value, rate), (distortion.value, distortion), says)


def _of_error(context: ReportContext, member: Member) -> Point:
    error = member.run.metric("reconstruction_mse")
    says = f"{name_of(context, member)}: reconstruction MSE {_text(error)}"
    return _at(context, member, (log2(member.latent), None), (error.value, error), says)


def _at(
    context: ReportContext, member: Member, x: tuple[float, Metric | None], y: tuple[float, Metric], says: str
) -> Point:
    halves = [NORMAL * (metric.se or 0.0) if metric else 0.0 for _, metric in (x, y)]
    short = latent(member.latent) if x[1] is not None else ""
    return Point(member.label, x[0], y[0], halves[0], halves[1], short, says)


def name_of(context: ReportContext, member: Member) -> str:
    """The model of a run, with its latent dimensions and what else distinguishes it."""
    return f"{member.title}, {context.at(member)}"


def _text(metric: Metric) -> str:
    return plus_minus(metric.value, metric.se)


def _lowest(points: Sequence[Point]) -> str:
    best = min(points, key=lambda point: point.x + point.y)
    return f"Lowest sum: {best.says}."


def _unlabelled(point: Point) -> Point:
    return Point(point.run, point.x, point.y, point.x_half, point.y_half, "", point.says)


def _apart(ticks: Sequence[tuple[float, str]], x: Scale) -> list[tuple[float, str]]:
    """The ticks without those whose texts would be over the text before them."""
    kept = list[tuple[float, str]]()
    for value, text in ticks:
        if not kept or x(value) - x(kept[-1][0]) > 7 * (len(text) + len(kept[-1][1])) / 2 + 4:
            kept.append((value, text))
    return kept


def _diagonals(x: Scale, y: Scale) -> Markup:
    """Lines on which rate + distortion is constant."""
    low, high = x.low + y.low, x.high + y.high
    lines = list[Markup]()
    for bound in Scale(low, high, 0, 1).ticks(8):
        left, right = max(x.low, bound - y.high), min(x.high, bound - y.low)
        if right > left:
            ends = (x(left), y(bound - left), x(right), y(bound - right))
            lines.append(Markup('<path class="equal" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(*ends))
    clip = Markup('<rect class="area" x="{}" y="{}" width="{}" height="{}"/>')
    return joined([clip.format(LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP), *lines])
