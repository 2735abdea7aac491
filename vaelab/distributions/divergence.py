"""Kullback-Leibler divergences in closed form."""

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from vaelab.distributions.normal import is_diagonal_normal
from vaelab.distributions.sphere import UniformSphere, VonMisesFisher


def kl_divergence(q: Distribution, p: Distribution) -> Tensor | None:
    """Return KL(q || p), [B], in nats, or None if no closed form is known.

    The known pairs are two diagonal normals; a full normal and a diagonal one; a von Mises-Fisher distribution and the
    uniform distribution on the sphere. `torch.distributions.kl_divergence` knows more pairs, but its dispatch cannot be
    traced into the compiled step.
    """
    if isinstance(q, VonMisesFisher) and isinstance(p, UniformSphere):
        return q.kl_to_uniform()
    if isinstance(q, MultivariateNormal) and is_diagonal_normal(p):
        return _full_to_diagonal(q, p)
    per_dimension = kl_per_dimension(q, p)
    return None if per_dimension is None else per_dimension.sum(-1)


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor | None:
    """Return KL(q_d || p_d) of each dimension d, [B, D], or None unless both are diagonal normals over a vector.

    With t = (sigma_q / sigma_p)^2 it is 1/2 [ t - 1 - log t + ((mu_q - mu_p) / sigma_p)^2 ]. For a standard normal p
    this is minus the expression of Kingma & Welling (2014), appendix B.
    """
    if not (is_diagonal_normal(q) and is_diagonal_normal(p)):
        return None
    mu, sigma = q.base_dist.loc, q.base_dist.scale  # type: ignore[attr-defined]
    return _normal_terms(mu, sigma, p)


def _full_to_diagonal(q: MultivariateNormal, p: Distribution) -> Tensor:
    """Return the KL of q = N(mu, L L'): that of the diagonal of L alone, plus 1/2 sum_{i > j} (L_ij / sigma_i)^2."""
    factor = q.scale_tril
    beside = factor.tril(-1) / p.base_dist.scale.unsqueeze(-1)  # type: ignore[attr-defined]
    alone = _normal_terms(q.loc, factor.diagonal(dim1=-2, dim2=-1), p).sum(-1)
    return alone + 0.5 * beside.square().sum((-2, -1))


def _normal_terms(mu: Tensor, sigma: Tensor, p: Distribution) -> Tensor:
    """Return the KL of N(mu_d, sigma_d^2) to each dimension of a diagonal normal p.

    expm1 keeps t - 1 - log t accurate near t = 1, which is where a collapsed posterior is.
    """
    mu_p, sigma_p = p.base_dist.loc, p.base_dist.scale  # type: ignore[attr-defined]
    log_t = 2 * (sigma.log() - sigma_p.log())
    return 0.5 * (torch.expm1(log_t) - log_t + ((mu - mu_p) / sigma_p) ** 2)
