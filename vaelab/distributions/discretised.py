"""The discretised logistic distribution over the 256 levels of a pixel, and mixtures of it."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid

from vaelab.distributions.levels import TOP, Law, level_of, mean_level, rounded
from vaelab.distributions.mixture import Mixture
from vaelab.distributions.shape import SampleShape, drawn_shape


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
    (Kingma et al. 2016, appendix C.5; Salimans, Karpathy, Chen & Kingma 2017, section 2.1). A value stands for
    the level nearest to it. Good for every s whose 1 / s is finite.

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
        u = level_of(value)
        per_level = torch.exp(-self.log_scale) / TOP  # b - a, the width of a level in scales
        above = logsigmoid((u + 0.5 - TOP * self.mu) * per_level)  # log sigma(b)
        below = logsigmoid((TOP * self.mu - u + 0.5) * per_level)  # log sigma(-a)
        between = torch.log(-torch.expm1(-per_level))
        return torch.where(u == 0, above, torch.where(u == TOP, below, above + below + between))

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = drawn_shape(self, sample_shape)
            uniform = torch.rand(shape, dtype=self.mu.dtype, device=self.mu.device)
            return rounded(self.mu + self.log_scale.exp() * uniform.logit())  # -inf, if it comes, is level 0

    @property
    def mean(self) -> Tensor:
        """E[u] / 255, right to 2e-6 of a level, rounding apart."""
        return mean_level(LOGISTIC, *torch.broadcast_tensors(TOP * self.mu, TOP * self.log_scale.exp())) / TOP


def _derivatives(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    v = torch.sigmoid(a) * torch.sigmoid(-a)
    return v, v * (1 - 6 * v), v * (1 - 30 * v + 120 * v**2)


# 16 levels away, a sigmoid narrower than a level is 0 or 1 but for e^-16
LOGISTIC = Law(torch.sigmoid, lambda a: -logsigmoid(-a), _derivatives, smooth=1, near=16)
