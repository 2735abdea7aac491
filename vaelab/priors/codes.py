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
from vaelab.system.errors import SpecError


class UniformOnCodes(nn.Module):
    """p(z) = K^-(L P): all codes of each level have the same probability at every place.

    Arguments:
        posterior: the encoder with the codebooks.
    """

    support: ClassVar = "codes"

    def __init__(self, posterior: nn.Module) -> None:
        super().__init__()
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
        layers: at least 1.

    Raises:
        SpecError: the width is not a multiple of 4, or there is no layer.
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
