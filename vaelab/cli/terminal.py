"""What the commands print: progress (a bar in a terminal, lines elsewhere), tables and facts."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.segment import Segment
from rich.table import Table

from vaelab.evaluation.measure import FEW_EFFECTIVE, FEW_MARK, Metric, draws_in_words, rests_on_few
from vaelab.runs.provenance import beta_in_words, bound_in_words
from vaelab.system.errors import in_print
from vaelab.training.callback import Callback, Status
from vaelab.training.diagnosis.post_mortem import PostMortem, named_images, origin
from vaelab.training.lines import held_out, lines, summary

if TYPE_CHECKING:
    from vaelab.runs.compare import Ranking
    from vaelab.runs.result_file import Result

WIDEST = 100  # columns
MOST_DIGITS = 8  # of a value: an uncertainty of rounding alone asks for more
ONE_LINE = 26  # longest metric name that leaves room for the other columns in a wide terminal
NARROW_LINE = 21  # and in one of 80 columns


@contextmanager
def watching(console: Console) -> Iterator[Callback]:
    """A Callback that shows training on `console`."""
    if console.is_terminal:
        with _bar(console) as callback:
            yield callback
    else:
        yield lines(lambda line: console.print(line, highlight=False, soft_wrap=True))


@contextmanager
def _bar(console: Console) -> Iterator[Callback]:
    columns = (BarColumn(bar_width=8), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=1.0, start=True)

        def show(status: Status) -> None:
            progress.update(task, completed=status.step / status.steps, description=summary(status))
            if status.step == status.steps:
                progress.console.print(summary(status) + held_out(status), highlight=False, soft_wrap=True)

        yield Callback(say=lambda line: progress.console.print(line, style="dim", highlight=False), show=show)


@contextmanager
def working(console: Console, what: str) -> Iterator[Callable[[float], None]]:
    """A function of the completed proportion that shows a bar in a terminal, and nothing elsewhere."""
    if not console.is_terminal:
        yield lambda share: None
        return
    with Progress(TextColumn(what), BarColumn(bar_width=30), console=console, transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)


@contextmanager
def downloading(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A function of (file, bytes so far, bytes in all) that shows a bar for each file."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=14), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = progress.add_task(file)
            progress.update(tasks[file], completed=done, total=total or None)

        yield show


class SafeConsole(Console):
    """A console that escapes control characters: a name may hold some that move the cursor of a terminal.

    A closed pipe raises BrokenPipeError: rich would end the program, and its state would not be saved.
    """

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that is being handled

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            lines = segment.text.split("\n")
            yield segment if segment.control else Segment("\n".join(map(in_print, lines)), segment.style)


def console() -> Console:
    """Standard output, at most 100 columns wide. Text in [brackets] is a name, not a style."""
    found = SafeConsole(markup=False, emoji=False)
    found.width = min(found.width, WIDEST) if found.is_terminal else WIDEST
    return found


def print_records(title: str, records: list[dict[str, Any]]) -> None:
    """Print records with equal keys as a table, a row each."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for key, value in records[0].items():
        justify = "right" if isinstance(value, int | float) else "left"
        table.add_column(str(key).replace("_", " "), justify=justify, overflow="fold")  # nothing is cut off
    for record in records:
        table.add_row(
            *(f"{v:,}" if isinstance(v, int) and not isinstance(v, bool) else str(v) for v in record.values())
        )
    console().print(table)
    console().print()


def print_facts(title: str, facts: dict[str, str]) -> None:
    """Print the properties of one thing, a line each, without those that have no value."""
    table = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False
    )
    for name, value in facts.items():
        if value:
            table.add_row(name, value)
    console().print(table)
    console().print()


def print_metrics(title: str, metrics: list[Metric]) -> None:
    """Print metrics, a table for each split, protocol and number of images; notes stand below."""
    for images, split, pixels in dict.fromkeys((m.images, m.split, m.protocol) for m in metrics):
        alike = [m for m in metrics if (m.images, m.split, m.protocol) == (images, split, pixels)]
        _print_metrics(f"{title}: {images:,} {split} images, {pixels}", alike)


def _print_metrics(title: str, metrics: list[Metric]) -> None:
    notes = list(dict.fromkeys(m.note for m in metrics if m.note))
    drawn = any(m.monte_carlo_se is not None for m in metrics)
    longest = ONE_LINE if console().width >= WIDEST else NARROW_LINE
    names = [_lines(m.name, longest) for m in metrics]
    table = Table(box=None, pad_edge=False)
    table.add_column("metric", no_wrap=max(map(len, "\n".join(names).split("\n"))) <= longest, overflow="fold")
    for header in ("value", "+- SE or 95 %", *(["+- draws"] if drawn else [])):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("unit", overflow="fold", min_width=10)
    table.add_column("K", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name, m in zip(names, metrics, strict=True):
        decimals = _decimals(m)
        cells = [f"{m.value:.{decimals}f}", _error(m, decimals)]
        if drawn:
            cells.append("" if m.monte_carlo_se is None else f"{m.monte_carlo_se:.2g}")
        table.add_row(name, *cells, m.unit, draws_in_words(m), f"[{notes.index(m.note) + 1}]" if m.note else "")
    console().print(title, style="bold", highlight=False)
    console().print(table)
    for number, note in enumerate(notes, 1):
        console().print(f"[{number}] {note}", style="dim", highlight=False)
    console().print()


def print_rankings(metric: str, rankings: "list[Ranking]") -> None:
    """Print rankings of runs, a table each, titled by what its numbers have in common."""
    for ranking in rankings:
        table = Table(box=None, pad_edge=False)
        table.add_column("run", overflow="fold")  # its end tells it from others
        table.add_column(_lines(metric, ONE_LINE), justify="right", no_wrap=len(metric) <= ONE_LINE, overflow="fold")
        for header in ("+- SE or 95 %", "above" if ranking.better == "neither" else "behind", "+- SE", ""):
            table.add_column(header, justify="right", no_wrap=True)
        for ranked in ranking.runs:
            own, se = ranked.metric, ranked.behind_se
            decimals = _decimals(own)
            behind = "" if se is None and not ranked.behind else f"{ranked.behind:.{decimals}f}"
            cells = (f"{own.value:.{decimals}f}", _error(own, decimals), behind)
            mark = FEW_MARK if rests_on_few(own) else ""
            table.add_row(ranked.run.path.name, *cells, "" if se is None else f"{se:.2g}", mark)
        console().print(ranking.of, style="bold", highlight=False)
        console().print(table)
        if any(rests_on_few(ranked.metric) for ranked in ranking.runs):
            console().print(f"{FEW_MARK} {FEW_EFFECTIVE}", style="dim", highlight=False)
        console().print()


def provenance_facts(result: "Result") -> dict[str, str]:
    """What is needed to read the numbers of a run: what it optimised, its seeds, and the problems that were found."""
    provenance = result["provenance"]
    bound = bound_in_words(provenance)
    before = provenance.get("resumed_from")
    seeds = "  ".join(f"{use} {seed}" for use, seed in provenance["seeds"].items())
    facts = {
        "objective": f"{provenance['objective']}, which is {bound}; effective beta {beta_in_words(provenance)}",
        "seeds": seeds,
        "resumed from": f"{before['run']}, after its {before['step']:,} steps" if before else "",
    }
    return facts | {finding["kind"]: f"{finding['says']}; {finding['do']}" for finding in result["findings"]}


def _lines(metric: str, longest: int) -> str:
    """A name that is too long for one line in two: broken before the features it was measured by, or before a _."""
    if len(metric) <= longest:
        return metric
    end = metric.find("[") if "[" in metric else metric.rfind("_", 0, longest + 1)
    return f"{metric[:end]}\n{metric[end:]}" if end > 0 else metric


def _error(m: Metric, decimals: int) -> str:
    if m.interval is not None:
        return f"{m.interval[0]:.{decimals}f} to {m.interval[1]:.{decimals}f}"
    return "" if m.se is None else f"{m.se:.{decimals}f}"


def _decimals(m: Metric) -> int:
    """Decimals that show two digits of the uncertainty; four digits of a value without one, none of a whole number."""
    error = (m.interval[1] - m.interval[0]) / 4 if m.interval is not None else m.se or m.monte_carlo_se
    if error:
        most = MOST_DIGITS - 1 - math.floor(math.log10(abs(m.value))) if m.value else math.inf
        return int(max(0, min(1 - math.floor(math.log10(error)), most)))
    return 0 if float(m.value).is_integer() else max(0, 3 - math.floor(math.log10(abs(m.value))))


def print_post_mortem(title: str, post_mortem: PostMortem) -> None:
    """Print the post-mortem of a step: its terms, layers and gradients."""
    failed, seen = post_mortem.failure, post_mortem.report
    clipped = f"clipped at {seen.clip_norm:g}" if seen.clip_norm else "not clipped"
    print_facts(
        title,
        {
            "training found": f"{failed.terms} not finite at step {failed.step:,}",
            "first in": origin(seen, failed) if seen.stage else "nowhere: every value is finite this time",
            "training images": named_images(seen.images, len(seen.batch)) if seen.images else "none",
            "learning rate": f"{seen.learning_rate:.3g}",
            "gradient norm": f"{_number(seen.gradient_norm)}, {clipped}",
            "weights before the step": f"not finite: {', '.join(seen.weights_not_finite)}"
            if seen.weights_not_finite
            else "finite",
            "not finite after the step": ", ".join(seen.updates_not_finite),
        },
    )
    print_records(
        f"terms of step {seen.step:,}, nats, over the {len(seen.batch)} images of its batch",
        [
            {
                "term": term.name,
                "not finite": len(term.images),
                "least": _number(term.least),
                "largest": _number(term.largest),
                "training images": named_images(term.images, len(seen.batch)) if term.images else "",
            }
            for term in seen.terms
        ],
    )
    print_records(
        "layers, in the order of the forward pass",
        [
            {"layer": la.name, "kind": la.kind, "not finite": la.not_finite, "largest |output|": _number(la.largest)}
            for la in seen.layers
        ],
    )
    print_records(
        "gradients, mean over the batch, before clipping",
        [{"parameter": g.name, "not finite": g.not_finite, "norm": _number(g.norm)} for g in seen.gradients],
    )


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"
