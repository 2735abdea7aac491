"""How far one model is behind another: differences of the same test images, seed by seed."""

from torch import Tensor

from vaelab.reports.claims.estimate import paired
from vaelab.studies.study import Member

OPEN = "not clear"  # which of two is better, where the interval of the difference contains 0


def behind(best: list[Member], other: list[Member], name: str, sign: int = 1) -> str:
    """By how much `other` is behind `best` in a metric, as "behind by 1.20 ± 0.30"; says where that is not clear.

    The interval of 95 % is of the mean difference, image by image and seed by seed, over the seeds that both have.

    Arguments:
        best, other: the runs of a model, one for each seed.
        sign: 1 where a lower value is better, -1 where a higher one is.
    """
    a, b = _per_image(other, name), _per_image(best, name)
    if not (seeds := a.keys() & b.keys()):
        return f"behind, by how much is {OPEN}"
    difference = paired([sign * a[seed] for seed in seeds], [sign * b[seed] for seed in seeds])
    return f"behind by {difference}" + ("" if difference.sign == 1 else f", {OPEN}")


def _per_image(runs: list[Member], name: str) -> dict[int, Tensor]:
    """The metric of each test image [N], by the seed of the run; without runs that do not keep it."""
    metrics = [(run, run.run.metric(name)) for run in runs]
    return {run.seed: run.run.per_image(metric) for run, metric in metrics if run.run.keeps(metric)}
