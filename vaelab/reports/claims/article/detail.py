"""The proportion of the images' detail that is missing in a model's reconstructions."""

from collections.abc import Sequence

from torch import Tensor

from vaelab.reports.claims.estimate import Estimate, ratio
from vaelab.reports.context import ReportContext
from vaelab.reports.text import KEEP, percent
from vaelab.studies.study import Member


def detail(images: Tensor) -> Tensor:
    """The variance of the pixels within each of images [N, C, H, W] around its mean colour: [N]."""
    return (images - images.mean((2, 3), keepdim=True)).double().square().flatten(1).mean(1)


def missing(context: ReportContext, runs: Sequence[Member]) -> Estimate:
    """The proportion of the test images' detail that is missing in reconstructions; `runs` differ only in the seed."""
    images = context.images(runs[0])
    errors = [(context.reconstructions(run) - images).double().square().flatten(1).mean(1) for run in runs]
    return ratio(errors, detail(images))


def as_percent(share: Estimate) -> str:
    """A proportion in percent, such as "27.1 ± 1.3 %"."""
    if share.half is None:
        return percent(share.mean, 1)
    return f"{Estimate(100 * share.mean, 100 * share.half)}{KEEP}%"


def more_or_less(share: Estimate, more: str, less: str) -> str:
    """A difference in words, such as "larger by 27.1 ± 1.3 %", without a sign."""
    return f"{more if share.mean >= 0 else less} by {as_percent(Estimate(abs(share.mean), share.half))}"
