"""A posterior head on the unit sphere."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import softplus

from vaelab.distributions import (
    VonMisesFisher,
)
from vaelab.system.errors import SpecError


class VonMisesFisherPosterior(nn.Module):
    """q(z|x) proportional to e^(kappa mu'z) on the unit sphere of R^D (Davidson, Falorsi, De Cao, Kipf & Tomczak 2018).

    The network gives m and k, with mu = m / |m| and kappa = D softplus(k). At k = 0 the component of z along mu is
    about a half for every D.

    Arguments:
        latent: D, at least 2.

    Raises:
        SpecError: D is 1, whose sphere is two points.
    """

    support: ClassVar = "sphere"

    def __init__(self, latent: int) -> None:
        super().__init__()
        if latent < 2:
            raise SpecError(found=f"a sphere in {latent} dimension", expected="2 or more", do="use --latent 2 or more")

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        (latent,) = event_shape
        return (latent + 1,)

    def forward(self, parameters: Tensor) -> VonMisesFisher:
        latent = parameters.shape[-1] - 1
        m, k = parameters.split([latent, 1], dim=-1)
        return VonMisesFisher(m / m.norm(dim=-1, keepdim=True), latent * softplus(k.squeeze(-1)))
