"""The discretised logistic distribution over the 256 levels of a pixel, and its mixtures."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid, softplus

from vaelab.distributions.levels import TOP, Law, level_of, mean_level, rounded
from vaelab.distributions.mixture import Mixture
from vaelab.distributions.shape import SampleShape, drawn_shape


def discretised_logistic(
    mean: Tensor, log_scale: Tensor, logits: Tensor | None = None, event_dims: int = 3
) -> Independent:
    """Return discretised logistics, or mixtures of them, of pixels u / 255; the last `event_dims` axes form one event.

    Arguments:
        mean: mu, [..., *event]; with logits, [..., K, *event] for each component.
        log_scale: log s, in the units of the pixels, as mu; of a shape that broadcasts to the mean's.
        logits: [..., K, *event], log weights of the components up to a constant.
    """
    levels: Distribution = DiscretisedLogistic(mean, log_scale)
    if logits is not None:
        levels = Mixture(logits, levels, -event_dims - 1)
    return Independent(levels, event_dims, validate_args=False)


class DiscretisedLogistic(Distribution):
    """A pixel x = u / 255 with a level u in 0, ..., 255: a rounded logistic variable with mean mu and scale s.

        P(u) = sigma((x + 1/510 - mu) / s) - sigma((x - 1/510 - mu) / s),

    Level 0 includes everything below it, and level 255 everything above it, so the probabilities sum to one
    (Kingma et al. 2016, appendix C.5; Salimans, Karpathy, Chen & Kingma 2017, section 2.1). A value is rounded to the
    nearest level. It is accurate for every s with a finite 1 / s.

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
        """Return log P, accurate in all tails, from sigma(b) - sigma(a) = sigma(b) sigma(-a) (1 - e^(a - b))."""
        u = level_of(value)
        per_level = torch.exp(-self.log_scale) / TOP  # b - a, the width of a level in units of the scale
        above = logsigmoid((u + 0.5 - TOP * self.mu) * per_level)  # log sigma(b)
        below = logsigmoid((TOP * self.mu - u + 0.5) * per_level)  # log sigma(-a)
        between = torch.log(-torch.expm1(-per_level))
        return torch.where(u == 0, above, torch.where(u == TOP, below, above + below + between))

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = drawn_shape(self, sample_shape)
            uniform = torch.rand(shape, dtype=self.mu.dtype, device=self.mu.device)
            return rounded(self.mu + self.log_scale.exp() * uniform.logit())  # a draw of -infinity becomes level 0

    @property
    def mean(self) -> Tensor:
        """E[u] / 255, accurate to 2e-6 of a level, apart from rounding."""
        return mean_level(LOGISTIC, *torch.broadcast_tensors(TOP * self.mu, TOP * self.log_scale.exp())) / TOP


def _integral(a: Tensor) -> Tensor:
    """Return log(1 + e^a).

    ONNX has no log-sigmoid. The logarithm of its sigmoid is wrong in the tails, and its softplus is accurate there.
    """
    return softplus(a) if torch.compiler.is_exporting() else -logsigmoid(-a)


def _derivatives(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    v = torch.sigmoid(a) * torch.sigmoid(-a)
    return v, v * (1 - 6 * v), v * (1 - 30 * v + 120 * v**2)


# 16 levels from the mean, a sigmoid narrower than a level differs from 0 or 1 by less than e^-16
LOGISTIC = Law(torch.sigmoid, _integral, _derivatives, smooth=1, near=16)
