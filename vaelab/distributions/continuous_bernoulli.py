"""The continuous Bernoulli distribution, numerically stable for all log-odds."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.distributions.constraints import Constraint

from vaelab.distributions.shape import SampleShape, drawn_shape

NEAR = 0.1  # below this |l / 2|, a series replaces a difference of large terms


def continuous_bernoulli(logits: Tensor) -> Independent:
    """Return the distribution of images of pixels in [0, 1] with log-odds [..., C, H, W]."""
    return Independent(ContinuousBernoulli(logits), 3, validate_args=False)


class ContinuousBernoulli(Distribution):
    """A number x in [0, 1] with the density C(l) e^{l x} (Loaiza-Ganem & Cunningham 2019, equations 4 and 5).

    With h = l / 2, log C = -log((e^l - 1) / l) = -h - log(sinh h / h), so that

        log p(x) = l (x - 1/2) - log(sinh h / h),    E[x] = 1/2 + (coth h - 1/h) / 2,

    The second follows from the derivative of the first. torch's own distribution clamps its probabilities.

    Arguments:
        logits: l, any real number.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"logits": constraints.real}

    def log_prob(self, value: Tensor) -> Tensor:
        return self.logits * (value - 0.5) - _log_sinh_ratio(self.logits / 2)

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        """Draw by F^-1(v) = log(1 + v (e^l - 1)) / l for l < 0, where nothing overflows; mirror the draw for l > 0."""
        with torch.no_grad():
            shape = drawn_shape(self, sample_shape)
            v = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
            l = -self.logits.abs()  # noqa: E741
            flat = l == 0
            x = torch.where(flat, v, torch.log1p(v * torch.expm1(l)) / torch.where(flat, 1, l))
            return torch.where(self.logits > 0, 1 - x, x)

    @property
    def mean(self) -> Tensor:
        h = self.logits / 2
        near = h.abs() < NEAR
        small, large = torch.where(near, h, 0), torch.where(near, 1, h)
        s2 = small.square()
        series = small * (1 / 3 - s2 * (1 / 45 - s2 * (2 / 945 - s2 / 4725)))
        return 0.5 + torch.where(near, series, 1 / large.tanh() - 1 / large) / 2


def _log_sinh_ratio(h: Tensor) -> Tensor:
    """Return log(sinh h / h) = |h| + log(1 - e^(-2|h|)) - log 2|h|; near 0 h^2/6 - h^4/180 + h^6/2835 - h^8/37800."""
    near = h.abs() < NEAR
    s2 = torch.where(near, h, 0).square()
    series = s2 * (1 / 6 - s2 * (1 / 180 - s2 * (1 / 2835 - s2 / 37800)))
    large = torch.where(near, 1, h).abs()
    return torch.where(near, series, large + torch.log1p(-torch.exp(-2 * large)) - torch.log(large) - math.log(2))
