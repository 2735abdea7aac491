"""Write docs/performance.md: generate its tables, and keep the hand-written text between markers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.ratios import Spread
from benchmarks.summary import Row, rows
from benchmarks.table import NOT_MEASURED, ceiling_line, environment_line, ratio_cell, remarks, same, share, short

BEGIN, END = "<!-- written by hand: {} -->", "<!-- end -->"
PART = re.compile(r"<!-- written by hand: (?P<name>[^>]+?) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)
HEAD = """# How fast it is

This page compares vaelab with pythae, JAX and a plain PyTorch loop on the same work in one run: `make bench` (`make
bench-quick` for a smaller one), described in `benchmarks/README.md`. A ratio is the time of the row divided by the
time of the column's row, in one pair of processes. The tables have medians (and ranges) over the pairs: **above 1 the
column's row is faster**. The ceiling is the machine's best matrix product of the same precision, measured in the same
run. "Same work" says whether the final training loss agrees within noise: how many nats it differs from that of the
first row, and how many nats are allowed.
"""


def renew(path: Path, raw: Mapping[str, Any]) -> None:
    """Write the page of `raw` to `path`, and keep its hand-written parts."""
    kept = {}
    if path.exists():
        kept = {part["name"]: part["text"] for part in PART.finditer(path.read_text())}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(raw, kept))


def page(raw: Mapping[str, Any], kept: Mapping[str, str]) -> str:
    """The page in Markdown.

    Arguments:
        kept: name of a hand-written part -> its text. "summary" is the first; the others are named by workload.
    """
    parts = [
        HEAD,
        hand_written("summary", kept),
        "## The machine\n",
        f"- {environment_line(raw)}\n- {ceiling_line(raw)}",
    ]
    for key, workload in raw["workloads"].items():
        parts.append(f"\n## ({key}) {workload['title']}\n")
        parts.append(workload_table(raw, key))
        if lines := remarks(raw, key):
            parts.append("\n" + "\n".join(f"- {line}" for line in lines))
        picture = f"pictures/performance-{key}.png"
        if workload["flops"] is not None:
            parts.append(f"\n![Where the time of ({key}) goes]({picture})")
        parts.append("\n" + hand_written(key, kept))
    names = {"summary", *raw["workloads"]}
    lost = [hand_written(name, kept) for name in kept if name not in names]  # for workloads that are not in this run
    return "\n".join([*parts, *lost]).rstrip() + "\n"


def hand_written(name: str, kept: Mapping[str, str]) -> str:
    """A hand-written part between its markers."""
    return f"{BEGIN.format(name)}\n{kept.get(name, '')}{END}\n"


def workload_table(raw: Mapping[str, Any], key: str) -> str:
    """One workload as a table."""
    workload = raw["workloads"][key]
    trained = workload["flops"] is not None and key != "e"
    references = workload["references"]
    heads = ["", workload["measure"][1], *(f"/ {short(reference)}" for reference in references)]
    if trained:
        heads += ["whole process, s", *(f"whole / {short(reference)}" for reference in references), "first step, s"]
    heads.append("peak MB")
    if workload["flops"] is not None:
        heads += ["of the ceiling", "loss, nats" if trained else "NLL, nats", "same work"]
    heads.append("pairs")
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for row in rows(raw, key):
        lines.append(_cells(row, workload, trained, len(heads)))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(row: Row, workload: Mapping[str, Any], trained: bool, count: int) -> list[str]:
    if row.measured is None:
        return [short(row.label), *[NOT_MEASURED] * (count - 1)]
    references = workload["references"]
    cells = [short(row.label), _spread(row.measured), *(ratio_cell(row, reference) for reference in references)]
    if trained:
        whole = [_ratio(row.whole_ratios.get(reference), row.label == reference) for reference in references]
        cells += [_spread(row.whole), *whole, _spread(row.first_step)]
    cells.append(_number(row.memory_mb, 0))
    if workload["flops"] is not None:
        cells += [share(row.ceiling) or NOT_MEASURED, _number(row.loss, 2), _same(row)]
    return [*cells, str(row.measured.count)]


def _same(row: Row) -> str:
    """Whether the losses agree, their difference, and the difference that is allowed, in nats."""
    if row.agreement is None:
        return "-"
    return f"{same(row)}, {row.agreement.difference:+.2g} of {row.agreement.tolerance:.2g}"


def _number(value: float | None, digits: int) -> str:
    return NOT_MEASURED if value is None else f"{value:,.{digits}f}"


def _ratio(found: Spread | None, itself: bool) -> str:
    return "1" if itself else _number(found.median if found else None, 2)


def _spread(found: Spread | None) -> str:
    if found is None:
        return NOT_MEASURED
    digits = 2 if found.median < 20 else 1
    return f"{found.median:.{digits}f} ({found.low:.{digits}f}-{found.high:.{digits}f})"
