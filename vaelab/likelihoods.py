"""p(x|z): heads that turn a decoder's output into a distribution of images.

A head says how many parameters it wants for an event shape (C, H, W), turns [..., *those] into a Distribution, and
names in `protocols` the ways of reading pixels that it describes (see `vaelab.data.protocol`).
"""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from vaelab.distributions import bernoulli, diagonal_normal, discretised_logistic
from vaelab.errors import SpecError
from vaelab.processor import pixels_innermost

# log sigma approaches these limits softly. The lower one lies below the width of a level of 8-bit pixels, log(1/256) =
# -5.5: on dequantised data only a pixel that never changes, with log(1 / (256 sqrt 12)) = -6.8, would go below; on grey
# ones the density would otherwise grow without bound. The upper one, a sigma of 7, only keeps exp(log sigma) finite.
LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING = -6.0, 2.0
# A probability is at most 1 and needs no floor for its own sake. This one, 1/32 of a level, only keeps 1 / s finite: a
# mean in the middle of a level gives it 1 - 3e-7.
LOG_SCALE_FLOOR, LOG_SCALE_CEILING = -9.0, 2.0
START = 0.25  # standard deviation at first, about the spread of natural pixels


def _soft_limits(s: Tensor, floor: float, ceiling: float) -> Tensor:
    above = floor + softplus(s - floor)
    return ceiling - softplus(ceiling - above)


def _inverse_soft_limits(limited: float, floor: float, ceiling: float) -> float:
    above = ceiling - math.log(math.expm1(ceiling - limited))
    return floor + math.log(math.expm1(above - floor))


class Bernoulli(nn.Module):
    """p(x|z) = prod_i p_i^{x_i} (1 - p_i)^{1 - x_i}, from logits (Kingma & Welling 2014, appendix C.1).

    A likelihood of binary pixels. On grey ones the same formula is a cross-entropy and not a likelihood; it is admitted
    there by name, as protocol `grey`, because the article and much of the literature report it.
    """

    protocols: ClassVar = ("binary-dynamic", "binary-static", "binary-threshold")
    admitted: ClassVar = ("grey",)

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return event_shape

    def forward(self, parameters: Tensor) -> Distribution:
        return bernoulli(parameters)


class Gaussian(nn.Module):
    """p(x|z) = N(mu, diag(sigma^2)), the mean through a sigmoid so that it stays where pixels are, in (0, 1).

    A learned log sigma is s between soft limits, floor -6 and ceiling 2, which leave a gradient everywhere (after
    Rybkin, Daniilidis & Levine 2021, section 4): s is one number (`shared`), or an output of the decoder for each pixel
    (`pixel`).

    Arguments:
        sigma: a positive number (fixed), `shared` (one, learned) or `pixel` (one for each pixel, learned, given z).

    Raises:
        SpecError: a fixed sigma that is not positive and finite.
    """

    protocols: ClassVar = ("8bit", "grey")
    admitted: ClassVar = ()

    start: ClassVar = _inverse_soft_limits(math.log(START), LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING)
    log_sigma: Tensor

    def __init__(self, *, sigma: float | Literal["shared", "pixel"] = "shared") -> None:
        super().__init__()
        self.sigma = sigma
        if sigma == "shared":
            self.s = nn.Parameter(torch.tensor(self.start))
        elif not isinstance(sigma, str):
            if not (sigma > 0 and math.isfinite(sigma)):
                raise SpecError(found=f"sigma = {sigma:g}", expected="a positive number", do="use, say, sigma=0.1")
            self.register_buffer("log_sigma", torch.tensor(math.log(sigma)), persistent=False)

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = event_shape
        return (2 * channels if self.sigma == "pixel" else channels, height, width)

    def forward(self, parameters: Tensor) -> Distribution:
        if self.sigma == "pixel":
            mu, s = parameters.chunk(2, dim=-3)
            log_sigma = _soft_limits(s + self.start, LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING)
        elif self.sigma == "shared":
            mu, log_sigma = parameters, _soft_limits(self.s, LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING)
        else:
            mu, log_sigma = parameters, self.log_sigma
        return diagonal_normal(mu.sigmoid(), log_sigma, event_dims=3)


class DiscretisedLogistic(nn.Module):
    """p(x|z) = prod_i sum_k pi_ik P(u_i | mu_ik, s_ik) over the 256 levels (Salimans et al. 2017, equations 1 and 2).

    P is the discretised logistic of `vaelab.distributions.discretised`; channels are independent given z. A mean is
    mu = (k + 1/2) / K + m / 4, m an output of the decoder: the K components start apart, with the slope of a sigmoid,
    and a mean may leave [0, 1], where the open ends of the levels give it all of level 0 or 255. log s lies between
    soft limits, floor -9 and ceiling 2. The weights pi, if any, are outputs of the decoder for each pixel.

    Arguments:
        components: K, at least 1.
        scale: `shared` (one s for each component, learned), or `pixel` (for each pixel too, learned, given z).

    Raises:
        SpecError: fewer components than 1.
    """

    protocols: ClassVar = ("levels",)
    admitted: ClassVar = ()

    middles: Tensor

    def __init__(self, *, components: int = 1, scale: Literal["shared", "pixel"] = "shared") -> None:
        super().__init__()
        if components < 1:
            raise SpecError(found=f"components = {components}", expected="at least 1", do="use components=1 or more")
        self.components, self.scale = components, scale
        middles = (torch.arange(components) + 0.5) / components
        self.register_buffer("middles", middles.view(-1, 1, 1, 1), persistent=False)
        start = math.log(START * math.sqrt(3) / math.pi)  # the standard deviation is s pi / sqrt(3)
        self.start = _inverse_soft_limits(start, LOG_SCALE_FLOOR, LOG_SCALE_CEILING)
        if scale == "shared":
            self.s = nn.Parameter(torch.full((components,), self.start))

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = event_shape
        kinds = 1 + (self.scale == "pixel") + (self.components > 1)
        return (kinds * self.components * channels, height, width)

    def forward(self, parameters: Tensor) -> Distribution:
        k = self.components
        channels = parameters.shape[-3] // self.parameter_shape((1, 1, 1))[0]
        m, *others = pixels_innermost(parameters).unflatten(-3, (-1, k, channels)).unbind(-5)  # [..., K, C, H, W] each
        s = others.pop(0) + self.start if self.scale == "pixel" else self.s.view(-1, 1, 1, 1)
        mu, log_s = self.middles + m / 4, _soft_limits(s, LOG_SCALE_FLOOR, LOG_SCALE_CEILING)
        if k == 1:
            return discretised_logistic(mu.squeeze(-4), log_s.squeeze(-4))
        return discretised_logistic(mu, log_s, others[0])


LIKELIHOODS = {"bernoulli": Bernoulli, "gaussian": Gaussian, "logistic": DiscretisedLogistic}
