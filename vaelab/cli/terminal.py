"""What the commands print: progress (a bar in a terminal, lines elsewhere), tables and facts."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.segment import Segment
from rich.table import Table

from vaelab.cli.output import WIDEST, fitting
from vaelab.cli.output import say as say
from vaelab.cli.tables import Column, table
from vaelab.evaluation.in_words import ERROR, decimals_of, error_of
from vaelab.evaluation.measure import FEW_EFFECTIVE, FEW_MARK, Metric, draws_in_words, rests_on_few
from vaelab.runs.provenance import beta_in_words, bound_in_words
from vaelab.system.errors import in_print
from vaelab.system.world import world
from vaelab.training.callback import SILENT, Callback, Status
from vaelab.training.diagnosis.post_mortem import PostMortem, named_images, origin
from vaelab.training.lines import held_out, lines, measuring, summary

if TYPE_CHECKING:
    from vaelab.runs.compare import Ranking
    from vaelab.runs.result_file import Result

UNIT, SENTENCE = 10, 24  # smallest number of columns of a unit and of a sentence in a table


@contextmanager
def watching(console: Console) -> Iterator[Callback]:
    """A Callback that shows training on `console`; of several workers, only that of the one that leads does."""
    if not world().leads:
        yield SILENT
    elif console.is_terminal:
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

        def measured(measure: str, share: float) -> None:
            progress.update(task, completed=share, description=measuring(measure, share))

        yield Callback(
            say=lambda line: progress.console.print(line, style="dim", highlight=False), show=show, measured=measured
        )


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
    found.width = fitting(found.width) if found.is_terminal else WIDEST
    return found


def warn(text: str) -> None:
    """Print a line to the error output, which tables and results on the standard output do not mix with."""
    say(f"vaelab: warning: {text}", stream=sys.stderr, now=True)


def print_records(title: str, records: list[dict[str, Any]]) -> None:
    """Print records with equal keys as a table, a row each."""
    columns = [
        Column(
            str(key).replace("_", " "),
            right=isinstance(value, int | float),
            sentence=SENTENCE if _is_text(records, key) else 0,
        )
        for key, value in records[0].items()
    ]
    rows = [
        [f"{v:,}" if isinstance(v, int) and not isinstance(v, bool) else str(v) for v in record.values()]
        for record in records
    ]
    console().print(title, style="bold", highlight=False)
    console().print(table(console(), columns, rows))
    console().print()


def _is_text(records: list[dict[str, Any]], key: str) -> bool:
    """Whether a column holds sentences, not names: the first column does not."""
    return key != next(iter(records[0])) and any(" " in str(record[key]) for record in records)


def print_facts(title: str, facts: dict[str, str]) -> None:
    """Print the properties of one thing, a line each, without those that have no value."""
    facts_table = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False
    )
    facts_table.add_column(no_wrap=True)
    facts_table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            facts_table.add_row(name, value)
    console().print(facts_table)
    console().print()


def print_metrics(title: str, metrics: list[Metric]) -> None:
    """Print metrics, a table for each split, protocol and number of images; notes stand below."""
    for images, split, pixels in dict.fromkeys((m.images, m.split, m.protocol) for m in metrics):
        alike = [m for m in metrics if (m.images, m.split, m.protocol) == (images, split, pixels)]
        _print_metrics(f"{title}: {images:,} {split} images, {pixels}", alike)


def _print_metrics(title: str, metrics: list[Metric]) -> None:
    notes = list(dict.fromkeys(m.note for m in metrics if m.note))
    drawn = any(m.monte_carlo_se is not None for m in metrics)
    numbers = [Column(header, right=True) for header in ("value", ERROR, *(["+- draws"] if drawn else []))]
    columns = [Column("metric"), *numbers, Column("unit", sentence=UNIT), Column("K", right=True), Column("")]
    rows = list[list[str]]()
    for m in metrics:
        decimals = decimals_of(m)
        draws = [] if not drawn else ["" if m.monte_carlo_se is None else f"{m.monte_carlo_se:.2g}"]
        values = [f"{m.value:.{decimals}f}", error_of(m, decimals), *draws]
        mark = f"[{notes.index(m.note) + 1}]" if m.note else ""
        rows.append([m.name, *values, m.unit, draws_in_words(m), mark])
    console().print(title, style="bold", highlight=False)
    console().print(table(console(), columns, rows))
    for number, note in enumerate(notes, 1):
        console().print(f"[{number}] {note}", style="dim", highlight=False)
    console().print()


def print_rankings(metric: str, rankings: "list[Ranking]") -> None:
    """Print rankings of runs, a table each, titled by what its numbers have in common."""
    for ranking in rankings:
        away = "above" if ranking.better == "neither" else "behind"
        columns = [
            Column("run"),
            *(Column(header, right=True) for header in (metric, ERROR, away, "+- SE")),
            Column(""),
        ]
        rows = list[list[str]]()
        for ranked in ranking.runs:
            own, se = ranked.metric, ranked.behind_se
            decimals = decimals_of(own)
            behind = "" if se is None and not ranked.behind else f"{ranked.behind:.{decimals}f}"
            values = [f"{own.value:.{decimals}f}", error_of(own, decimals), behind, "" if se is None else f"{se:.2g}"]
            rows.append([ranked.run.path.name, *values, FEW_MARK if rests_on_few(own) else ""])
        console().print(ranking.title or ranking.of, style="bold", highlight=False)
        console().print(table(console(), columns, rows))
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
        "trained by": f"{workers} workers, {result.get('reduce')} sums"
        if (workers := result.get("workers", 1)) > 1
        else "",
        "resumed from": f"{before['run']}, after its {before['step']:,} steps" if before else "",
    }
    return facts | {finding["kind"]: f"{finding['says']}; {finding['do']}" for finding in result["findings"]}


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
