"""Parts of a user's own."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from vaelab.distributions import diagonal_normal
from vaelab.models import VAE, Labels
from vaelab.models.vae import flat
from vaelab.posteriors import DiagonalGaussian
from vaelab.priors import StandardNormal


def bold(
    latent: int,
    image_shape: tuple[int, int, int],
    network: Any,
    posterior: Any,
    likelihood: Any,
    prior: Callable[[nn.Module, int], nn.Module],
    labels: Labels | None,
) -> VAE:
    """A VAE whose decoder starts with twice the weights."""
    model = flat(latent, image_shape, network, posterior, likelihood, prior, labels)
    with torch.no_grad():
        for parameter in model.likelihood.parameters():
            parameter *= 2
    return model


class Wide(StandardNormal):
    """p(z) = N(0, 4 I)."""

    def forward(self) -> Independent:
        return diagonal_normal(self.zeros, self.zeros + 0.7)


class Narrow(DiagonalGaussian):
    """q(z|x) with half of the log standard deviation that the encoder says, less one."""

    def forward(self, parameters: Tensor) -> Independent:
        mu, log_var = parameters.chunk(2, dim=-1)
        return diagonal_normal(mu, 0.25 * log_var - 1)


class Sure(DiagonalGaussian):
    """q(z|x) = N(mu, e^-20 I), so narrow that the distortion is that at mu."""

    def forward(self, parameters: Tensor) -> Independent:
        mu, _ = parameters.chunk(2, dim=-1)
        return diagonal_normal(mu, torch.full_like(mu, -10))
