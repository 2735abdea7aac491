"""Functions that the distributions of the 256 levels u = 0, ..., 255 of a pixel x = u / 255 share."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TOP = 255  # the highest level


def level_of(x: Tensor) -> Tensor:
    """Return the level u nearest to a pixel's value, as a whole number in floating point."""
    return (TOP * x).round()


def rounded(x: Tensor) -> Tensor:
    """Round real numbers to pixels: the nearest of 0, 1/255, ..., 1."""
    return level_of(x).clamp(0, TOP) / TOP


@dataclass(frozen=True)
class Law:
    """A continuous symmetric distribution with location 0 and scale 1, which is rounded to levels.

    Arguments:
        cdf: F.
        integral: the integral of F from minus infinity.
        derivatives: the first, third and fifth derivatives of F.
        smooth: the smallest scale, in levels, at which the Euler-Maclaurin formula is accurate enough.
        near: distance from the mean, in levels, beyond which F is 0 or 1 if the scale is below `smooth`.
    """

    cdf: Callable[[Tensor], Tensor]
    integral: Callable[[Tensor], Tensor]
    derivatives: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    smooth: float
    near: int


def mean_level(law: Law, mu: Tensor, scale: Tensor) -> Tensor:
    """Return E[u] = sum_n P(u > n) = sum_n F((mu - n - 1/2) / s), n = 0, ..., 254, of a variable rounded to levels.

    The first and the last level are open. If the scale is `law.smooth` or more, the sum uses the Euler-Maclaurin
    formula (Abramowitz & Stegun 1964, 23.1.30, at midpoints). If it is less, the terms are added one by one, because
    few of them differ from 0 and 1.

    Arguments:
        mu: location, in levels.
        scale: s, in levels, of the same shape.
    """
    narrow = scale < law.smooth
    expected = _smooth_sum(law, mu, scale.clamp(min=law.smooth))
    if torch.compiler.is_exporting():  # a program of torch.export has no shapes that depend on values
        return torch.where(narrow, _near_sum_at_once(law, mu, scale), expected)
    expected[narrow] = _near_sum(law, mu[narrow], scale[narrow])
    return expected


def _smooth_sum(law: Law, mu: Tensor, scale: Tensor) -> Tensor:
    """Return sum_n f(n + 1/2) = int_0^255 f - 1/24 [f'] + 7/5760 [f'''] - 31/967680 [f^(5)]."""
    a, b = mu / scale, (mu - TOP) / scale
    d1, d3, d5 = (at_a - at_b for at_a, at_b in zip(law.derivatives(a), law.derivatives(b), strict=True))
    correction = (-d1 / 24 + (7 / 5760 * d3 - 31 / 967680 * d5 / scale**2) / scale**2) / scale
    return scale * (law.integral(a) - law.integral(b)) + correction


def _near_sum(law: Law, mu: Tensor, scale: Tensor) -> Tensor:
    """Return sum_n f(n + 1/2): 1 for each level far below mu, and f itself for the levels near mu."""
    nearest = mu.floor()
    total = (nearest - law.near).clamp(0, TOP)
    for step in range(-law.near, law.near + 1):
        n = nearest + step
        total = total + torch.where((n >= 0) & (n < TOP), law.cdf((mu - n - 0.5) / scale), 0)
    return total


def _near_sum_at_once(law: Law, mu: Tensor, scale: Tensor) -> Tensor:
    """Return the same as `_near_sum` in few operations; it takes the memory of all terms."""
    nearest = mu.floor()
    n = nearest.unsqueeze(-1) + torch.arange(-law.near, law.near + 1, dtype=mu.dtype, device=mu.device)
    terms = law.cdf((mu.unsqueeze(-1) - n - 0.5) / scale.unsqueeze(-1))
    return (nearest - law.near).clamp(0, TOP) + torch.where((n >= 0) & (n < TOP), terms, 0).sum(-1)
