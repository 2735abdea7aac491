"""How far any two runs of a block are apart: paired differences over the same test images."""

from dataclasses import dataclass
from math import sqrt

import torch

from vaelab.reports.claims.estimate import NORMAL
from vaelab.reports.context import ReportContext
from vaelab.reports.table import COLUMNS
from vaelab.runs.compare import kind
from vaelab.studies.study import Member

METRICS = {  # metric -> its name, its sign in the table, and its unit
    "elbo": (COLUMNS["elbo"], -1, "nats"),
    "nll": (COLUMNS["nll"], 1, "nats"),
    "rate": (COLUMNS["rate"], 1, "nats"),
    "distortion": (COLUMNS["distortion"], 1, "nats"),
    "reconstruction_mse": (COLUMNS["reconstruction_mse"], 1, ""),
}
MOST_PAIRED = 64  # runs in a block: with more, the intervals of all pairs would be a large part of the page


@dataclass(frozen=True)
class Differences:
    """A metric of runs, and half the width of the 95 % interval of each paired difference.

    Arguments:
        values: of each run, with the sign of the table.
        standard_errors: of each run, over the images; for runs whose differences are not paired.
        kinds: runs with the same number are comparable.
        halves: row i has those of the runs i and 0, ..., i - 1; None if the two are not comparable, or if the values of
            each image were not kept. Empty if there are more than MOST_PAIRED runs.
    """

    name: str
    unit: str
    better: str  # "lower", "higher" or "neither", with the sign of the table
    values: list[float]
    standard_errors: list[float | None]
    kinds: list[int]
    halves: list[list[float | None]]


@dataclass(frozen=True)
class Block:
    """The runs of one block of the comparison table that are done, with their differences by metric."""

    title: str
    members: list[Member]
    metrics: dict[str, Differences]


def differences(members: list[Member]) -> dict[str, Differences]:
    """The differences in each metric that all of the runs have; they are done, on the same data and protocol."""
    found = dict[str, Differences]()
    for name in METRICS:
        if members and all(member.run.find(name) is not None for member in members):
            found[name] = _differences(members, name)
    return found


def blocks(context: ReportContext) -> list[Block]:
    """The runs that are done, by the blocks of the comparison table."""
    kinds = dict.fromkeys((m.spec.data, str(m.spec.protocol)) for m in context.study.members)
    found = {of: [m for m in context.done if (m.spec.data, str(m.spec.protocol)) == of] for of in kinds}
    return [Block(", ".join(of), members, differences(members)) for of, members in found.items()]


def as_json(of: list[Block]) -> list[dict[str, object]]:
    """What the page needs to compare any two runs of a block, for each block of the comparison table."""
    return [
        {
            "runs": [member.label for member in block.members],
            "metrics": {name: vars(metric) for name, metric in block.metrics.items()},
        }
        for block in of
    ]


def _differences(members: list[Member], name: str) -> Differences:
    title, sign, unit = METRICS[name]
    metrics = [member.run.metric(name) for member in members]
    kinds = [str(kind(member.run, metric)) for member, metric in zip(members, metrics, strict=True)]
    numbers = list(dict.fromkeys(kinds))
    turned = {"lower": "higher", "higher": "lower", "neither": "neither"}
    return Differences(
        title,
        unit,
        metrics[0].better if sign > 0 else turned[metrics[0].better],
        [sign * metric.value for metric in metrics],
        [metric.se for metric in metrics],
        [numbers.index(of) for of in kinds],
        _halves(members, name, kinds) if len(members) <= MOST_PAIRED else [],
    )


def _halves(members: list[Member], name: str, kinds: list[str]) -> list[list[float | None]]:
    metrics = [member.run.metric(name) for member in members]
    kept = [
        member.run.per_image(metric).double() if member.run.keeps(metric) else None
        for member, metric in zip(members, metrics, strict=True)
    ]
    halves = list[list[float | None]]()
    for i, one in enumerate(kept):
        row = list[float | None]()
        for j, other in enumerate(kept[:i]):
            if one is None or other is None or kinds[i] != kinds[j] or len(one) < 2:
                row.append(None)
            else:
                row.append(float(f"{_half(one - other):.4g}"))
        halves.append(row)
    return halves


def _half(difference: torch.Tensor) -> float:
    return NORMAL * difference.std().item() / sqrt(len(difference))
