"""A uniform prior on the unit sphere."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from vaelab.distributions import (
    UniformSphere,
)


class UniformOnSphere(nn.Module):
    """The uniform p(z) on the unit sphere of R^D (Davidson, Falorsi, De Cao, Kipf & Tomczak 2018).

    Arguments:
        latent: D, the number of latent dimensions.
    """

    support: ClassVar = "sphere"

    zeros: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(latent), persistent=False)

    def forward(self) -> UniformSphere:
        return UniformSphere(self.zeros)
