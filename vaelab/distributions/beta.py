"""The beta distribution with parameters mean and concentration, accurate for narrow densities."""

import math

import torch
from torch import Tensor
from torch.distributions import Beta as TorchBeta
from torch.distributions import Distribution, Independent, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid

from vaelab.distributions.shape import SampleShape

LARGE = 8.0  # above this, Stirling's series is accurate enough
LOG_SQRT_2_PI = 0.5 * math.log(2 * math.pi)


def beta(logit: Tensor, log_concentration: Tensor, event_dims: int = 3) -> Independent:
    """Return the beta distribution of numbers in (0, 1); the last `event_dims` axes form one event.

    Arguments:
        logit: logit of the mean mu, [..., *event].
        log_concentration: log nu, of a shape that broadcasts to that of `logit`.
    """
    return Independent(Beta(logit, log_concentration), event_dims, validate_args=False)


class Beta(Distribution):
    """p(x) = x^(a - 1) (1 - x)^(b - 1) / B(a, b) with a = mu nu, b = (1 - mu) nu; parameters are logit mu and log nu.

    torch's own subtracts three log Gamma values. In float32 this leaves an error of a few hundredths of a nat if nu is
    large. Here the large terms are cancelled analytically. With d the remainder of Stirling's formula,

        log p = a log(x / mu) + b log((1 - x) / (1 - mu)) - log x (1 - x) + 1/2 log(nu mu (1 - mu) / 2 pi)
                + d(nu) - d(a) - d(b).
    """

    def __init__(self, logit: Tensor, log_concentration: Tensor) -> None:
        self.logit, self.log_nu = logit, log_concentration
        super().__init__(torch.broadcast_shapes(logit.shape, log_concentration.shape), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"logit": constraints.real, "log_nu": constraints.real}

    def log_prob(self, value: Tensor) -> Tensor:
        nu, log_mu, log_rest = self.log_nu.exp(), logsigmoid(self.logit), logsigmoid(-self.logit)
        a, b = self._shapes
        log_x, log_1_x = value.log(), torch.log1p(-value)
        kernel = a * (log_x - log_mu) + b * (log_1_x - log_rest) - log_x - log_1_x
        return kernel + (self.log_nu + log_mu + log_rest) / 2 - LOG_SQRT_2_PI + _rest(nu) - _rest(a) - _rest(b)

    @property
    def _shapes(self) -> tuple[Tensor, Tensor]:
        nu = self.log_nu.exp()
        return nu * self.logit.sigmoid(), nu * (-self.logit).sigmoid()

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            return TorchBeta(*self._shapes, validate_args=False).sample(sample_shape)

    @property
    def mean(self) -> Tensor:
        return self.logit.sigmoid().expand(self.batch_shape)


def _rest(t: Tensor) -> Tensor:
    """Return d(t) = log Gamma(t) - ((t - 1/2) log t - t + 1/2 log 2 pi) = 1 / 12t - 1 / 360t^3 + ...

    The series is in Abramowitz & Stegun 1964, 6.1.41.
    """
    large = t > LARGE
    high, low = torch.where(large, t, LARGE), torch.where(large, LARGE, t)
    i2 = high.square().reciprocal()
    series = (1 / 12 - i2 * (1 / 360 - i2 * (1 / 1260 - i2 * (1 / 1680 - i2 / 1188)))) / high
    plain = torch.lgamma(low) - (low - 0.5) * low.log() + low - LOG_SQRT_2_PI
    return torch.where(large, series, plain)
