"""Priors over discrete codes."""

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.distributions import Categorical, Independent

from vaelab.distributions import (
    Autoregressive,
    CausalTransformer,
    Codebook,
    Coded,
)
from vaelab.parts.capabilities import FitSettings, HasCodebooks, has, head_of, members
from vaelab.system.errors import SpecError


class UniformOnCodes(nn.Module):
    """p(z) = K^-(L P): at each of P places and L levels, each of the K codes has probability 1/K.

    Arguments:
        posterior: the encoder with the codebooks.

    Raises:
        SpecError: a posterior without codebooks.
    """

    support: ClassVar = "codes"

    def __init__(self, posterior: nn.Module) -> None:
        super().__init__()
        _check_codes(posterior)
        self.encoder = (posterior,)  # in a tuple, so that it is not a submodule

    def forward(self) -> Coded:
        books, levels, places, size = _codes_of(self.encoder[0])
        logits = books[0].codes.new_zeros(levels, places, size)
        return Coded(
            books, places, Independent(Categorical(logits=logits, validate_args=False), 2, validate_args=False)
        )


class TransformerOnCodes(nn.Module):
    """p(z) of codes, each given the earlier ones, by a causal transformer (van den Oord et al. 2017, section 3.3).

    Places are in row-major order. All levels of a place precede the next place (Lee et al. 2022, equation 9).

    Arguments:
        posterior: the encoder with the codebooks.
        width: length of the hidden vector of a site, a multiple of 4.
        layers: number of layers of the transformer, at least 1.

    Raises:
        SpecError: the width is not a multiple of 4, there is no layer, or the posterior has no codebooks.
    """

    support: ClassVar = "codes"

    def __init__(self, posterior: nn.Module, *, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        if width < 4 or width % 4:
            raise SpecError(found=f"width = {width}", expected="a multiple of 4", do="use, say, width=64")
        if layers < 1:
            raise SpecError(found=f"layers = {layers}", expected="at least 1", do="use layers=1 or more")
        _check_codes(posterior)
        self.encoder = (posterior,)
        _, levels, places, size = _codes_of(posterior)
        self.network = CausalTransformer(levels, places, size, width, layers)

    def fit_settings(self, count: int) -> FitSettings:
        """Return at most 3 passes over the `count` latent vectors: with more it would overfit a small data set."""
        return FitSettings(steps=min(1500, 3 * count // 32), batch=32, learning_rate=3e-3)

    def initialise_from_latents(self, z: Tensor) -> None:
        """Initialise from draws z [n, D]: independent codes, with their frequencies at each place."""
        k, _ = self().read(z)
        self.network.initialise_from_codes(k.transpose(-1, -2).flatten(-2))

    def forward(self) -> Coded:
        books, levels, places, _ = _codes_of(self.encoder[0])
        return Coded(books, places, Autoregressive(self.network, levels, places))


def _check_codes(posterior: nn.Module) -> None:
    """SpecError unless the encoder has codebooks. Asked once: this cannot be traced into the training step."""
    head = head_of(posterior)
    if not has(head, HasCodebooks):
        raise SpecError(
            found=f"a prior over codes with posterior {type(head).__name__}, which has no codebooks",
            expected=f"one that has {', '.join(members(HasCodebooks))}",
            do="use --posterior codes",
        )


def _codes_of(posterior: Any) -> tuple[list[Codebook], int, int, int]:
    """The codebooks of an encoder that has them, L, P and K."""
    levels, _, height, width = posterior.head.latent_grid
    books = list(posterior.head.books)
    return books, levels, height * width, len(books[0].codes)
