"""Results over the seeds: one row for each Spec of a study that was trained with more than one seed."""

import statistics
from typing import Any

from vaelab.evaluation.measure import FEW_MARK, rests_on_few
from vaelab.reports.behind import behind
from vaelab.reports.claims.estimate import over_seeds as mean_over_seeds
from vaelab.reports.context import ReportContext
from vaelab.reports.labels import points
from vaelab.reports.table import better_of, in_words
from vaelab.reports.text import DASH, KEEP, MINUS, Table, latent, listed, number, plus_minus
from vaelab.runs.compare import kind
from vaelab.studies.study import Member

BEST = 3  # the number of models that a sentence names
VAGUE = f"{FEW_MARK} Few effective draws: these NLLs are too high by an unknown amount, so their order may be wrong."
COLUMNS = {  # heading -> a metric without the name of its features (frechet[...] is frechet), and its sign
    f"{MINUS}ELBO": ("elbo", -1),
    "rate": ("rate", 1),
    "distortion": ("distortion", 1),
    "NLL(K)": ("nll", 1),
    "active units": ("active_units", 1),
    "probe accuracy": ("probe_accuracy", 1),
    "Fréchet distance": ("frechet", 1),
}
SECONDS = "training / s"


def over_seeds(context: ReportContext) -> dict[str, Table]:
    """The table of each data set and protocol, by its title; empty if no Spec has several seeds that are done."""
    tables = dict[str, Table]()
    for title, models in _several(context).items():
        rows = [_row(context, members) for members in models]
        heads = ["model", "z", "seeds", *COLUMNS, SECONDS]
        shown = [i for i in range(len(heads)) if any(row[i] != DASH for row in rows)]
        tables[title] = Table([heads[i] for i in shown], [[row[i] for i in shown] for row in rows])
    return tables


def directions(context: ReportContext) -> str:
    """Say in which columns lower or higher values are better, as their metrics state it."""
    members = [member for models in _several(context).values() for runs in models for member in runs]
    rows = {head: row for head, (name, _) in COLUMNS.items() for m in members if (row := _find(m, name)) is not None}
    return in_words({head: better_of(row, COLUMNS[head][1]) for head, row in rows.items()})


def ranking(context: ReportContext) -> list[str]:
    """Say which models have the best and the worst NLL over their seeds, among models with comparable numbers."""
    said = list[str]()
    for title, models in _several(context).items():
        alike = dict[tuple[int, str], list[list[Member]]]()
        for members in models:
            row = members[0].run.metric("nll")
            alike.setdefault((members[0].latent, str(kind(members[0].run, row))), []).append(members)
        said += [_ranked(context, title, rivals) for rivals in alike.values() if len(rivals) > 1]
    return explained(said)


def explained(said: list[str]) -> list[str]:
    """Return `said`; if a line uses the mark, also the explanation of the mark."""
    return [*said, VAGUE] if any(FEW_MARK in line for line in said) else said


def _ranked(context: ReportContext, title: str, rivals: list[list[Member]]) -> str:
    what = f"{title}, {latent(rivals[0][0].latent)}: the NLL (nats per image, mean over the seeds)"
    best, *others = sorted(rivals, key=lambda runs: statistics.fmean(m.run.metric("nll")["value"] for m in runs))
    next_ones = [f"{context.of_model(runs[0])} ({behind(best, runs, 'nll')})" for runs in others[: BEST - 1]]
    worst = f" It is highest for {context.of_model(others[-1][0])} ({_cell(others[-1], 'nll', 1)})."
    return (
        f"{what} is lowest for {context.of_model(best[0])} ({_cell(best, 'nll', 1)}), then {listed(next_ones)}."
        f"{worst if len(rivals) > BEST else ''}"
    )


def _several(context: ReportContext) -> dict[str, list[list[Member]]]:
    """For each data set and protocol, the runs of each Spec with several seeds that are done."""
    found = dict[str, list[list[Member]]]()
    for members in points(context.done):
        if len(members) > 1:
            found.setdefault(f"{members[0].spec.data}, {members[0].spec.protocol}", []).append(members)
    return found


def _row(context: ReportContext, members: list[Member]) -> list[str]:
    cells = [_cell(members, name, sign) for name, sign in COLUMNS.values()]
    seconds = interval([member.run.result["seconds"]["training"] for member in members])
    return [context.of_model(members[0]), str(members[0].latent), number(len(members)), *cells, seconds]


def _cell(members: list[Member], name: str, sign: int) -> str:
    rows = [_find(member, name) for member in members]
    mean = interval([None if row is None else sign * row["value"] for row in rows])
    return f"{mean}{KEEP}{FEW_MARK}" if any(row and rests_on_few(row) for row in rows) else mean


def _find(member: Member, name: str) -> dict[str, Any] | None:
    rows = (r for r in member.run.result["metrics"] if r["name"].partition("[")[0] == name and r["split"] == "test")
    return next(rows, None)


def interval(values: list[float | None]) -> str:
    """The mean of n values and half the width of its 95 % interval; a dash if n < 2 or a value is missing."""
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return DASH
    mean = mean_over_seeds(known)
    return plus_minus(mean.mean, mean.half)
