"""q(z|x): heads that turn an encoder's output into a distribution of z.

A head says how many parameters it wants for an event shape, turns [..., *those] into a Distribution, and names in
`support` where its z lies: "real", all of R^D; "sphere", the unit vectors of it; or "codes", vectors out of codebooks.
The prior must lie there too. A z that is more than one vector of `latent` numbers is laid out as `layout`: levels, each
an array of the other axes, of which the decoder is given the sum.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal
from torch.nn.functional import softplus

from vaelab.distributions import (
    Codebook,
    Flow,
    Quantised,
    VonMisesFisher,
    autoregressive_maps,
    diagonal_normal,
    full_normal,
)
from vaelab.errors import SpecError


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

    L = diag(sigma) (I + S / sqrt(D)): the network gives mu, log sigma, and S below its diagonal, row by row. So a row
    shrinks as a whole, and the many numbers beside the diagonal weigh no more than it.

    Arguments:
        latent: D, the number of latent dimensions.
    """

    support: ClassVar = "real"

    below: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        # of each place of L, which of [0, the numbers below the diagonal] stands there
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


class InverseAutoregressiveFlow(nn.Module):
    """q(z|x) of z = f_T(... f_1(e)), e ~ N(mu, diag(sigma^2)) and f autoregressive (Kingma et al. 2016, section 4).

    The network gives mu, log sigma^2 and a context, which the maps f are told beside their input. They are next to the
    identity at first. A draw and its density take one pass of each map; the density of another z takes D.

    Arguments:
        latent: D, the number of latent dimensions.
        transforms: T, maps one behind the other.
        hidden: sizes of the hidden layers of each map's masked network.
        context: numbers that the encoder gives the maps; 0 makes them the same for all images.

    Raises:
        SpecError: no map, an empty layer, or a context below 0.
    """

    support: ClassVar = "real"
    inverts: ClassVar = True  # to find the density of a z that it did not draw: D passes for each pair of z and x

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


class VonMisesFisherPosterior(nn.Module):
    """q(z|x) prop. to e^(kappa mu'z) on the unit sphere of R^D (Davidson, Falorsi, De Cao, Kipf & Tomczak 2018).

    The network gives m and k, with mu = m / |m| and kappa = D softplus(k): at k = 0 the part of z along mu is about a
    half, whatever D is.

    Arguments:
        latent: D, at least 2.

    Raises:
        SpecError: a single dimension, whose sphere is two points.
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


class VectorQuantised(nn.Module):
    """q(z|x) at one z, of the codes next to the encoder's output (van den Oord, Vinyals & Kavukcuoglu 2017).

    The encoder gives a vector e of `latent` numbers at each place of a grid. Each level has a codebook of its own and
    takes the code that is nearest to what the levels before it left (Zeghidour et al. 2021, algorithm 1; Lee et al.
    2022, equation 4); z holds the codes of all levels and places, and the decoder is given the sum over the levels,
    whose gradient goes to e as it is ("straight through"). How codebooks learn: `vaelab.distributions.Codebook`.

    A convolutional network whose stages halve as often has a 1 x 1 convolution in front of the codes and behind them;
    any other is fully connected there.

    Arguments:
        latent: d, numbers of a code.
        image_shape: C, H, W.
        size: K, codes of a level.
        levels: L.
        halvings: of height and width, which make the grid of P places; z is worth at most L P log K nats.
        decay: gamma, of the moving averages that the codes are.
        restart: share of an even use below which a code starts anew.

    Raises:
        SpecError: no level, no place, fewer codes than 2, or a share outside of (0, 1).
    """

    support: ClassVar = "codes"

    def __init__(
        self,
        latent: int,
        image_shape: tuple[int, ...],
        *,
        size: int = 512,
        levels: int = 1,
        halvings: int = 2,
        decay: float = 0.99,
        restart: float = 0.1,
    ) -> None:
        super().__init__()
        _, height, width = image_shape
        if levels < 1:
            raise SpecError(found=f"levels = {levels}", expected="at least 1", do="use levels=1 or more")
        if not 0 <= halvings < min(height, width).bit_length():
            raise SpecError(
                found=f"{halvings} halvings of images of {height} x {width}",
                expected=f"0 to {min(height, width).bit_length() - 1}, to be left with a place",
                do="change halvings of posterior codes",
            )
        self.layout = (levels, latent, height >> halvings, width >> halvings)
        self.books = nn.ModuleList(Codebook(size, latent, decay, restart) for _ in range(levels))

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layout[1:]

    def forward(self, parameters: Tensor) -> Quantised:
        e = left = parameters.flatten(-2).transpose(-1, -2)  # [..., P, d]
        codes: list[Tensor] = []
        residuals: list[Tensor] = []
        for book in self.books:
            codes.append(book(left))
            left = left - codes[-1]
            residuals.append(left)
        codes[0] = codes[0] + (e - e.detach())  # nothing, with the gradient of e
        z = torch.stack(codes, -3).transpose(-1, -2).flatten(-3)
        return Quantised(z, torch.stack(residuals, -3))


POSTERIORS = {
    "diagonal": DiagonalGaussian,
    "full": FullGaussian,
    "flow": InverseAutoregressiveFlow,
    "von-mises-fisher": VonMisesFisherPosterior,
    "codes": VectorQuantised,
}
