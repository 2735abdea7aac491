"""The tables in the terminal, at most 100 columns wide."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.summary import Row, ceilings, rows

NOT_MEASURED = "not measured"


def show(raw: Mapping[str, Any], console: Console) -> None:
    """All tables of a run."""
    for key in raw["workloads"]:
        console.print()
        console.print(workload_table(raw, key))
        for line in remarks(raw, key):
            console.print(Text("  " + line, style="dim"))
    console.print()
    console.print(Text(ceiling_line(raw)))
    console.print(Text(environment_line(raw)))


def workload_table(raw: Mapping[str, Any], key: str) -> Table:
    """A table with a row for each contestant: the measure, ratios with ranges, whole process, memory, ceiling, loss."""
    workload = raw["workloads"][key]
    unit, references = workload["measure"][1], workload["references"]
    training = workload["flops"] is not None and key != "e"
    title = f"({key}) {workload['title']}"
    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    made.add_column("", overflow="fold", max_width=36)
    made.add_column(unit, justify="right")
    for reference in references:
        made.add_column(f"/ {short(reference)}", justify="right", min_width=12)
    if training:
        made.add_column("whole s", justify="right")
    made.add_column("MB", justify="right")
    if workload["flops"] is not None:
        made.add_column("ceiling", justify="right")
        made.add_column("loss" if training else "nats", justify="right")
        made.add_column("same", justify="center")
    for row in rows(raw, key):
        if row.measured is None:
            made.add_row(row.label, f"[red]{NOT_MEASURED}[/red]")
            continue
        cells = [short(row.label), number(row.measured.median)]
        cells += [ratio_cell(row, reference, ".1f") for reference in references]
        cells += [number(row.whole.median if row.whole else None)] if training else []
        cells.append(number(row.memory_mb))
        if workload["flops"] is not None:
            cells += [share(row.ceiling), "" if row.loss is None else f"{row.loss:.2f}", same(row)]
        made.add_row(*cells)
    return made


def short(label: str) -> str:
    return label.replace("bfloat16", "bf16").replace("float32", "f32")


def number(value: float | None) -> str:
    """A number with three digits; "" for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def ratio_cell(row: Row, reference: str, ends: str = ".2f") -> str:
    """Median and range of the ratios, its ends in the format `ends`; above 1 the reference is faster."""
    if row.label == reference:
        return "1"
    found = row.ratios.get(reference)
    return NOT_MEASURED if found is None else f"{found.median:.2f} ({found.low:{ends}}-{found.high:{ends}})"


def same(row: Row) -> str:
    """Whether the row did the same work, by its loss."""
    if row.agreement is None:
        return ""
    return "yes" if row.agreement.agrees else "NO"


def remarks(raw: Mapping[str, Any], key: str) -> list[str]:
    """The lines below a table: failures, losses that differ, compile time and the steps that make up for it."""
    workload, said = raw["workloads"][key], []
    if workload["note"]:
        said.append(workload["note"])
    for row in rows(raw, key):
        if row.reason:
            said.append(f"{row.label}: {row.reason}")
        if row.agreement is not None and not row.agreement.agrees:
            far, may = row.agreement.difference, row.agreement.tolerance
            said.append(
                f"{row.label}: the loss differs by {far:+.3g} nats, more than the {may:.2g} of noise: not the same work"
            )
        if row.compile_cold is not None:
            said.append(compile_line(row))
    return said


def compile_line(row: Row) -> str:
    """Seconds of compiling, and the number of steps that make up for them."""
    seconds = f"{row.compile_cold:.1f} s"
    if row.compile_warm is not None:
        seconds += f", {row.compile_warm:.1f} s from a warm cache"
    line = f"{short(row.label)}: compiling takes {seconds}"
    if row.eager_ms is None or row.measured is None:
        return line
    if row.break_even_cold is None or row.break_even_warm is None:
        return f"{line}; the eager step of {row.eager_ms:.3g} ms is not slower"
    paid = f"{row.break_even_cold:,.0f} steps ({row.break_even_warm:,.0f} from a warm cache)"
    return f"{line}; compared with the eager step of {row.eager_ms:.3g} ms, it saves time after {paid}"


def ceiling_line(raw: Mapping[str, Any]) -> str:
    """The limits of the machine, in one line."""
    best = ceilings(raw)
    if not best:
        return f"ceiling: {NOT_MEASURED}"
    memory = {}
    for go in raw["ceiling"]:
        for name, speed in go["gigabytes_a_second"].items():
            memory[name] = max(speed, memory.get(name, 0.0))
    by_name: dict[str, float] = {}
    for go in raw["ceiling"]:
        for name, speed in go["gflops"]["float32"].items():
            by_name[name] = max(speed, by_name.get(name, 0.0))
    products = ", ".join(f"{name} {speed:.0f}" for name, speed in by_name.items())
    bytes_ = ", ".join(f"{name} {speed:.1f} GB/s" for name, speed in memory.items())
    return (
        f"ceiling: {best['float32']:.0f} GFLOP/s in float32 ({products}), {best['bfloat16']:.0f} in bfloat16; {bytes_}"
    )


def environment_line(raw: Mapping[str, Any]) -> str:
    """Device, versions, date."""
    at = raw["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in at["versions"].items())
    kind = "quick run" if raw["quick"] else "full run"
    return (
        f"{at['device']}, {at['threads']} threads, {at['memory_gb']} GB, {at['system']}, Python {at['python']}; "
        f"{versions}; {at['date']}; {kind} of {raw.get('seconds', 0) / 60:.1f} min"
    )
