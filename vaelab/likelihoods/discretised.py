"""Likelihoods of the 256 levels of a pixel."""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import categorical_levels, coupled_logistics, discretised_logistic, discretised_normal
from vaelab.likelihoods.scale import OF_LEVELS, START, Scale
from vaelab.system.errors import SpecError
from vaelab.system.processor import pixels_innermost

LEVELS = 256


class DiscretisedGaussian(nn.Module):
    """p(x|z) = prod_i P(u_i | mu_i, sigma) over the 256 levels.

    P is the discretised normal of `vaelab.distributions.discretised_normal`: a rounded normal variable. The mean is
    mu = 1/2 + m/4, with m an output of the decoder. It may leave [0, 1]; then the open first or last level gets almost
    all of the probability. A learned log sigma is between soft limits, floor -9 and ceiling 2.

    Arguments:
        sigma: a positive number (fixed), `shared` (one, learned) or `pixel` (one for each pixel, learned, given z).

    Raises:
        SpecError: a fixed sigma is not positive and finite.
    """

    protocols: ClassVar[tuple[str, ...]] = ("levels",)
    admitted: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, sigma: float | Literal["shared", "pixel"] = "shared") -> None:
        super().__init__()
        self.scale = Scale("sigma", sigma, OF_LEVELS, START)
        self.s = self.scale.parameter()

    def extra_repr(self) -> str:
        return f"sigma={self.scale.given}"

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.scale.parameter_shape(event_shape)

    def parameters_for_mean(self, mean: Tensor) -> Tensor:
        return self.scale.parameters_for_mean(4 * (mean - 0.5))

    def forward(self, parameters: Tensor) -> Distribution:
        m, log_sigma = self.scale.split(parameters, self.s)
        return discretised_normal(0.5 + m / 4, log_sigma)


class DiscretisedLogistic(nn.Module):
    """p(x|z) = prod_i sum_k pi_ik P(u_i | mu_ik, s_k) over the 256 levels.

    P is the discretised logistic of `vaelab.distributions.discretised`: a rounded logistic variable (Salimans,
    Karpathy, Chen & Kingma 2017, equations 1 and 2). Channels are independent given z. A mean is
    mu = (k + 1/2) / K + m / 4, with m an output of the decoder: the K components start at different means, with the
    slope of a sigmoid. A mean may leave [0, 1]; then the open first or last level gets almost all of the probability.
    log s is between soft limits, floor -9 and ceiling 2. The weights pi, if any, are outputs of the decoder for each
    pixel.

    Coupled channels share the component. The mean of each is linear in the observed values of the earlier channels of
    the same pixel, with coefficients tanh(a) for each component, and a an output of the decoder for each pixel (same
    article, equation 3, for any number of channels; see `vaelab.distributions.coupled`).

    Arguments:
        components: K, the number of logistics in the mixture, at least 1.
        scale: `shared` (one s for each component, learned), or `pixel` (also one for each pixel, learned, given z).
        channels: `independent` given z, or `coupled`.

    Raises:
        SpecError: fewer than 1 component.
    """

    protocols: ClassVar[tuple[str, ...]] = ("levels",)
    admitted: ClassVar[tuple[str, ...]] = ()

    middles: Tensor

    def __init__(
        self,
        *,
        components: int = 1,
        scale: Literal["shared", "pixel"] = "shared",
        channels: Literal["independent", "coupled"] = "independent",
    ) -> None:
        super().__init__()
        if components < 1:
            raise SpecError(found=f"components = {components}", expected="at least 1", do="use components=1 or more")
        self.components, self.coupled = components, channels == "coupled"
        middles = (torch.arange(components) + 0.5) / components
        self.register_buffer("middles", middles.view(-1, 1, 1, 1), persistent=False)
        first = START * math.sqrt(3) / math.pi  # the standard deviation is s pi / sqrt(3)
        self.scale = Scale("scale", scale, OF_LEVELS, first)
        self.s = self.scale.parameter(components)

    def extra_repr(self) -> str:
        return f"components={self.components}, scale={self.scale.given}, coupled={self.coupled}"

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = event_shape
        return (sum(self._numbers(channels)), height, width)

    def _numbers(self, channels: int) -> list[int]:
        """Return the number of means, scales, weights and coefficients of a pixel."""
        k = self.components
        weights = 0 if k == 1 else k if self.coupled else k * channels
        coefficients = k * channels * (channels - 1) // 2 if self.coupled else 0
        return [k * channels, k * channels * (self.s is None), weights, coefficients]

    def forward(self, parameters: Tensor) -> Distribution:
        k, channels = self.components, 1
        while sum(self._numbers(channels)) < parameters.shape[-3]:
            channels += 1
        numbers = pixels_innermost(parameters).split(self._numbers(channels), dim=-3)
        m, put_out, weights, a = (some.unflatten(-3, (k, some.shape[-3] // k)) for some in numbers)
        mu = self.middles + m / 4  # [..., K, C, H, W]
        s = put_out + self.scale.start if self.s is None else self.s.view(-1, 1, 1, 1)
        log_s = self.scale.limits(s)
        if self.coupled:
            return coupled_logistics(mu, log_s, weights.squeeze(-3) if k > 1 else None, a.tanh())
        if k == 1:
            return discretised_logistic(mu.squeeze(-4), log_s.squeeze(-4))
        return discretised_logistic(mu, log_s, weights)


class Categorical(nn.Module):
    """p(x|z) = prod_i softmax(l_i)_{u_i} over the 256 levels.

    It represents any distribution of a pixel, by 256 logits l for each channel (van den Oord, Kalchbrenner &
    Kavukcuoglu 2016, section 2.2). The order of the levels is not used.
    """

    protocols: ClassVar[tuple[str, ...]] = ("levels",)
    admitted: ClassVar[tuple[str, ...]] = ()

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = event_shape
        return (LEVELS * channels, height, width)

    def forward(self, parameters: Tensor) -> Distribution:
        return categorical_levels(pixels_innermost(parameters).unflatten(-3, (LEVELS, -1)))
