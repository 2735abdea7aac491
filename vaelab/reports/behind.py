"""How far one model is behind another: paired differences over the same test images and the same seeds."""

from torch import Tensor

from vaelab.reports.claims.estimate import paired
from vaelab.studies.study import Member

OPEN = "not a clear difference"  # the interval of the difference contains 0


def behind(best: list[Member], other: list[Member], name: str, sign: int = 1) -> str:
    """Say by how much `other` is behind `best` in a metric, as "behind by 1.20 ± 0.30 nats", and whether that is clear.

    The 95 % interval is that of the mean paired difference, image by image and seed by seed, over the common seeds.

    Arguments:
        best, other: the runs of a model, one for each seed.
        sign: 1 if lower values are better, -1 if higher values are better.
    """
    a, b = _per_image(other, name), _per_image(best, name)
    if not (seeds := a.keys() & b.keys()):
        return "behind, but it is not known by how much"
    difference = paired([sign * a[seed] for seed in seeds], [sign * b[seed] for seed in seeds])
    return f"behind by {difference} nats" + ("" if difference.sign == 1 else f", which is {OPEN}")


def _per_image(runs: list[Member], name: str) -> dict[int, Tensor]:
    """The metric of each test image [N], by the seed of the run; runs without per-image values are left out."""
    metrics = [(run, run.run.metric(name)) for run in runs]
    return {run.seed: run.run.per_image(metric) for run, metric in metrics if run.run.keeps(metric)}
