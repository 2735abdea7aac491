import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.parts.capabilities import declared

DRAWS = 256  # the standard error of the Monte Carlo mean is 1/16 of the standard deviation


def mean_of(q: Distribution) -> Tensor:
    """Return E[z], with the batch and event shape of `q`: exact if known, otherwise the mean of 256 draws.

    A flow, for example, knows only its samples and its density.
    """
    try:
        return q.mean
    except NotImplementedError:
        return q.sample(torch.Size([DRAWS])).mean(0)


def two_means_of(q: Distribution, repeats: int) -> tuple[Tensor, Tensor]:
    """Return two estimates of E[z], each with the batch and event shape of `q`, with independent errors.

    Both are exact if the mean is known. The variance of one estimate over a batch includes its Monte Carlo noise; the
    covariance of the two does not.

    Arguments:
        repeats: how often `mean_of` is averaged in each estimate.
    """
    if not declared(q, "mean_is_estimated"):
        try:
            return q.mean, q.mean
        except NotImplementedError:
            pass
    first, second = (torch.stack([mean_of(q) for _ in range(repeats)]).mean(0) for _ in range(2))
    return first, second
