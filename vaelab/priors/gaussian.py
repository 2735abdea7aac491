"""Gaussian priors."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from vaelab.distributions import (
    diagonal_normal,
)


class StandardNormal(nn.Module):
    """p(z) = N(0, I).

    Arguments:
        latent: D, the number of latent dimensions.
    """

    support: ClassVar = "real"

    zeros: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(latent), persistent=False)

    def forward(self) -> Independent:
        return diagonal_normal(self.zeros, self.zeros)


class LearnedNormal(nn.Module):
    """p(z) = N(m, diag(s^2)) with learned m and log s; initially N(0, I).

    Arguments:
        latent: D, the number of latent dimensions.
    """

    support: ClassVar = "real"

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(latent))
        self.log_std = nn.Parameter(torch.zeros(latent))

    @torch.no_grad()
    def initialise_from_latents(self, z: Tensor) -> None:
        """Initialise from draws z [n, D], by maximum likelihood."""
        self.mean.copy_(z.mean(0))
        self.log_std.copy_(z.std(0, correction=0).log())

    def forward(self) -> Independent:
        return diagonal_normal(self.mean, self.log_std)
