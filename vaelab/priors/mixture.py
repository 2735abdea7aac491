"""Mixture priors: of Gaussians, and of posteriors of learned images (VampPrior)."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from vaelab.distributions import (
    Mixture,
    diagonal_normal,
)
from vaelab.priors.flow import WITHIN
from vaelab.system.errors import SpecError


class GaussianMixture(nn.Module):
    """p(z) = sum_k pi_k N(m_k, diag(s_k^2)), all learned.

    Initially the weights are equal, s_k^2 = 1/2, and the m_k are drawn from N(0, I / 2), so the moments are close to
    those of N(0, I).

    Arguments:
        latent: D, the number of latent dimensions.
        components: K, the number of components, at least 1.

    Raises:
        SpecError: fewer than 1 component.
    """

    support: ClassVar = "real"

    def __init__(self, latent: int, *, components: int = 10) -> None:
        super().__init__()
        _check_components(components)
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, latent) / math.sqrt(2))
        self.log_std = nn.Parameter(torch.full((components, latent), -0.5 * math.log(2)))

    @torch.no_grad()
    def initialise_from_latents(self, z: Tensor) -> None:
        """Initialise from draws z [n, D]: K of them are the m_k, and each component has a K-th of the volume."""
        components, latent = self.mean.shape
        self.mean.copy_(z[torch.randint(len(z), (components,), device=z.device)])
        self.log_std.copy_((z.std(0) * components ** (-1 / latent)).log().expand(components, latent))

    def forward(self) -> Mixture:
        return Mixture(self.logits, diagonal_normal(self.mean, self.log_std), -1)


class VampPrior(nn.Module):
    """p(z) = 1/K sum_k q(z|u_k), a mixture of posteriors of learned pseudo-inputs u_k (Tomczak & Welling 2018).

    u_k = sigmoid(a_k) is in [0, 1], like pixels. Each starts as a different training image, scaled to [0.05, 0.95].

    Arguments:
        posterior: the encoder; it belongs to the model, and its weights are not this prior's.
        image_shape: C, H, W.
        components: K, the number of components, at least 1.

    Raises:
        SpecError: fewer than 1 component.
    """

    support: ClassVar = "posterior"

    def __init__(self, posterior: nn.Module, image_shape: tuple[int, ...], *, components: int = 100) -> None:
        super().__init__()
        _check_components(components)
        self.encoder = (posterior,)  # in a tuple, so that it is not a submodule
        self.initial_images = components
        self.logits = nn.Parameter(torch.randn(components, *image_shape))

    def initialise(self, pixels: Tensor) -> None:
        """Initialise from images [K, C, H, W] in [0, 1]."""
        with torch.no_grad():
            self.logits.copy_((WITHIN + (1 - 2 * WITHIN) * pixels).logit())

    def forward(self) -> Mixture:
        q = self.encoder[0](self.logits.sigmoid())
        return Mixture(self.logits.new_zeros(self.initial_images), q, -1)


def _check_components(components: int) -> None:
    if components < 1:
        raise SpecError(found=f"components = {components}", expected="at least 1", do="use components=1 or more")
