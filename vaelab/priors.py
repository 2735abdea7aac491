"""p(z): what the latent variables are before an image is seen. A prior is a module: () -> Distribution."""

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from vaelab.distributions import diagonal_normal


class StandardNormal(nn.Module):
    """p(z) = N(0, I).

    Arguments:
        latent: D, the number of latent dimensions.
    """

    zeros: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(latent), persistent=False)

    def forward(self) -> Independent:
        return diagonal_normal(self.zeros, self.zeros)


PRIORS = {"standard": StandardNormal}
