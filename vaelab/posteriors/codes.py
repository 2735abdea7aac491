"""A posterior head of codes: vector quantisation."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from vaelab.distributions import (
    Codebook,
    Quantised,
)
from vaelab.system.errors import SpecError


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
        self.latent_grid = (levels, latent, height >> halvings, width >> halvings)
        self.books = nn.ModuleList(Codebook(size, latent, decay, restart) for _ in range(levels))

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.latent_grid[1:]

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
