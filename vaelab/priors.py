"""p(z): what the latent variables are before an image is seen. A prior is a module: () -> Distribution.

It names in `support` where its z lies: "real", all of R^D; "sphere", the unit vectors of it; "codes", vectors out of
the posterior's codebooks; or "posterior", wherever the posterior's density does. One that wants to see training images
before the first step says in `begins_with` how many, and gets them in `begin`: see `vaelab.training.begin`.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent

from vaelab.distributions import (
    Autoregressive,
    CausalTransformer,
    Codebook,
    Coded,
    Flow,
    Mixture,
    UniformSphere,
    autoregressive_maps,
    diagonal_normal,
)
from vaelab.errors import SpecError

WITHIN = 0.05  # of the pixels' range: how far from black and white a pseudo-input starts, or its sigmoid would not move


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
    """p(z) = N(m, diag(s^2)), m and log s learned; N(0, I) at first.

    Arguments:
        latent: D, the number of latent dimensions.
    """

    support: ClassVar = "real"

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(latent))
        self.log_std = nn.Parameter(torch.zeros(latent))

    @torch.no_grad()
    def begin_at(self, z: Tensor) -> None:
        """Start from draws z [n, D], where this prior is the most likely one."""
        self.mean.copy_(z.mean(0))
        self.log_std.copy_(z.std(0, correction=0).log())

    def forward(self) -> Independent:
        return diagonal_normal(self.mean, self.log_std)


class GaussianMixture(nn.Module):
    """p(z) = sum_k pi_k N(m_k, diag(s_k^2)), all learned.

    At first the weights are equal, s_k^2 = 1/2 and the m_k drawn from N(0, I / 2): about the moments of N(0, I).

    Arguments:
        latent: D, the number of latent dimensions.
        components: K, at least 1.

    Raises:
        SpecError: fewer components than 1.
    """

    support: ClassVar = "real"

    def __init__(self, latent: int, *, components: int = 10) -> None:
        super().__init__()
        _check_components(components)
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, latent) / math.sqrt(2))
        self.log_std = nn.Parameter(torch.full((components, latent), -0.5 * math.log(2)))

    @torch.no_grad()
    def begin_at(self, z: Tensor) -> None:
        """Start from draws z [n, D]: K of them are the m_k, and each component takes a K-th of the volume."""
        components, latent = self.mean.shape
        self.mean.copy_(z[torch.randint(len(z), (components,), device=z.device)])
        self.log_std.copy_((z.std(0) * components ** (-1 / latent)).log().expand(components, latent))

    def forward(self) -> Mixture:
        return Mixture(self.logits, diagonal_normal(self.mean, self.log_std), -1)


class VampPrior(nn.Module):
    """p(z) = 1/K sum_k q(z|u_k), a mixture of posteriors of learned pseudo-inputs u_k (Tomczak & Welling 2018).

    u_k = sigmoid(a_k) lies in [0, 1] as pixels do. It starts as a training image of its own, between 0.05 and 0.95.

    Arguments:
        posterior: the encoder, which stays the model's: its weights are not this prior's.
        image_shape: C, H, W.
        components: K, at least 1.

    Raises:
        SpecError: fewer components than 1.
    """

    support: ClassVar = "posterior"

    def __init__(self, posterior: nn.Module, image_shape: tuple[int, ...], *, components: int = 100) -> None:
        super().__init__()
        _check_components(components)
        self.encoder = (posterior,)  # in a tuple a module is no submodule
        self.begins_with = components
        self.logits = nn.Parameter(torch.randn(components, *image_shape))

    def begin(self, pixels: Tensor) -> None:
        """Start from images [K, C, H, W] in [0, 1]."""
        with torch.no_grad():
            self.logits.copy_((WITHIN + (1 - 2 * WITHIN) * pixels).logit())

    def forward(self) -> Mixture:
        q = self.encoder[0](self.logits.sigmoid())
        return Mixture(self.logits.new_zeros(self.begins_with), q, -1)


class AutoregressiveFlow(nn.Module):
    """p(z) of e = f_T(... f_1(z)), e ~ N(0, I) and f masked autoregressive (Papamakarios, Pavlakou & Murray 2017).

    The maps are learned, and next to the identity at first. A density takes one pass of each map; a draw takes D.

    Arguments:
        latent: D, the number of latent dimensions.
        transforms: T, maps one behind the other.
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


class UniformOnSphere(nn.Module):
    """p(z) uniform on the unit sphere of R^D (Davidson, Falorsi, De Cao, Kipf & Tomczak 2018).

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


class UniformOnCodes(nn.Module):
    """p(z) = K^-(L P): each code of each level is as likely as any other, everywhere.

    Arguments:
        posterior: the encoder, whose codebooks they are.
    """

    support: ClassVar = "codes"

    def __init__(self, posterior: nn.Module) -> None:
        super().__init__()
        self.encoder = (posterior,)  # in a tuple a module is no submodule

    def forward(self) -> Coded:
        books, levels, places, size = _codes_of(self.encoder[0])
        logits = books[0].codes.new_zeros(levels, places, size)
        return Coded(
            books, places, Independent(Categorical(logits=logits, validate_args=False), 2, validate_args=False)
        )


class TransformerOnCodes(nn.Module):
    """p(z) of codes, each given those before it, by a causal transformer (van den Oord et al. 2017, section 3.3).

    The places come row by row, and the levels of a place before the next place (Lee et al. 2022, equation 9).

    Arguments:
        posterior: the encoder, whose codebooks they are.
        width: numbers of a site in between, a multiple of 4.
        layers: at least 1.

    Raises:
        SpecError: a width that is no multiple of 4, or no layer.
    """

    support: ClassVar = "codes"

    def __init__(self, posterior: nn.Module, *, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        if width < 4 or width % 4:
            raise SpecError(found=f"width = {width}", expected="a multiple of 4", do="use, say, width=64")
        if layers < 1:
            raise SpecError(found=f"layers = {layers}", expected="at least 1", do="use layers=1 or more")
        self.encoder = (posterior,)
        _, levels, places, size = _codes_of(posterior)
        self.network = CausalTransformer(levels, places, size, width, layers)

    def fitted_by(self, count: int) -> tuple[int, int, float]:
        """Steps, batch and learning rate of a fit to `count` images, where it is fitted when training is over.

        More passes than these and it would know a small data set by heart.
        """
        return min(1500, 3 * count // 32), 32, 3e-3

    def begin_at(self, z: Tensor) -> None:
        """Start from draws z [n, D], with the frequencies of the codes at each place."""
        k, _ = self().read(z)
        self.network.begin_at(k.transpose(-1, -2).flatten(-2))

    def forward(self) -> Coded:
        books, levels, places, _ = _codes_of(self.encoder[0])
        return Coded(books, places, Autoregressive(self.network, levels, places))


def _codes_of(posterior: Any) -> tuple[list[Codebook], int, int, int]:
    """The codebooks of an encoder, L, P and K."""
    levels, _, height, width = posterior.head.layout
    books = list(posterior.head.books)
    return books, levels, height * width, len(books[0].codes)


def _check_components(components: int) -> None:
    if components < 1:
        raise SpecError(found=f"components = {components}", expected="at least 1", do="use components=1 or more")


PRIORS = {
    "standard": StandardNormal,
    "normal": LearnedNormal,
    "mixture": GaussianMixture,
    "vamp": VampPrior,
    "flow": AutoregressiveFlow,
    "sphere": UniformOnSphere,
    "codes": UniformOnCodes,
    "transformer": TransformerOnCodes,
}
