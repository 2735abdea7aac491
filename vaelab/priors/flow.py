"""A prior that transforms a Gaussian by an autoregressive flow."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import (
    Flow,
    autoregressive_maps,
    diagonal_normal,
)

WITHIN = 0.05  # initial distance of a pseudo-input from black and white, so that its sigmoid has a gradient


class AutoregressiveFlow(nn.Module):
    """p(z) of e = f_T(... f_1(z)), e ~ N(0, I) and f masked autoregressive (Papamakarios, Pavlakou & Murray 2017).

    The maps are learned. At initialisation they are close to the identity. A density takes one pass of each map; a draw
    takes D.

    Arguments:
        latent: D, the number of latent dimensions.
        transforms: T, the number of maps.
        hidden: sizes of the hidden layers of each map's masked network.

    Raises:
        SpecError: no map, or an empty layer.
    """

    support: ClassVar = "real"

    zeros: Tensor

    def __init__(self, latent: int, *, transforms: int = 3, hidden: tuple[int, ...] = (64,)) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(latent), persistent=False)
        self.maps = autoregressive_maps(latent, transforms, hidden)

    def forward(self) -> Distribution:
        return Flow(diagonal_normal(self.zeros, self.zeros), [f() for f in self.maps], draws=False)
