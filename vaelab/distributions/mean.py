import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.parts.capabilities import declared

DRAWS = 256  # the Monte Carlo mean's standard error is a sixteenth of the standard deviation


def mean_of(q: Distribution) -> Tensor:
    """E[z], batch and event shape of `q`: exact where the distribution knows it, otherwise the mean of 256 draws.

    A flow knows only its samples and its density.
    """
    try:
        return q.mean
    except NotImplementedError:
        return q.sample(torch.Size([DRAWS])).mean(0)


def two_means_of(q: Distribution, repeats: int) -> tuple[Tensor, Tensor]:
    """Two estimates of E[z], batch and event shape of `q`, whose errors are independent; both exact where it is known.

    The covariance of the two over a batch has no part of their noise, as the variance of one has.

    Arguments:
        repeats: how many times `mean_of` is averaged in each, where it is an estimate.
    """
    if not declared(q, "mean_is_estimated"):
        try:
            return q.mean, q.mean
        except NotImplementedError:
            pass
    first, second = (torch.stack([mean_of(q) for _ in range(repeats)]).mean(0) for _ in range(2))
    return first, second
