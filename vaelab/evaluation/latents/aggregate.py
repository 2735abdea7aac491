"""The aggregate posterior q(z) = 1/N sum_n q(z|x_n) of N images, streamed over images and points in float64."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaelab.distributions import is_diagonal_normal
from vaelab.evaluation.measure import Progress

POINTS = 1_000  # compared with one group of posteriors at a time; both together limit the memory
NUMBERS = 4_000_000  # held at once if a density needs every dimension of every pair
ROUNDING = 1e-9  # nats of cancellation error that are accepted in a density by matrix products


def in_float64(q: Distribution) -> Distribution:
    """Return a diagonal normal with its parameters in float64; return any other Distribution unchanged."""
    if not is_diagonal_normal(q):
        return q
    mu, sigma = q.base_dist.loc, q.base_dist.scale  # type: ignore[attr-defined]
    return Independent(Normal(mu.double(), sigma.double(), validate_args=False), 1, validate_args=False)


def log_aggregate(posteriors: Sequence[Distribution], z: Tensor, progress: Progress = lambda share: None) -> Tensor:
    """Return log q(z) in nats, [M], float64, at points z [M, D]; time grows as M N D, memory with neither M nor N.

    Arguments:
        posteriors: q(z|x_n) in groups, each of batch [B] over [D], `in_float64`, with a `log_prob` that broadcasts.
        z: on the device of the posteriors.
    """
    images = sum(q.batch_shape[0] for q in posteriors)
    blocks: list[Tensor] = []
    for points in z.split(POINTS):
        total = torch.full((len(points),), -torch.inf, dtype=torch.float64, device=z.device)
        for q in posteriors:
            total = torch.logaddexp(total, torch.logsumexp(pairwise_log_prob(q, points), 1))
        blocks.append(total - math.log(images))
        progress(min(1.0, len(blocks) * POINTS / len(z)))
    return torch.cat(blocks)


def pairwise_log_prob(q: Distribution, z: Tensor) -> Tensor:
    """Return log q(z_m|x_n) in nats, [M, B], float64, of points z [M, D] under a batch [B] of posteriors.

    For diagonal normals, -1/2 sum_d [z^2 / s^2 - 2 z mu / s^2 + mu^2 / s^2 + log 2 pi s^2] is two matrix products. If
    its terms are so large that cancellation could cost more than 1e-9 nats, each pair is computed separately. So it is
    for any other posterior.
    """
    if is_diagonal_normal(q):
        mu, sigma = q.base_dist.loc, q.base_dist.scale  # type: ignore[attr-defined]
        centre = mu.mean(0)
        about, away = mu - centre, z - centre
        reach = torch.maximum(about.abs().amax(0), away.abs().amax(0)) / sigma.amin(0)
        if torch.finfo(torch.float64).eps * reach.square().sum() < ROUNDING:
            precision = sigma**-2
            constant = (about.square() * precision + 2 * sigma.log() + math.log(2 * math.pi)).sum(1)
            return away @ (about * precision).T - 0.5 * (away.square() @ precision.T + constant)
    at_once = max(1, NUMBERS // (q.batch_shape[0] * z.shape[1]))
    return torch.cat([q.log_prob(points[:, None]).double() for points in z.split(at_once)])
