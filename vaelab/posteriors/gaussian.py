"""Gaussian posterior heads: diagonal and full covariance."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal

from vaelab.distributions import (
    diagonal_normal,
    full_normal,
)


class DiagonalGaussian(nn.Module):
    """q(z|x) = N(mu, diag(sigma^2)), from mu and log sigma^2 (Kingma & Welling 2014, equation 9)."""

    support: ClassVar = "real"

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        (latent,) = event_shape
        return (2 * latent,)

    def forward(self, parameters: Tensor) -> Independent:
        mu, log_var = parameters.chunk(2, dim=-1)
        return diagonal_normal(mu, 0.5 * log_var)


class FullGaussian(nn.Module):
    """q(z|x) = N(mu, L L'), with L lower triangular (Kingma & Welling 2019, section 2.5.1).

    L = diag(sigma) (I + S / sqrt(D)). The network gives mu, log sigma, and the entries of S below its diagonal, row by
    row. So sigma scales a whole row, and the many entries below the diagonal together weigh no more than the diagonal.

    Arguments:
        latent: D, the number of latent dimensions.
    """

    support: ClassVar = "real"

    below: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        # for each place of L, its index in [0, the entries below the diagonal]
        places = torch.zeros(latent, latent, dtype=torch.int64)
        rows, columns = torch.tril_indices(latent, latent, -1)
        places[rows, columns] = torch.arange(len(rows)) + 1
        self.register_buffer("below", places, persistent=False)

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        (latent,) = event_shape
        return (latent + latent * (latent + 1) // 2,)

    def forward(self, parameters: Tensor) -> MultivariateNormal:
        latent = len(self.below)
        mu, log_sigma, below = parameters.split([latent, latent, latent * (latent - 1) // 2], dim=-1)
        strict = torch.cat([torch.zeros_like(mu[..., :1]), below / math.sqrt(latent)], -1)[..., self.below]
        sigma = log_sigma.exp()
        return full_normal(mu, sigma.diag_embed() + sigma.unsqueeze(-1) * strict)

    def parameter_scales(self, parameters: Tensor) -> Tensor:
        """The natural size of a change of each parameter; see `vaelab.parts.capabilities.HasParameterScales`."""
        latent = len(self.below)
        return torch.cat([parameters[..., latent : 2 * latent].exp(), torch.ones_like(parameters[..., latent:])], -1)
