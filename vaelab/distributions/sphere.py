"""The unit sphere S^(D-1) in R^D: the von Mises-Fisher distribution, and the uniform one."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import normalize, pad

from vaelab.distributions.shape import SampleShape, drawn_shape

NEGLECTED = 40.0  # nats below the mode, at which a density is cut off: e^-40 is lost in the rounding of float64
PANELS, NODES = 64, 4  # of the quadrature; a panel is 0.45 standard deviations wide or less
GAUSS_LEGENDRE = [
    (float(1 + x) / 2, float(w) / 2) for x, w in zip(*np.polynomial.legendre.leggauss(NODES), strict=True)
]
NEWTON = 3  # steps to a quantile


def log_area(dimension: int) -> float:
    """log of the area of the unit sphere in R^dimension, 2 pi^(D/2) / Gamma(D/2); log 2 for the two points of R^1."""
    return math.log(2) + dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2)


class UniformSphere(Distribution):
    """The uniform distribution on the unit sphere.

    Arguments:
        zero: the centre [D], whose type and device are those of the draws.
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
    log C = kappa + log Z + log of the area of S^(D-2). Z, the moments of d and the distribution function F are by
    Gauss-Legendre quadrature in float64 over the angles where the density is not negligible: no Bessel function, and a
    draw of theta is a quantile. What depends on kappa gets its derivative by the formula:

        d log Z / dkappa = -E[d],   dE[d] / dkappa = -Var[d],   dtheta / dkappa = -(dF / dkappa) / F'(theta)

    (implicit reparameterisation: Figurnov, Mohamed & Mnih 2018, equation 5). Around mu the direction is that of a
    normal vector's part at right angles to mu.

    Arguments:
        mu: [..., D], unit vectors.
        kappa: [...], 0 or more. At 0 it is the uniform distribution.
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
        """E[cos(theta)] mu, inside the sphere."""
        return (1 - self.angle.fall).to(self.mu.dtype).unsqueeze(-1) * self.mu

    def log_prob(self, value: Tensor) -> Tensor:
        d = (value - self.mu).square().sum(-1) / 2  # of unit vectors; 1 - mu'z would lose what kappa multiplies
        constant = self.angle.log_z + log_area(self.event_shape[0] - 1)
        return -self.kappa * d - constant.to(d.dtype)

    def rsample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        shape = drawn_shape(self, sample_shape)
        device, dtype = self.mu.device, self.mu.dtype
        theta = self.angle.quantile(torch.rand(shape[:-1], device=device)).to(dtype).unsqueeze(-1)
        across = torch.randn(shape, dtype=dtype, device=device)
        for _ in range(2):  # once leaves the rounding of a vector that was nearly along mu
            across = normalize(across - (across * self.mu).sum(-1, keepdim=True) * self.mu, dim=-1)
        return theta.cos() * self.mu + theta.sin() * across

    def kl_to_uniform(self) -> Tensor:
        """KL(q || uniform) = -kappa E[d] - log Z + log(area of S^(D-1) / area of S^(D-2)), in nats, [...]."""
        dimension = self.event_shape[0]
        kl = -self.kappa.double() * self.angle.fall - self.angle.log_z + log_area(dimension) - log_area(dimension - 1)
        return kl.to(self.mu.dtype)


class _Angle:
    """theta of density e^(-kappa d) sin^n(theta) / Z on [0, pi], with d = 1 - cos(theta) and n = D - 2; float64.

    Behind the batch there is an axis of angles, of the panels or of one.
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
        """theta with F(theta) = u, for u [..., *batch] on a grid of 2^-24, of which the middles are taken."""
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
            # As if the density were a straight line from edge to edge; from there by Newton's method on log F as a
            # function of log theta, which is all but a straight line near 0
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
        """Relative to the highest of those at the edges."""
        return (self._log_density(theta) - self.highest).exp()

    def _moments(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The integrals of f, d f and d^2 f from a to b."""
        theta = torch.stack([a + (b - a) * x for x, _ in GAUSS_LEGENDRE])
        d, f = _fall(theta), self._density(theta) * (b - a)
        f = torch.stack([weight * at for (_, weight), at in zip(GAUSS_LEGENDRE, f, strict=True)])
        return f.sum(0), (d * f).sum(0), (d * d * f).sum(0)


def _fall(theta: Tensor) -> Tensor:
    """1 - cos(theta), exact near 0."""
    return 2 * (theta / 2).sin().square()


def _window(kappa: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Angles outside of which log f lies 40 or more below its largest value.

    With x = sin^2(theta/2), log f = n/2 log 4x(1 - x) - 2 kappa x. From its mode x* it falls by n/2 (y - 1 - log y) at
    least at x = y x* below it; above, by as much from n / 4 kappa, and by 2 n (x - 1/2)^2 from 1/2. Bounds of these
    that can be solved for y are (1 - y)^2 / 2 and, for y = 1 + m + sqrt(2 m), m.
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
    """`value`, whose derivative with respect to kappa is `slope`."""
    return value + slope * (kappa - kappa.detach())
