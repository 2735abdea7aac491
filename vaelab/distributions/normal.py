"""The normal distribution with diagonal covariance, and its Kullback-Leibler divergence."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal


def diagonal_normal(mean: Tensor, log_std: Tensor, event_dims: int = 1) -> Independent:
    """N(mean, diag(exp(log_std)^2)), the last `event_dims` axes one event.

    Arguments:
        mean: [..., *event].
        log_std: natural logarithm of the standard deviation, of a shape that broadcasts to the mean's.
        event_dims: how many trailing axes make one event: 1 for a latent vector [D], 3 for an image [C, H, W].
    """
    # validate_args would read every value back from the device, and would break the compiled graph
    return Independent(Normal(mean, log_std.exp(), validate_args=False), event_dims, validate_args=False)


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q_d || p_d) of each dimension d, [B, D], where both are diagonal normals over a vector; otherwise None.

    With t = (sigma_q / sigma_p)^2 it is 1/2 [ t - 1 - log t + ((mu_q - mu_p) / sigma_p)^2 ]; expm1 keeps t - 1 - log t
    exact near t = 1, where a collapsed posterior lies. For a standard normal p this is Kingma & Welling (2014),
    appendix B, with the sign of a divergence.
    """
    if not (is_diagonal_normal(q) and is_diagonal_normal(p)):
        return None
    mu_q, sigma_q = q.base_dist.loc, q.base_dist.scale  # type: ignore[attr-defined]
    mu_p, sigma_p = p.base_dist.loc, p.base_dist.scale  # type: ignore[attr-defined]
    log_t = 2 * (sigma_q.log() - sigma_p.log())
    return 0.5 * (torch.expm1(log_t) - log_t + ((mu_q - mu_p) / sigma_p) ** 2)


def kl_divergence(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p), [B], in nats, where a closed form is known; otherwise None.

    `torch.distributions.kl_divergence` knows more pairs, but its dispatch cannot be traced into the compiled step.
    """
    per_dimension = kl_per_dimension(q, p)
    return None if per_dimension is None else per_dimension.sum(-1)


def is_diagonal_normal(distribution: Distribution) -> bool:
    """Whether it is a normal over a vector whose dimensions are independent."""
    return (
        isinstance(distribution, Independent)
        and isinstance(distribution.base_dist, Normal)
        and distribution.reinterpreted_batch_ndims == 1
    )
