"""The mixture of discretised logistics over all channels of a pixel (PixelCNN++)."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.distributions.constraints import Constraint

from vaelab.distributions.discretised import DiscretisedLogistic
from vaelab.distributions.levels import TOP, level_of
from vaelab.distributions.shape import SampleShape


def coupled_logistics(
    mean: Tensor, log_scale: Tensor, logits: Tensor | None, coefficients: Tensor
) -> "CoupledLogistics":
    """Return the distribution of images whose pixels are joint mixtures of their channels; no logits: one component."""
    return CoupledLogistics(mean, log_scale, mean.new_zeros(1, 1, 1) if logits is None else logits, coefficients)


class CoupledLogistics(Distribution):
    """An image whose pixels x = u / 255 are joint mixtures of their channels (Salimans et al. 2017, equations 1-3).

        p(x) = prod_pixels sum_k pi_k prod_c P(x_c | mu_kc + sum_{j < c} a_kcj (x_j - 1/2), s_kc),

    with P the discretised logistic. The mean of each channel is linear in the observed values of the earlier channels
    of the same pixel. The paper's pixels are centred at 0, ours at 1/2.

    Arguments:
        mean: mu, [..., K, C, H, W].
        log_scale: log s, of a shape that broadcasts to the mean's.
        logits: log pi up to a constant, of a shape that broadcasts to [..., K, H, W].
        coefficients: a, [..., K, C (C - 1) / 2, H, W], in the order (c, j) = (1, 0), (2, 0), (2, 1), (3, 0), ...
    """

    def __init__(self, mean: Tensor, log_scale: Tensor, logits: Tensor, coefficients: Tensor) -> None:
        self.mu, self.log_scale, self.logits, self.coefficients = mean, log_scale, logits, coefficients
        super().__init__(mean.shape[:-4], mean.shape[-3:], validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return dict.fromkeys(("mu", "log_scale", "logits", "coefficients"), constraints.real)

    def log_prob(self, value: Tensor) -> Tensor:
        x = (level_of(value) / TOP).unsqueeze(-4)
        means = [_given(self.mu, self.coefficients, c, x[..., :c, :, :]) for c in range(self.event_shape[0])]
        of_pixels = DiscretisedLogistic(torch.stack(means, -3), self.log_scale).log_prob(x).sum(-3)
        mixed = torch.logsumexp(self.logits + of_pixels, -3) - torch.logsumexp(self.logits, -3)
        return mixed.sum((-2, -1))

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            components, channels, height, width = self.mu.shape[-4:]
            batch = torch.Size(sample_shape) + self.batch_shape
            logits = self.logits.expand(*self.batch_shape, components, height, width).movedim(-3, -1)
            k = Categorical(logits=logits, validate_args=False).sample(torch.Size(sample_shape))

            def of_its_component(numbers: Tensor, count: int) -> Tensor:
                """Select each pixel's component, [..., K, count, H, W] -> [*batch, count, H, W]."""
                index = k.unsqueeze(-3).unsqueeze(-4).expand(*batch, 1, count, height, width)
                return numbers.expand(*batch, components, count, height, width).gather(-4, index).squeeze(-4)

            mu, log_scale = (of_its_component(numbers, channels) for numbers in (self.mu, self.log_scale))
            coefficients = of_its_component(self.coefficients, self.coefficients.shape[-3])
            x = mu.new_empty(*batch, 0, height, width)
            for c in range(channels):
                drawn = DiscretisedLogistic(_given(mu, coefficients, c, x), log_scale[..., c, :, :]).sample()
                x = torch.cat([x, drawn.unsqueeze(-3)], -3)
            return x

    @property
    def mean(self) -> Tensor:
        """E[x], computed channel by channel from the means of the earlier channels.

        It is exact except for the open first and last levels. Near 0 and 255 the mean of a channel is not linear in mu.
        """
        log_scale = self.log_scale.expand(self.mu.shape)
        x = self.mu[..., :0, :, :]
        for c in range(self.event_shape[0]):
            levels = DiscretisedLogistic(_given(self.mu, self.coefficients, c, x), log_scale[..., c, :, :])
            x = torch.cat([x, levels.mean.unsqueeze(-3)], -3)
        return (self.logits.softmax(-3).unsqueeze(-3) * x).sum(-4)


def _given(mu: Tensor, coefficients: Tensor, c: int, before: Tensor) -> Tensor:
    """Return mu of channel c, [..., H, W], given the earlier channels, [..., c, H, W]."""
    if c == 0 and torch.compiler.is_exporting():  # ONNX Runtime refuses the sum of no terms
        return mu[..., c, :, :]
    of_c = coefficients[..., c * (c - 1) // 2 : c * (c + 1) // 2, :, :]
    return mu[..., c, :, :] + (of_c * (before - 0.5)).sum(-3)
