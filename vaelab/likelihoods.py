"""p(x|z): heads that turn a decoder's output into a distribution of images.

A head says how many parameters it wants for an event shape (C, H, W), turns [..., *those] into a Distribution, and
names in `protocols` the ways of reading pixels that it describes (see `vaelab.data.protocol`).
"""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli as BernoulliDistribution
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from vaelab.distributions import diagonal_normal
from vaelab.errors import SpecError

# log sigma approaches these limits softly. The lower one lies below the width of a level of 8-bit pixels, log(1/256) =
# -5.5, so it does not bind on dequantised data; on grey ones the density would otherwise grow without bound. The upper
# one, a sigma of 7 for pixels between 0 and 1, only keeps exp(log sigma) finite.
LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING = -6.0, 2.0
START = math.log(0.25)  # sigma at first, about the spread of natural pixels


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
        return Independent(BernoulliDistribution(logits=parameters, validate_args=False), 3, validate_args=False)


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

    log_sigma: Tensor

    def __init__(self, *, sigma: float | Literal["shared", "pixel"] = "shared") -> None:
        super().__init__()
        self.sigma = sigma
        if sigma == "shared":
            self.s = nn.Parameter(torch.tensor(_inverse_soft_limits(START)))
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
            log_sigma = _soft_limits(s + _inverse_soft_limits(START))
        else:
            mu, log_sigma = parameters, _soft_limits(self.s) if self.sigma == "shared" else self.log_sigma
        return diagonal_normal(mu.sigmoid(), log_sigma, event_dims=3)


def _soft_limits(s: Tensor) -> Tensor:
    above = LOG_SIGMA_FLOOR + softplus(s - LOG_SIGMA_FLOOR)
    return LOG_SIGMA_CEILING - softplus(LOG_SIGMA_CEILING - above)


def _inverse_soft_limits(log_sigma: float) -> float:
    above = LOG_SIGMA_CEILING - math.log(math.expm1(LOG_SIGMA_CEILING - log_sigma))
    return LOG_SIGMA_FLOOR + math.log(math.expm1(above - LOG_SIGMA_FLOOR))


LIKELIHOODS = {"bernoulli": Bernoulli, "gaussian": Gaussian}
