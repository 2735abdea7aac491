"""What the distributions of the 256 levels u = 0, ..., 255 of a pixel x = u / 255 have in common."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TOP = 255  # the highest level


def level_of(x: Tensor) -> Tensor:
    """The level u that is nearest to a pixel's value, as a whole number in floating point."""
    return (TOP * x).round()


def rounded(x: Tensor) -> Tensor:
    """Real numbers as pixels: the nearest of 0, 1/255, ..., 1."""
    return level_of(x).clamp(0, TOP) / TOP


@dataclass(frozen=True)
class Law:
    """A continuous symmetric distribution of location 0 and scale 1, of which levels are made by rounding.

    Arguments:
        cdf: F.
        integral: of F, from minus infinity.
        derivatives: the first, third and fifth of F.
        smooth: scale in levels from which on the formula of Euler and Maclaurin is exact enough.
        near: levels from the mean, beyond which F of a smaller scale is 0 or 1.
    """

    cdf: Callable[[Tensor], Tensor]
    integral: Callable[[Tensor], Tensor]
    derivatives: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    smooth: float
    near: int


def mean_level(law: Law, mu: Tensor, scale: Tensor) -> Tensor:
    """E[u] = sum_n P(u > n) = sum_n F((mu - n - 1/2) / s), n = 0, ..., 254, of what rounds to levels, the ends open.

    Where the scale is `law.smooth` or more, by the formula of Euler and Maclaurin (Abramowitz & Stegun 1964, 23.1.30,
    at midpoints); where it is less, term by term, since few differ from 0 and 1.

    Arguments:
        mu: location, in levels.
        scale: s, in levels, of the same shape.
    """
    narrow = scale < law.smooth
    expected = _smooth_sum(law, mu, scale.clamp(min=law.smooth))
    expected[narrow] = _near_sum(law, mu[narrow], scale[narrow])
    return expected


def _smooth_sum(law: Law, mu: Tensor, scale: Tensor) -> Tensor:
    """sum_n f(n + 1/2) = int_0^255 f - 1/24 [f'] + 7/5760 [f'''] - 31/967680 [f^(5)]."""
    a, b = mu / scale, (mu - TOP) / scale
    d1, d3, d5 = (at_a - at_b for at_a, at_b in zip(law.derivatives(a), law.derivatives(b), strict=True))
    correction = (-d1 / 24 + (7 / 5760 * d3 - 31 / 967680 * d5 / scale**2) / scale**2) / scale
    return scale * (law.integral(a) - law.integral(b)) + correction


def _near_sum(law: Law, mu: Tensor, scale: Tensor) -> Tensor:
    """sum_n f(n + 1/2): one for each level well below mu, and the levels around it."""
    nearest = mu.floor()
    total = (nearest - law.near).clamp(0, TOP)
    for step in range(-law.near, law.near + 1):
        n = nearest + step
        total = total + torch.where((n >= 0) & (n < TOP), law.cdf((mu - n - 0.5) / scale), 0)
    return total
