"""Distances between two sets of features, float64 [N, F], with their standard errors."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 1_000  # images at a time, of moments
ENTRIES = 2**22  # of a matrix of pairs at a time: 34 MB


@dataclass(frozen=True)
class Distance:
    """A distance between real and generated features, and how uncertain it is."""

    value: float
    se: float | None  # over both the real and the generated images; None where it cannot be said
    generated_se: float | None  # its part that comes from the generated ones


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of features that come in chunks, in float64."""

    n: int
    mean: Tensor  # [F]
    comoment: Tensor  # [F, F], the sum of (f - mean)(f - mean)'

    @property
    def covariance(self) -> Tensor:
        """Unbiased, [F, F]; n must be 2 or more."""
        return self.comoment / (self.n - 1)


def moments(chunks: Iterable[Tensor]) -> Moments:
    """The moments of features [N, F] that come in chunks of any size, merged pairwise (Chan, Golub & LeVeque 1983)."""
    total: Moments | None = None
    for chunk in chunks:
        centred = chunk - (mean := chunk.mean(0))
        one = Moments(len(chunk), mean, centred.T @ centred)
        total = one if total is None else _merged(total, one)
    assert total is not None
    return total


def _merged(a: Moments, b: Moments) -> Moments:
    n, shift = a.n + b.n, b.mean - a.mean
    comoment = a.comoment + b.comoment + torch.outer(shift, shift) * (a.n * b.n / n)
    return Moments(n, a.mean + shift * (b.n / n), comoment)


def frechet(real: Tensor, generated: Tensor) -> Distance:
    """|mu_r - mu_g|^2 + tr(S_r + S_g - 2 (S_r S_g)^{1/2}) (Heusel et al. 2017, equation 6), with delta-method errors.

    The trace of the root is the sum of the singular values of S_r^{1/2} S_g^{1/2}: real, never negative, and exact to
    rounding where the covariances are singular. At finite n the estimate is biased, upwards as a rule (Binkowski et al.
    2018). The standard errors are those of the first-order influence of each image,

        psi(f) = 2 (mu_g - mu_r)'(f - mu_g) + (f - mu_g)'(I - T)(f - mu_g),    T S_g T = S_r,

    of a generated one, and likewise of a real one with the letters exchanged; T is the optimal transport map between
    the two Gaussians. They know nothing of the bias, are up to 1.6 times too large for equal distributions, where the
    first order vanishes, and are None where F >= n, where the root is not differentiable.

    Arguments:
        real: [N, F] float64, N at least 2.
        generated: [M, F] float64, M at least 2.
    """
    r, g = (moments(features.split(CHUNK)) for features in (real, generated))
    difference = r.mean - g.mean
    root_r, root_g = _root(r.covariance), _root(g.covariance)
    u, s, vh = torch.linalg.svd(root_r @ root_g)
    spread = r.covariance.trace() + g.covariance.trace() - 2 * s.sum()
    value = (difference.square().sum() + spread).item()
    if len(s) >= min(r.n, g.n):
        return Distance(value, None, None)
    inverse = torch.where(s > s[0] * len(s) * torch.finfo(s.dtype).eps, s.rsqrt(), 0.0)
    of_real = _influence(real - r.mean, difference, (root_g @ vh.T) * inverse).var() / r.n
    of_generated = _influence(generated - g.mean, -difference, (root_r @ u) * inverse).var() / g.n
    return Distance(value, (of_real + of_generated).sqrt().item(), of_generated.sqrt().item())


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root; eigenvalues that rounding has made negative are zero."""
    values, vectors = torch.linalg.eigh(covariance)
    assert values[0] >= -values[-1].abs() * len(values) * 1e-12, "a covariance has a negative eigenvalue"
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _influence(centred: Tensor, difference: Tensor, factor: Tensor) -> Tensor:
    """psi [N] of features less their mean, [N, F], with T = factor factor'; difference: their mean less the other."""
    return 2 * centred @ difference + centred.square().sum(1) - (centred @ factor).square().sum(1)


def kernel_distance(real: Tensor, generated: Tensor) -> Distance:
    """The unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x'y / F + 1)^3, of n and n features.

        1 / (n (n - 1)) sum_{i != j} (k(x_i, x_j) + k(y_i, y_j)) - 2 / n^2 sum_{i, j} k(x_i, y_j)

    (Gretton et al. 2012, equation 3; the kernel is that of Binkowski et al. 2018, section 4). All pairs are used, in
    chunks. Its expectation is 0 for equal distributions, so that it is negative about as often as not there. The
    standard error is that of a U-statistic (Hoeffding 1948) with h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j)
    - k(x_j, y_i); that of the generated images, at these real ones, has h_ij = k(y_i, y_j) - m_i - m_j, where m_i is
    the mean of k(y_i, x_j) over j. Both hold for equal distributions too, where the first-order part vanishes.

    Arguments:
        real: x, [n, F], n at least 2.
        generated: y, as many.
    """
    n = len(real)
    assert n == len(generated) >= 2
    to_real = torch.cat([_kernel(rows, real).mean(1) for rows in _rows(generated, n)])  # m
    within = torch.zeros((), dtype=torch.float64)  # sum of k(x, x') and k(y, y') over pairs of two
    both, conditional = _Ustatistic(n), _Ustatistic(n)
    start = 0
    for x, y, m in zip(_rows(real, n), _rows(generated, n), _rows(to_real, n), strict=True):
        xx, yy = _kernel(x, real), _kernel(y, generated)
        h = xx + yy - _kernel(x, generated) - _kernel(y, real)
        g = yy - m[:, None] - to_real
        for matrix in (xx, yy, h, g):
            matrix.diagonal(start).zero_()
        within += xx.sum() + yy.sum()
        both.add(h)
        conditional.add(g)
        start += len(x)
    value = within / (n * (n - 1)) - 2 * to_real.mean()
    return Distance(value.item(), both.standard_error(), conditional.standard_error())


class _Ustatistic:
    """The standard error of 1 / (n (n - 1)) sum_{i != j} h_ij, from rows of h with a diagonal of zeros."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.means: list[Tensor] = []
        self.squares = 0.0

    def add(self, rows: Tensor) -> None:
        self.means.append(rows.sum(1) / (self.n - 1))
        self.squares += rows.square().sum().item()

    def standard_error(self) -> float:
        """From Var U = 4 / n Var E[h|i] + 2 / n^2 Var h, to leading order in each (Hoeffding 1948)."""
        n, means = self.n, torch.cat(self.means)
        pairs = max(0.0, self.squares / (n * (n - 1)) - means.mean().item() ** 2)  # below 0 by rounding alone
        first = max(0.0, means.var().item() - pairs / n)  # a row's mean has noise of its own; a variance is not below 0
        return math.sqrt(4 * first / n + 2 * pairs / n**2)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    base = (x / x.shape[1]) @ y.T + 1
    return base * base * base


def _rows(values: Tensor, n: int) -> tuple[Tensor, ...]:
    return values.split(max(1, ENTRIES // n))
