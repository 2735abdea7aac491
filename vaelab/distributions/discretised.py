"""The discretised logistic distribution over the 256 levels of a pixel, and mixtures of it."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid
from torch.types import _size

from vaelab.distributions.mixture import Mixture

TOP = 255  # the highest level
NEAR = 16  # levels from the mean, beyond which a sigmoid narrower than a level is 0 or 1 but for e^-16


def discretised_logistic(
    mean: Tensor, log_scale: Tensor, logits: Tensor | None = None, event_dims: int = 3
) -> Independent:
    """Pixels u / 255 that are discretised logistics, the last `event_dims` axes one event; or mixtures of them.

    Arguments:
        mean: mu, [..., *event], or [..., K, *event] of each component where there are logits.
        log_scale: log s, in pixels' units as mu, of a shape that broadcasts to the mean's.
        logits: [..., K, *event], log weights of the components but for a constant.
    """
    levels: Distribution = DiscretisedLogistic(mean, log_scale)
    if logits is not None:
        levels = Mixture(logits, levels, -event_dims - 1)
    return Independent(levels, event_dims, validate_args=False)


class DiscretisedLogistic(Distribution):
    """A level u of 0, ..., 255 as the pixel x = u / 255: what a logistic variable with mean mu and scale s rounds to.

        P(u) = sigma((x + 1/510 - mu) / s) - sigma((x - 1/510 - mu) / s),

    where level 0 has all that lies below it and level 255 all that lies above it, so that the probabilities sum to one
    (Kingma et al. 2016, section 6.1; Salimans, Karpathy, Chen & Kingma 2017, section 2.1). A value is the level that is
    nearest to it. Good for every s whose 1 / s is finite.

    Arguments:
        mean: mu, any real number.
        log_scale: log s, of a shape that broadcasts to the mean's.
    """

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        self.mu, self.log_scale = mean, log_scale
        super().__init__(torch.broadcast_shapes(mean.shape, log_scale.shape), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"mu": constraints.real, "log_scale": constraints.real}

    def log_prob(self, value: Tensor) -> Tensor:
        """log P, exact in every tail: sigma(b) - sigma(a) = sigma(b) sigma(-a) (1 - e^(a - b)), a factor at a time."""
        u = (TOP * value).round()
        per_level = torch.exp(-self.log_scale) / TOP  # b - a, the width of a level in scales
        above = logsigmoid((u + 0.5 - TOP * self.mu) * per_level)  # log sigma(b)
        below = logsigmoid((TOP * self.mu - u + 0.5) * per_level)  # log sigma(-a)
        between = torch.log(-torch.expm1(-per_level))
        return torch.where(u == 0, above, torch.where(u == TOP, below, above + below + between))

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            uniform = torch.rand(shape, dtype=self.mu.dtype, device=self.mu.device)
            x = self.mu + self.log_scale.exp() * uniform.logit()  # -inf, if it comes, is level 0
            return (TOP * x).round().clamp(0, TOP) / TOP

    @property
    def mean(self) -> Tensor:
        """E[u] / 255 with E[u] = sum_n P(u > n) = sum_n sigma((255 mu - n - 1/2) / S), n = 0, ..., 254.

        Where the scale S = 255 s is a level or more, by the formula of Euler and Maclaurin (Abramowitz & Stegun 1964,
        23.1.30, at midpoints); where it is less, term by term, since few differ from 0 and 1. Either is right to 2e-6
        of a level, rounding apart.
        """
        mu, scale = torch.broadcast_tensors(TOP * self.mu, TOP * self.log_scale.exp())
        narrow, expected = scale < 1, _smooth_sum(mu, scale.clamp(min=1))
        expected[narrow] = _near_sum(mu[narrow], scale[narrow])
        return expected / TOP


def _smooth_sum(mu: Tensor, scale: Tensor) -> Tensor:
    """sum_n f(n + 1/2) = int_0^255 f - 1/24 [f'] + 7/5760 [f'''] - 31/967680 [f^(5)], for scales of 1 or more."""
    a, b = mu / scale, (mu - TOP) / scale
    d1, d3, d5 = (at_a - at_b for at_a, at_b in zip(_derivatives(a), _derivatives(b), strict=True))
    correction = (-d1 / 24 + (7 / 5760 * d3 - 31 / 967680 * d5 / scale**2) / scale**2) / scale
    return scale * (logsigmoid(-b) - logsigmoid(-a)) + correction


def _derivatives(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first, third and fifth derivative of sigma."""
    v = torch.sigmoid(a) * torch.sigmoid(-a)
    return v, v * (1 - 6 * v), v * (1 - 30 * v + 120 * v**2)


def _near_sum(mu: Tensor, scale: Tensor) -> Tensor:
    """sum_n f(n + 1/2) for scales below 1: one for each level well below mu, and the levels around it."""
    nearest = mu.floor()
    total = (nearest - NEAR).clamp(0, TOP)
    for step in range(-NEAR, NEAR + 1):
        n = nearest + step
        total = total + torch.where((n >= 0) & (n < TOP), torch.sigmoid((mu - n - 0.5) / scale), 0)
    return total
