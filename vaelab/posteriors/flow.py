"""A posterior head that transforms a Gaussian by inverse autoregressive flows."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import (
    Flow,
    autoregressive_maps,
    diagonal_normal,
)
from vaelab.system.errors import SpecError


class InverseAutoregressiveFlow(nn.Module):
    """q(z|x) of z = f_T(... f_1(e)), e ~ N(mu, diag(sigma^2)) and f autoregressive (Kingma et al. 2016, section 4).

    The network gives mu, log sigma^2 and a context, on which the maps f are conditioned. At initialisation the maps are
    close to the identity. A draw and its density take one pass of each map; the density of another z takes D passes.

    Arguments:
        latent: D, the number of latent dimensions.
        transforms: T, the number of maps.
        hidden: sizes of the hidden layers of each map's masked network.
        context: how many numbers the encoder gives to the maps; 0 makes the maps the same for all images.

    Raises:
        SpecError: no map, an empty layer, or a context below 0.
    """

    support: ClassVar = "real"
    inverts: ClassVar = True  # the density of a z that it did not draw takes D passes for each pair of z and x

    def __init__(self, latent: int, *, transforms: int = 2, hidden: tuple[int, ...] = (64,), context: int = 16) -> None:
        super().__init__()
        if context < 0:
            raise SpecError(found=f"context = {context}", expected="0 or more numbers", do="use, say, context=16")
        self.context = context
        self.maps = autoregressive_maps(latent, transforms, hidden, context)

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        (latent,) = event_shape
        return (2 * latent + self.context,)

    def forward(self, parameters: Tensor) -> Distribution:
        latent = (parameters.shape[-1] - self.context) // 2
        mu, log_var, context = parameters.split([latent, latent, self.context], dim=-1)
        given = context if self.context else None
        return Flow(diagonal_normal(mu, 0.5 * log_var), [f(given) for f in self.maps], draws=True)

    def parameter_scales(self, parameters: Tensor) -> Tensor:
        """The natural size of a change of each parameter; see `vaelab.parts.capabilities.HasParameterScales`."""
        latent = (parameters.shape[-1] - self.context) // 2
        _, log_var, context = parameters.split([latent, latent, self.context], dim=-1)
        return torch.cat([(0.5 * log_var).exp(), torch.full_like(log_var, 2.0), torch.ones_like(context)], -1)
