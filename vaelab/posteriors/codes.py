"""A posterior head with discrete codes: vector quantisation."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from vaelab.distributions import (
    Codebook,
    Quantised,
)
from vaelab.system.errors import SpecError


class VectorQuantised(nn.Module):
    """A point mass q(z|x) at the codes nearest to the encoder's output (van den Oord, Vinyals & Kavukcuoglu 2017).

    The encoder gives a vector e of `latent` numbers at each place of a grid. Each level has its own codebook and takes
    the code that is nearest to the residual of the levels before it (Zeghidour et al. 2021, algorithm 1; Lee et al.
    2022, equation 4). z holds the codes of all levels and places. The decoder gets the sum over the levels, whose
    gradient is passed to e unchanged ("straight through"). `vaelab.distributions.Codebook` says how codebooks learn.

    A convolutional network with as many halving stages has a 1 x 1 convolution before and after the codes. Any other
    network is fully connected there.

    Arguments:
        latent: d, the length of a code.
        image_shape: C, H, W.
        size: K, codes in each level.
        levels: L, the number of codes at each place, one for what the earlier ones leave.
        halvings: how often height and width are halved, which gives a grid of P places; z has at most L P log K nats.
        decay: gamma, of the moving averages that the codes are.
        restart: a code that is used less than this proportion of uniform use is restarted.

    Raises:
        SpecError: no level, no place, fewer than 2 codes, or a proportion outside (0, 1).
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
                expected=f"0 to {min(height, width).bit_length() - 1}, so that at least one place remains",
                do="use fewer halvings in posterior codes",
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
        codes[0] = codes[0] + (e - e.detach())  # adds 0, with the gradient of e
        z = torch.stack(codes, -3).transpose(-1, -2).flatten(-3)
        return Quantised(z, torch.stack(residuals, -3))
