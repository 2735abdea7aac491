"""What a person sees while something takes long: a bar in a terminal, plain lines elsewhere."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from vaelab.training.watch import Status, Watch

LINE_EVERY = 20  # plain lines for a whole training, about


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """A Watch that shows training on `console`."""
    if console.is_terminal:
        with _bar(console) as watch:
            yield watch
    else:
        yield _lines(console)


@contextmanager
def _bar(console: Console) -> Iterator[Watch]:
    columns = (BarColumn(bar_width=8), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=1.0, start=True)

        def show(status: Status) -> None:
            progress.update(task, completed=status.step / status.steps, description=_summary(status))
            if status.step == status.steps:
                progress.console.print(_summary(status) + _held_out(status), highlight=False, soft_wrap=True)

        yield Watch(say=lambda line: progress.console.print(line, style="dim", highlight=False), show=show)


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


def _lines(console: Console) -> Watch:
    shown = [0.0]

    def show(status: Status) -> None:
        done = status.step / status.steps
        shown[0] = min(shown[0], done)  # another run has begun
        if status.row is not None and (done - shown[0] >= 1 / LINE_EVERY or status.step == status.steps):
            shown[0] = done
            console.print(_summary(status) + _held_out(status), highlight=False, soft_wrap=True)

    return Watch(say=lambda line: console.print(line, highlight=False, soft_wrap=True), show=show)


def _summary(status: Status) -> str:
    terms = status.terms
    return (
        f"epoch {status.epoch:.1f}/{status.epochs:g}  {_count(status.images_per_second)} images/s  "
        f"-ELBO {_nats(-terms['elbo'])}  rate {_nats(terms['rate'])}  distortion {_nats(terms['distortion'])} nats"
        + (f"  {_duration(status.seconds_left)} left" if status.step < status.steps else "")
    )


def _held_out(status: Status) -> str:
    held = (status.row or {}).get("validation")
    return f"  validation {_nats(-held['elbo'])}" if held else ""


def _nats(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:,.0f}"


def _count(number: float) -> str:
    return f"{number / 1000:.1f}k" if number >= 1000 else f"{number:.0f}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def console() -> Console:
    """Standard output; at most 100 columns wide."""
    found = Console()
    found.width = min(found.width, 100) if found.is_terminal else 100
    return found


def print_records(title: str, records: list[dict[str, Any]]) -> None:
    """Print records with equal keys as a table, a row each."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for key, value in records[0].items():
        table.add_column(str(key).replace("_", " "), justify="right" if isinstance(value, int | float) else "left")
    for record in records:
        table.add_row(
            *(f"{v:,}" if isinstance(v, int) and not isinstance(v, bool) else str(v) for v in record.values())
        )
    console().print(table)
    console().print()


def print_facts(title: str, facts: dict[str, str]) -> None:
    """Print one thing's properties, a line each; those without a value are left out."""
    table = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False
    )
    for name, value in facts.items():
        if value:
            table.add_row(name, value)
    console().print(table)
    console().print()


def print_metrics(title: str, metrics: list[dict[str, Any]]) -> None:
    """Print metrics as result.json holds them."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for header, justify in (("metric", "left"), ("value", "right"), ("+- SE", "right"), ("unit", "left")):
        table.add_column(header, justify=justify)  # type: ignore[arg-type]
    for header in ("K", "images"):
        table.add_column(header, justify="right")
    for header in ("split", "protocol", ""):
        table.add_column(header)
    for m in metrics:
        value = f"{m['value']:.0f}" if m["se"] is None else f"{m['value']:.{_decimals(m['se'])}f}"
        error = "" if m["se"] is None else f"{m['se']:.{_decimals(m['se'])}f}"
        samples = "" if m["samples"] is None else str(m["samples"])
        table.add_row(
            m["name"], value, error, m["unit"], samples, f"{m['images']:,}", m["split"], m["protocol"], m["note"]
        )
    console().print(table)


def _decimals(se: float) -> int:
    """Decimals that show two digits of a standard error."""
    return 2 if se <= 0 else max(0, 1 - math.floor(math.log10(se)))
