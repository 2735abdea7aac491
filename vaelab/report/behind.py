"""How far one model is behind another: differences of the same test images, seed by seed."""

from typing import Any

from vaelab.report.claims.estimate import paired
from vaelab.study import Member

OPEN = "not clear"  # which of two is better, where the interval of the difference contains 0


def behind(best: list[Member], other: list[Member], name: str, sign: int = 1) -> str:
    """By how much `other` is behind `best` in a metric, as "behind by 1.20 ± 0.30"; says where that is not clear.

    The interval of 95 % is of the mean difference, image by image and seed by seed, over the seeds that both have.

    Arguments:
        best, other: the runs of a model, one for each seed.
        sign: 1 where a lower value is better, -1 where a higher one is.
    """
    ours, theirs = ({run.seed: (run, _row(run, name)) for run in runs} for runs in (best, other))
    seeds = [
        seed for seed in ours if seed in theirs and all(run.run.keeps(row) for run, row in (ours[seed], theirs[seed]))
    ]
    if not seeds:
        return f"behind, by how much is {OPEN}"
    a, b = ([of[seed][0].run.per_image(of[seed][1]) for seed in seeds] for of in (theirs, ours))
    difference = paired([sign * one for one in a], [sign * one for one in b])
    return f"behind by {difference}" + ("" if difference.sign == 1 else f", {OPEN}")


def _row(run: Member, name: str) -> dict[str, Any]:
    return run.run.metric(name)
