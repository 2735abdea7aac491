"""Likelihoods of pixels by their log-odds."""

from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import bernoulli, continuous_bernoulli


class Bernoulli(nn.Module):
    """p(x|z) = prod_i p_i^{x_i} (1 - p_i)^{1 - x_i}, from logits (Kingma & Welling 2014, appendix C.1).

    It is a likelihood of binary pixels. For grey pixels the same formula is a cross-entropy and not a likelihood. It is
    allowed for them by name, as protocol `grey`, because the article and much of the literature report it.
    """

    protocols: ClassVar[tuple[str, ...]] = ("binary-dynamic", "binary-static", "binary-threshold")
    admitted: ClassVar[tuple[str, ...]] = ("grey",)

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return event_shape

    def parameters_for_mean(self, mean: Tensor) -> Tensor:
        return mean.logit()

    def forward(self, parameters: Tensor) -> Distribution:
        return bernoulli(parameters)


class ContinuousBernoulli(nn.Module):
    """p(x|z) = prod_i C(l_i) e^{l_i x_i}, x_i in [0, 1], from logits l.

    C normalises the Bernoulli's formula to a density of grey pixels (Loaiza-Ganem & Cunningham 2019). If a pixel is
    exactly 0 or 1 in every image that z generates, the density grows without bound, as log |l|. On dequantised pixels
    it does not.
    """

    protocols: ClassVar[tuple[str, ...]] = ("grey", "8bit")
    admitted: ClassVar[tuple[str, ...]] = ()

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return event_shape

    def parameters_for_mean(self, mean: Tensor) -> Tensor:
        return mean.logit()  # its mean is nearer to 1/2, on the same side

    def forward(self, parameters: Tensor) -> Distribution:
        return continuous_bernoulli(parameters)
