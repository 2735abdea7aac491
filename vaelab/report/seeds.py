"""What models give over their seeds: one row for each point of a study's grid that was trained more than once."""

import math
import statistics
from collections.abc import Callable

from scipy.stats import t as student_t

from vaelab.evaluation.measure import FEW_MARK, rests_on_few
from vaelab.report.claims.claim import Table
from vaelab.report.material import Material
from vaelab.report.text import DASH, KEEP, MINUS, latent, listed, number, plus_minus
from vaelab.study import Member

COVERAGE = 0.95
BEST = 3  # models that a sentence names


def _metric(name: str, sign: int = 1) -> Callable[[Member], float | None]:
    """The metric called `name`, whatever it was measured with: frechet[...] is frechet."""

    def read(member: Member) -> float | None:
        named = (
            r for r in member.run.result["metrics"] if r["name"].partition("[")[0] == name and r["split"] == "test"
        )
        row = next(named, None)
        return None if row is None else sign * row["value"]

    return read


COLUMNS: dict[str, Callable[[Member], float | None]] = {
    f"{MINUS}ELBO": _metric("elbo", -1),
    "rate": _metric("rate"),
    "distortion": _metric("distortion"),
    "NLL(K)": _metric("nll"),
    "active units": _metric("active_units"),
    "probe accuracy": _metric("probe_accuracy"),
    "Fréchet distance": _metric("frechet"),
    "training / s": lambda member: member.run.result["seconds"]["training"],
}


NLL = COLUMNS["NLL(K)"]


def over_seeds(material: Material) -> dict[str, Table]:
    """The table of each data set and protocol, by its title; none where no point of the grid has several seeds done."""
    tables = dict[str, Table]()
    for title, points in _points(material).items():
        rows = [_row(members) for members in points.values()]
        shown = [i for i in range(3 + len(COLUMNS)) if any(row[i] != DASH for row in rows)]
        heads = ["model", "z", "seeds", *COLUMNS]
        tables[title] = Table([heads[i] for i in shown], [[row[i] for i in shown] for row in rows])
    return tables


def ranking(material: Material) -> list[str]:
    """Which models have the lowest NLL over their seeds, and which the highest, for each latent dimension."""
    said = list[str]()
    for title, points in _points(material).items():
        for dimensions in sorted({members[0].latent for members in points.values()}):
            models = [members for members in points.values() if members[0].latent == dimensions]
            models.sort(key=lambda members: statistics.fmean(m.run.metric("nll")["value"] for m in members))
            named = [f"{members[0].title} ({interval([NLL(m) for m in members])})" for members in models]
            best = f"the NLL in nats per image is lowest for {listed(named[:BEST])}"
            worst = f", and highest for {named[-1]}" if len(named) > BEST else ""
            said.append(f"{title}, {latent(dimensions)}, mean over the seeds: {best}{worst}.")
    return said


def _points(material: Material) -> dict[str, dict[tuple[str, int], list[Member]]]:
    """For each data set and protocol, the runs of each model and latent dimension that has several seeds done."""
    found = dict[str, dict[tuple[str, int], list[Member]]]()
    for member in material.done:
        points = found.setdefault(f"{member.spec.data}, {member.spec.protocol}", {})
        points.setdefault((member.title, member.latent), []).append(member)
    several = {title: {k: m for k, m in points.items() if len(m) > 1} for title, points in found.items()}
    return {title: points for title, points in several.items() if points}


def _row(members: list[Member]) -> list[str]:
    cells = {name: interval([read(member) for member in members]) for name, read in COLUMNS.items()}
    if any(rests_on_few(member.run.metric("nll")) for member in members):
        cells["NLL(K)"] += f"{KEEP}{FEW_MARK}"
    return [members[0].title, str(members[0].latent), number(len(members)), *cells.values()]


def interval(values: list[float | None]) -> str:
    """The mean of n values and half the width of its 95 % interval, t_(n-1) s / sqrt(n) (Student 1908)."""
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return DASH
    half = float(student_t.ppf((1 + COVERAGE) / 2, len(known) - 1)) * statistics.stdev(known) / math.sqrt(len(known))
    return plus_minus(statistics.fmean(known), half)
