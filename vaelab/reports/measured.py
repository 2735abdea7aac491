"""The metrics outside the comparison table, the provenance of the runs, and the comparison with published numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vaelab.evaluation.measure import FEW_MARK, draws_in_words, rests_on_few
from vaelab.reports.context import ReportContext
from vaelab.reports.table import COLUMNS
from vaelab.reports.text import DASH, KEEP, Table, number, percent, plus_minus, with_errors
from vaelab.runs.provenance import beta_in_words, bound_in_words
from vaelab.studies.study import Member, PublishedNumbers, Study

Rows = list[dict[str, Any]]
ARROWS = {"lower": f"{KEEP}\N{DOWNWARDS ARROW}", "higher": f"{KEEP}\N{UPWARDS ARROW}", "neither": ""}  # which is better


@dataclass(frozen=True)
class Measured:
    """Further metrics of the runs on one data set under one protocol."""

    title: str
    table: Table
    common: str  # a note for all of its numbers
    notes: list[str]  # the texts of the marks [1], [2], ...


def measured(context: ReportContext) -> list[Measured]:
    """All metrics that the comparison table does not show, in a table for each data set, protocol and measure."""
    tables = list[Measured]()
    for kind in dict.fromkeys((m.spec.data, str(m.spec.protocol)) for m in context.done):
        members = [m for m in context.done if (m.spec.data, m.spec.protocol) == kind]
        for measure in dict.fromkeys(row["measure"] for m in members for row in _further(m)):
            tables.append(_measured(kind, measure, members))
    return tables


def provenance(context: ReportContext) -> Table | None:
    """What each run optimised, with its protocol, K, seeds and warnings; None if no run is done."""
    columns = ["run", "objective", "optimised", "effective beta", "protocol", "K", "seeds", "warnings"]
    rows = [list(_ledger(member)) for member in context.done]
    return Table(columns, rows) if rows else None


def published(context: ReportContext) -> dict[str, Table]:
    """Compare numbers of papers with those of the runs: source -> table."""
    return {source.source: _published(context, source) for source in context.study.published}


def published_numbers(study: Study) -> list[tuple[str, list[dict[str, str]]]]:
    """The same for a terminal: a title and records for each source."""
    return [
        (f"Published: {source}", [dict(zip(table.columns, row, strict=True)) for row in table.rows])
        for source, table in published(ReportContext(study)).items()
    ]


def _further(member: Member) -> Rows:
    return [row for row in member.run.result["metrics"] if _column(row) not in COLUMNS]


def _column(row: dict[str, Any]) -> str:
    """The column of a metric: its name, with K if one measure gives it for several K."""
    return f"{row['name']} ({row['samples']:,})" if row["name"] == "iwae_bound" else row["name"]


def _measured(kind: tuple[str, str], measure: str, members: list[Member]) -> Measured:
    rows = {member.label: [r for r in _further(member) if r["measure"] == measure] for member in members}
    columns = list(dict.fromkeys(_column(row) for of_run in rows.values() for row in of_run))
    units = {_column(row): row["unit"] for of_run in rows.values() for row in of_run}
    every = [row["note"].split("; ") for of_run in rows.values() for row in of_run]
    common = [clause for clause in every[0] if clause and all(clause in clauses for clauses in every)]
    for row in (row for of_run in rows.values() for row in of_run):
        row["note"] = "; ".join(clause for clause in row["note"].split("; ") if clause not in common)
    notes = list(dict.fromkeys(row["note"] for of_run in rows.values() for row in of_run if row["note"]))
    text = list[list[str]]()
    for label, of_run in rows.items():
        cells = {_column(row): _cell(row, notes) for row in of_run}
        if cells:
            text.append([label, *(cells.get(column, DASH) for column in columns)])
    first = next(row for of_run in rows.values() for row in of_run)
    where = f"{number(first['images'])} {first['split']} images"
    name = measure.replace(":", ", ").replace("=", " ")
    arrows = {_column(row): ARROWS[row["better"]] for of_run in rows.values() for row in of_run}
    heads = [f"{column.replace('_', ' ')}, {units[column]}{arrows[column]}" for column in columns]
    return Measured(f"{kind[0]}, {kind[1]}: {name}; {where}", Table(["run", *heads], text), "; ".join(common), notes)


def _cell(row: dict[str, Any], notes: list[str]) -> str:
    return with_errors(row) + (f"{KEEP}[{notes.index(row['note']) + 1}]" if row["note"] else "")


def _ledger(member: Member) -> Iterator[str]:
    result = member.run.result
    told = result["provenance"]
    yield member.label
    yield told["objective"]
    yield bound_in_words(told)
    yield beta_in_words(told)
    yield told["protocol"]
    yield draws_in_words(member.run.metric("nll"))
    yield ", ".join(f"{use} {seed}" for use, seed in told["seeds"].items())
    yield "; ".join(f"{finding['says']}: {finding['do']}" for finding in result["findings"]) or DASH


def _published(context: ReportContext, source: PublishedNumbers) -> Table:
    rows = list[list[str]]()
    for member in context.study.members:
        if member.group not in source.values:
            continue
        theirs = source.values[member.group]
        if not member.run.done:
            rows.append([context.named(member), f"{theirs:g}", *4 * [DASH]])
            continue
        row = member.run.metric(source.metric, source.samples)
        result = member.run.result
        seen = result["steps"] * min(member.spec.batch, result["data"]["train"]["images"])
        rows.append(
            [
                context.named(member),
                f"{theirs:g}",
                with_errors(row) + (f"{KEEP}{FEW_MARK}" if rests_on_few(row) else ""),
                plus_minus(row["value"] - theirs, row["se"]),
                percent(seen / source.images_seen, 2),
                f"{number(row['images'])} {row['split']}",
            ]
        )
    name = f"{source.metric.upper()}, K{KEEP}={KEEP}{number(source.samples)}"
    return Table(["model", "published", f"ours: {name}", "difference", "of their training", "images"], rows)
