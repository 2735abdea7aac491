"""Distances between two sets of features, float64 [N, F], with their standard errors."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 1_000  # images at a time, for moments
ENTRIES = 2**22  # entries at a time of a matrix of pairs: 34 MB


@dataclass(frozen=True)
class Distance:
    """A distance between real and generated features, with its standard errors."""

    value: float
    se: float | None  # over the real and the generated images; None if it is unknown
    generated_se: float | None  # the part of it that is due to the generated images


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of features, accumulated from chunks in float64."""

    n: int
    mean: Tensor  # [F]
    comoment: Tensor  # [F, F], the sum of (f - mean)(f - mean)'

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance, [F, F]; n must be 2 or more."""
        return self.comoment / (self.n - 1)


def moments(chunks: Iterable[Tensor]) -> Moments:
    """Return the moments of features [N, F] in chunks of any size, merged pairwise (Chan, Golub & LeVeque 1983)."""
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
    """Return |mu_r - mu_g|^2 + tr(S_r + S_g - 2 (S_r S_g)^{1/2}) (Heusel et al. 2017, equation 6), with its errors.

    The trace of the root is the sum of the singular values of S_r^{1/2} S_g^{1/2}. It is real, never negative, and
    exact up to rounding even if the covariances are singular. For finite n the estimate is biased, usually upwards
    (Binkowski et al. 2018). The standard errors use the delta method, with the first-order influence of each image. For
    a generated image it is

        psi(f) = 2 (mu_g - mu_r)'(f - mu_g) + (f - mu_g)'(I - T)(f - mu_g),    T S_g T = S_r,

    where T is the optimal transport map between the two Gaussians. For a real image the two are exchanged. The standard
    errors do not include the bias. They are up to 1.6 times too large for equal distributions, where the first order
    vanishes. They are None if F >= n, because then the root is not differentiable.
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
    """Return the symmetric square root; eigenvalues that are negative by rounding count as zero."""
    values, vectors = torch.linalg.eigh(covariance)
    assert values[0] >= -values[-1].abs() * len(values) * 1e-12, "a covariance has a negative eigenvalue"
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _influence(centred: Tensor, difference: Tensor, factor: Tensor) -> Tensor:
    """Return psi [N] of centred features [N, F], T = factor factor'; difference: their mean minus the other."""
    return 2 * centred @ difference + centred.square().sum(1) - (centred @ factor).square().sum(1)


def kernel_distance(real: Tensor, generated: Tensor) -> Distance:
    """Return the unbiased squared MMD of n and n features, with the kernel k(x, y) = (x'y / F + 1)^3.

        1 / (n (n - 1)) sum_{i != j} (k(x_i, x_j) + k(y_i, y_j)) - 2 / n^2 sum_{i, j} k(x_i, y_j)

    (Gretton et al. 2012, equation 3; the kernel is that of Binkowski et al. 2018, section 4). All pairs are used, in
    chunks. The expectation is 0 for equal distributions, so about half of the estimates are then negative. The standard
    error is that of a U-statistic (Hoeffding 1948) with h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i).
    That of the generated images, given the real ones, has h_ij = k(y_i, y_j) - m_i - m_j, where m_i is the mean of
    k(y_i, x_j) over j. Both also hold for equal distributions, where the first-order part vanishes.

    Arguments:
        real: x, [n, F], n at least 2.
        generated: y, [n, F].
    """
    n = len(real)
    assert n == len(generated) >= 2
    to_real = torch.cat([_kernel(rows, real).mean(1) for rows in _rows(generated, n)])  # m
    within = torch.zeros((), dtype=torch.float64)  # sum of k(x, x') and k(y, y') over pairs of different images
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
    """The standard error of 1 / (n (n - 1)) sum_{i != j} h_ij, from rows of h with a zero diagonal."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.means: list[Tensor] = []
        self.squares = 0.0

    def add(self, rows: Tensor) -> None:
        self.means.append(rows.sum(1) / (self.n - 1))
        self.squares += rows.square().sum().item()

    def standard_error(self) -> float:
        """Return it by Var U = 4 / n Var E[h|i] + 2 / n^2 Var h, to leading order in each (Hoeffding 1948)."""
        n, means = self.n, torch.cat(self.means)
        pairs = max(0.0, self.squares / (n * (n - 1)) - means.mean().item() ** 2)  # negative only by rounding
        first = max(0.0, means.var().item() - pairs / n)  # without the noise of a row's mean; not below 0
        return math.sqrt(4 * first / n + 2 * pairs / n**2)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    base = (x / x.shape[1]) @ y.T + 1
    return base * base * base


def _rows(values: Tensor, n: int) -> tuple[Tensor, ...]:
    return values.split(max(1, ENTRIES // n))
