"""The discretised normal distribution over the 256 levels of a pixel."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.distributions.constraints import Constraint
from torch.special import erfcx, ndtr

from vaelab.distributions.levels import TOP, Law, level_of, mean_level, rounded
from vaelab.distributions.shape import SampleShape, drawn_shape

THIN = 0.1  # a level is thin if log phi changes by at most this much across it, so that it is nearly linear there
SQRT_2, LOG_SQRT_2_PI = math.sqrt(2), 0.5 * math.log(2 * math.pi)


def discretised_normal(mean: Tensor, log_std: Tensor, event_dims: int = 3) -> Independent:
    """Return the discretised normal distribution of pixels u / 255; the last `event_dims` axes form one event.

    Arguments:
        mean: mu, [..., *event].
        log_std: log sigma, in the units of the pixels, as mu; of a shape that broadcasts to the mean's.
    """
    return Independent(DiscretisedNormal(mean, log_std), event_dims, validate_args=False)


class DiscretisedNormal(Distribution):
    """A pixel x = u / 255 with a level u in 0, ..., 255: a rounded normal variable with mean mu and deviation sigma.

        P(u) = Phi((x + 1/510 - mu) / sigma) - Phi((x - 1/510 - mu) / sigma),

    Level 0 includes everything below it, and level 255 everything above it, so the probabilities sum to one. A value is
    rounded to the nearest level. It is accurate for every sigma with a finite 1 / sigma^2.

    Arguments:
        mean: mu, any real number.
        log_std: log sigma, of a shape that broadcasts to the mean's.
    """

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mu, self.log_std = mean, log_std
        super().__init__(torch.broadcast_shapes(mean.shape, log_std.shape), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"mu": constraints.real, "log_std": constraints.real}

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P, accurate in all tails."""
        u = level_of(value)
        levels = u - TOP * self.mu  # from the mean to the middle of the level
        width = torch.exp(-self.log_std) / TOP  # of a level, in units of sigma
        outwards = torch.where(u == 0, levels, -levels)
        at_end = _log_below((outwards + 0.5) * width)
        return torch.where((u == 0) | (u == TOP), at_end, _log_between(levels.abs(), width))

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = drawn_shape(self, sample_shape)
            noise = torch.randn(shape, dtype=self.mu.dtype, device=self.mu.device)
            return rounded(self.mu + self.log_std.exp() * noise)

    @property
    def mean(self) -> Tensor:
        """E[u] / 255, accurate to 1e-7 of a level, apart from rounding."""
        return mean_level(NORMAL, *torch.broadcast_tensors(TOP * self.mu, TOP * self.log_std.exp())) / TOP


def _log_below(b: Tensor) -> Tensor:
    """Return log Phi(b). The function of torch 2.13 has a wrong gradient far below 0."""
    low, high = torch.where(b < 0, b, 0), torch.where(b < 0, 0, b)
    if_low = -low.square() / 2 - math.log(2) + torch.log(erfcx(-low / SQRT_2))
    return torch.where(b < 0, if_low, torch.log1p(-torch.erfc(high / SQRT_2) / 2))


def _log_between(levels: Tensor, width: Tensor) -> Tensor:
    """Return log (Phi(b) - Phi(a)) with b - a = w and (a + b) / 2 = t, where `levels` = t / w >= 0.

    There are three cases. A thin level: w phi(t) (1 + (t^2 - 1) w^2 / 24 + (t^4 - 6 t^2 + 3) w^4 / 1920), accurate to
    1e-11. A level that contains the mean: by erf. A level above the mean: by Phi(-a) = phi(a) sqrt(pi / 2)
    erfcx(a / sqrt 2), which takes out the factor that underflows:
    -a^2 / 2 - log 2 + log(erfcx(a / sqrt 2) - e^(-w t) erfcx(b / sqrt 2)). The formula of each case is evaluated
    everywhere. Outside its own case it gets harmless arguments, because 0 times a gradient that is not finite is NaN.
    """
    thin, around = width * (1 + levels * width) < THIN, levels < 0.5
    far = ~(thin | around)

    w = torch.where(thin, width, THIN)
    t2 = torch.where(thin, levels * width, 0).square()
    bend = ((t2 - 1) / 24 + (t2.square() - 6 * t2 + 3) * w.square() / 1920) * w.square()
    if_thin = w.log() - t2 / 2 - LOG_SQRT_2_PI + torch.log1p(bend)

    inside = torch.where(around, levels, 0)
    if_around = torch.log((torch.erf((inside + 0.5) * width / SQRT_2) + torch.erf((0.5 - inside) * width / SQRT_2)) / 2)

    away, w = torch.where(far, levels, 1), torch.where(far, width, 1)
    a, b = (away - 0.5) * w, (away + 0.5) * w
    rest = erfcx(a / SQRT_2) - torch.exp(-away * w.square()) * erfcx(b / SQRT_2)
    if_far = -a.square() / 2 - math.log(2) + torch.log(rest)
    return torch.where(thin, if_thin, torch.where(around, if_around, if_far))


def _density(t: Tensor) -> Tensor:
    return torch.exp(-t.square() / 2 - LOG_SQRT_2_PI)


def _derivatives(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    phi, t2 = _density(t), t.square()
    return phi, (t2 - 1) * phi, (t2.square() - 6 * t2 + 3) * phi


# 20 levels from the mean, a normal with sigma of at most two levels differs from 0 or 1 by 1e-23
NORMAL = Law(ndtr, lambda t: t * ndtr(t) + _density(t), _derivatives, smooth=2, near=20)
