"""Precision, recall, density and coverage: which features are in the neighbourhoods of the other set."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.evaluation.proportion import Proportion

ENTRIES = 2**22  # entries at a time of a matrix of distances: 34 MB
TIES = 1e-9  # relative tolerance of a radius: points on the surface are inside, and images with few levels tie often
EQUAL = 1e-12  # below this times |a|^2 + |b|^2, a squared distance is rounding error, and a equals b


@dataclass(frozen=True)
class Neighbourhoods:
    """Results for N real and M generated features, with balls that reach to the k-th nearest neighbour."""

    precision: Proportion  # of generated features inside a ball of a real one
    recall: Proportion  # of real features inside a ball of a generated one
    coverage: Proportion  # of real features with a generated one in their ball
    density: Tensor  # [M], for each generated feature: the number of real balls that contain it, divided by k


def neighbourhoods(real: Tensor, generated: Tensor, k: int) -> Neighbourhoods:
    """Return precision, recall (Kynkaanniemi et al. 2019, section 2), density, coverage (Naeem et al. 2020, section 3).

    The ball around a feature reaches to its k-th nearest neighbour in its own set, not counting itself, and includes
    its surface. For equal distributions the expected density is 1 and the expected coverage

        1 - (N - 1)...(N - k) / ((M + N - 1)...(M + N - k))

    (Naeem et al. 2020, section 3). The expected precision and recall have no closed form, are not 1, and depend on N
    and M.

    Arguments:
        real: [N, F] float64, N above k.
        generated: [M, F] float64, M above k.
    """
    real_radius, generated_radius = squared_radii(real, k), squared_radii(generated, k)
    holders = torch.zeros(len(generated), dtype=torch.int64)
    covered, recalled = 0, 0
    size = _chunk(len(generated))
    for rows, radius in zip(real.split(size), real_radius.split(size), strict=True):
        distance = squared_distances(rows, generated)
        held = distance <= radius[:, None] * (1 + TIES)
        holders += held.sum(0)
        covered += int(held.any(1).sum())
        recalled += int((distance <= generated_radius * (1 + TIES)).any(1).sum())
    n, m = len(real), len(generated)
    return Neighbourhoods(
        precision=Proportion(int((holders > 0).sum()), m),
        recall=Proportion(recalled, n),
        coverage=Proportion(covered, n),
        density=holders.double() / k,
    )


def squared_radii(features: Tensor, k: int) -> Tensor:
    """Return the squared distance of each of [N, F] to its k-th nearest neighbour among the others, [N]."""
    assert 1 <= k < len(features)
    radii, start = [], 0
    for rows in features.split(_chunk(len(features))):
        distance = squared_distances(rows, features)
        distance.diagonal(start).fill_(torch.inf)
        radii.append(distance.topk(k, dim=1, largest=False).values[:, -1])
        start += len(rows)
    return torch.cat(radii)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return |a_i - b_j|^2 of [n, F] and [m, F] in float64, [n, m]: exactly 0 for equal rows."""
    norms = a.square().sum(1)[:, None] + b.square().sum(1)
    distance = torch.addmm(norms, a, b.T, alpha=-2)
    return torch.where(distance > EQUAL * norms, distance, 0.0)


def _chunk(columns: int) -> int:
    return max(1, ENTRIES // columns)
