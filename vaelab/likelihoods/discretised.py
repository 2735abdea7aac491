"""Probabilities of the 256 levels of a pixel."""

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

    P is the discretised normal of `vaelab.distributions.discretised_normal`, what a normal variable rounds to. The mean
    is mu = 1/2 + m/4, m an output of the decoder, and may leave [0, 1], where the open ends give it all of level 0 or
    255. A learned log sigma lies between soft limits, floor -9 and ceiling 2.

    Arguments:
        sigma: a positive number (fixed), `shared` (one, learned) or `pixel` (one for each pixel, learned, given z).

    Raises:
        SpecError: a fixed sigma that is not positive and finite.
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

    P is the discretised logistic of `vaelab.distributions.discretised`, what a logistic variable rounds to (Salimans,
    Karpathy, Chen & Kingma 2017, equations 1 and 2); channels are independent given z. A mean is
    mu = (k + 1/2) / K + m / 4, m an output of the decoder: the K components start apart, with the slope of a sigmoid,
    and a mean may leave [0, 1], where the open ends of the levels give it all of level 0 or 255. log s lies between
    soft limits, floor -9 and ceiling 2. The weights pi, if any, are outputs of the decoder for each pixel.

    Channels that are coupled share the component, and the mean of each is linear in the channels before it of the pixel
    that is described, with coefficients tanh(a) for each component, a an output of the decoder for each pixel (same
    article, equation 3, for any number of channels; see `vaelab.distributions.coupled`).

    Arguments:
        components: K, at least 1.
        scale: `shared` (one s for each component, learned), or `pixel` (for each pixel too, learned, given z).
        channels: `independent` given z, or `coupled`.

    Raises:
        SpecError: fewer components than 1.
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
        """How many means, s, weights and coefficients a pixel has."""
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

    Any distribution of a pixel, from 256 logits l for each of its channels (van den Oord, Kalchbrenner & Kavukcuoglu
    2016, section 2.2). It does not know that levels have an order.
    """

    protocols: ClassVar[tuple[str, ...]] = ("levels",)
    admitted: ClassVar[tuple[str, ...]] = ()

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = event_shape
        return (LEVELS * channels, height, width)

    def forward(self, parameters: Tensor) -> Distribution:
        return categorical_levels(pixels_innermost(parameters).unflatten(-3, (LEVELS, -1)))
