"""The unit sphere S^(D-1) in R^D: the von Mises-Fisher distribution and the uniform distribution."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import normalize, pad

from vaelab.distributions.shape import SampleShape, drawn_shape

NEGLECTED = 40.0  # nats below the mode at which the density is cut off; e^-40 is below the rounding of float64
PANELS, NODES = 64, 4  # of the quadrature; a panel is at most 0.45 standard deviations wide
GAUSS_LEGENDRE = [
    (float(1 + x) / 2, float(w) / 2) for x, w in zip(*np.polynomial.legendre.leggauss(NODES), strict=True)
]
NEWTON = 3  # steps to a quantile


def log_area(dimension: int) -> float:
    """Return log(2 pi^(D/2) / Gamma(D/2)), the log area of the unit sphere in R^D; log 2 for the two points of R^1."""
    return math.log(2) + dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2)


class UniformSphere(Distribution):
    """The uniform distribution on the unit sphere.

    Arguments:
        zero: the centre [D]; draws have its type and device.
    """

    has_rsample = True

    def __init__(self, zero: Tensor) -> None:
        self.zero = zero
        super().__init__(event_shape=zero.shape, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    @property
    def mean(self) -> Tensor:
        return self.zero

    def rsample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        shape = drawn_shape(self, sample_shape)
        return normalize(torch.randn(shape, dtype=self.zero.dtype, device=self.zero.device), dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        return value.new_full(value.shape[:-1], -log_area(len(self.zero)))


class VonMisesFisher(Distribution):
    """p(z) = e^(kappa mu'z) / C on the unit sphere of R^D, D >= 2 (Mardia & Jupp 2000, section 9.3.2).

    The angle theta between z and mu has the density e^(-kappa d) sin^(D-2)(theta) / Z with d = 1 - cos(theta), and
    log C = kappa + log Z + log of the area of S^(D-2). Z, the moments of d and the distribution function F are computed
    by Gauss-Legendre quadrature in float64 over the angles where the density is not negligible. No Bessel function is
    needed, and theta is drawn as a quantile. Derivatives with respect to kappa use the formulas

        d log Z / dkappa = -E[d],   dE[d] / dkappa = -Var[d],   dtheta / dkappa = -(dF / dkappa) / F'(theta)

    (implicit reparameterisation: Figurnov, Mohamed & Mnih 2018, equation 5). The direction around mu is that of the
    component of a normal vector orthogonal to mu.

    Arguments:
        mu: [..., D], unit vectors.
        kappa: [...], at least 0. At 0 it is the uniform distribution.
    """

    has_rsample = True

    def __init__(self, mu: Tensor, kappa: Tensor) -> None:
        self.mu, self.kappa = mu, kappa
        super().__init__(kappa.shape, mu.shape[-1:], validate_args=False)
        self.angle = _Angle(kappa, mu.shape[-1])

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"mu": constraints.real_vector, "kappa": constraints.nonnegative}

    @property
    def mean(self) -> Tensor:
        """E[cos(theta)] mu, a point inside the sphere."""
        return (1 - self.angle.fall).to(self.mu.dtype).unsqueeze(-1) * self.mu

    def log_prob(self, value: Tensor) -> Tensor:
        d = (value - self.mu).square().sum(-1) / 2  # for unit vectors; 1 - mu'z would lose digits that kappa magnifies
        constant = self.angle.log_z + log_area(self.event_shape[0] - 1)
        return -self.kappa * d - constant.to(d.dtype)

    def rsample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        shape = drawn_shape(self, sample_shape)
        device, dtype = self.mu.device, self.mu.dtype
        theta = self.angle.quantile(torch.rand(shape[:-1], device=device)).to(dtype).unsqueeze(-1)
        across = torch.randn(shape, dtype=dtype, device=device)
        for _ in range(2):  # once leaves a rounding error if the vector is nearly parallel to mu
            across = normalize(across - (across * self.mu).sum(-1, keepdim=True) * self.mu, dim=-1)
        return theta.cos() * self.mu + theta.sin() * across

    def kl_to_uniform(self) -> Tensor:
        """Return KL(q || uniform) = -kappa E[d] - log Z + log(area of S^(D-1) / area of S^(D-2)), in nats, [...]."""
        dimension = self.event_shape[0]
        kl = -self.kappa.double() * self.angle.fall - self.angle.log_z + log_area(dimension) - log_area(dimension - 1)
        return kl.to(self.mu.dtype)


class _Angle:
    """The angle theta with density e^(-kappa d) sin^n(theta) / Z on [0, pi], d = 1 - cos(theta), n = D - 2; float64.

    Tensors have one more axis after the batch: the quadrature panels, or size 1.
    """

    def __init__(self, kappa: Tensor, dimension: int) -> None:
        self.kappa, self.n = kappa.double().unsqueeze(-1), dimension - 2
        with torch.no_grad():
            first, last = _window(self.kappa, self.n)
            share = torch.arange(PANELS + 1, dtype=torch.float64, device=kappa.device) / PANELS
            self.edges = first + (last - first) * share
            self.highest = self._log_density(self.edges).amax(-1, keepdim=True)
            moments = self._moments(self.edges[..., :-1], self.edges[..., 1:])
            self.below = [pad(moment.cumsum(-1), (1, 0)) for moment in moments]  # up to each edge
            self.total, fall, square = (moment[..., -1:] for moment in self.below)
            fall, square = fall / self.total, square / self.total
            log_z = self.total.log() + self.highest
        self.log_z = _with_slope(log_z, -fall, self.kappa).squeeze(-1)
        self.fall = _with_slope(fall, fall**2 - square, self.kappa).squeeze(-1)  # E[d]

    def quantile(self, u: Tensor) -> Tensor:
        """Return theta with F(theta) = u, for u [..., *batch] on a grid of 2^-24; the midpoint of each cell is used."""
        with torch.no_grad():
            u = (u.double().unsqueeze(-1) + 2**-25) * self.total
            mass, fallen, _ = self.below
            panel = (mass <= u).sum(-1, keepdim=True) - 1

            def at(values: Tensor, edge: Tensor) -> Tensor:
                return values.expand(*panel.shape[:-1], -1).gather(-1, edge)

            low, high = at(self.edges, panel), at(self.edges, panel + 1)
            below = at(mass, panel)
            f_low, f_high = self._density(low), self._density(high)
            v = (u - below) / (at(mass, panel + 1) - below)
            # Start as if the density were linear within the panel. Then apply Newton's method to log F as a function
            # of log theta, which is nearly linear near 0
            line = v * (f_low + f_high) / (f_low + ((1 - v) * f_low**2 + v * f_high**2).sqrt())
            theta = low + (high - low) * line
            for _ in range(NEWTON):
                so_far = below + self._moments(low, theta)[0]
                theta = theta * (u / so_far) ** (so_far / (theta * self._density(theta)))
                theta = torch.maximum(low, torch.minimum(high, theta))
            more, falling, _ = self._moments(low, theta)
            pull = (at(fallen, panel) + falling) - (below + more) * fallen[..., -1:] / self.total  # -dF/dkappa
            slope = pull / self._density(theta)
        return _with_slope(theta, slope, self.kappa).squeeze(-1)

    def _log_density(self, theta: Tensor) -> Tensor:
        return torch.special.xlogy(self.n, theta.sin()) - self.kappa * _fall(theta)

    def _density(self, theta: Tensor) -> Tensor:
        """Return the density relative to the largest one at the edges."""
        return (self._log_density(theta) - self.highest).exp()

    def _moments(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the integrals of f, d f and d^2 f from a to b."""
        theta = torch.stack([a + (b - a) * x for x, _ in GAUSS_LEGENDRE])
        d, f = _fall(theta), self._density(theta) * (b - a)
        f = torch.stack([weight * at for (_, weight), at in zip(GAUSS_LEGENDRE, f, strict=True)])
        return f.sum(0), (d * f).sum(0), (d * d * f).sum(0)


def _fall(theta: Tensor) -> Tensor:
    """Return 1 - cos(theta), accurate near 0."""
    return 2 * (theta / 2).sin().square()


def _window(kappa: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return the first and last angle; outside of them log f is at least 40 below its largest value.

    With x = sin^2(theta/2), log f = n/2 log 4x(1 - x) - 2 kappa x, with its mode at x*. At x = y x* below the mode,
    log f is lower by at least n/2 (y - 1 - log y). Above the mode it is lower by at least as much, with y relative to
    n / (4 kappa), and by at least 2 n (x - 1/2)^2, relative to 1/2. Two bounds of y - 1 - log y can be solved for y:
    (1 - y)^2 / 2, and m if y = 1 + m + sqrt(2 m).
    """
    x_last = (n + 2 * NEGLECTED + 2 * math.sqrt(NEGLECTED * n)) / (4 * kappa)
    x_last = x_last.clamp(max=min(1.0, 0.5 + math.sqrt(NEGLECTED / (2 * n))) if n else 1.0)
    x_first = torch.zeros_like(kappa)
    if n > 4 * NEGLECTED:
        root = n + (n**2 + 4 * kappa**2).sqrt()
        mode = n / (root + 2 * kappa)
        x_first = mode * (1 - math.sqrt(4 * NEGLECTED / n))
    return 2 * x_first.sqrt().asin(), 2 * x_last.sqrt().asin()


def _with_slope(value: Tensor, slope: Tensor, kappa: Tensor) -> Tensor:
    """Return `value` with the derivative `slope` with respect to kappa."""
    return value + slope * (kappa - kappa.detach())
