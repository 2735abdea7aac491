import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.distributions import is_diagonal_normal
from vaelab.figures.grids import centres, gap_between, grid_figure
from vaelab.figures.model_calls import decode, seeded_model
from vaelab.figures.style import SCREEN, TEXT, Page, subscript
from vaelab.models import VAE
from vaelab.system.errors import SpecError

SIDE = 20
LABELLED = (0, 2, 5, 8, 11, 14, 17, 19)  # indices of the 20 ticks that have a label, symmetric
FEWER_LABELLED = (0, 4, 8, 11, 15, 19)  # the same for a page of at most `WIDE` inches
WIDE = 5.0
VISIBLE = 0.1  # a difference of two pixels in [0, 1] that shows
RARE = 0.01  # share of the pixels at the edges that may differ visibly without a gap between the images


def manifold(model: VAE, data: Dataset | None = None, *, title: str = "", seed: int = 0, page: Page = SCREEN) -> Figure:
    """Draw the learned 2-D manifold: the decoder's means on a grid of z whose cells have equal prior probability.

    With a normal prior in two dimensions, z1 increases to the right and z2 upwards, both by their quantiles (Kingma &
    Welling 2014, figure 4). On the sphere in three dimensions the axes are longitude and z3, which give cells of equal
    area. `data` and `seed` are not used: the figure depends only on the decoder and the prior.

    A model that is conditioned on labels is given the most frequent label.

    Raises:
        SpecError: the latent space is not two-dimensional, or its prior has no such grid.
    """
    with seeded_model(model, seed):
        grid = even_grid(model)
        images = manifold_images(model)
    gap = manifold_gap(images)
    figure, (ax,) = grid_figure(
        [images],
        SIDE,
        gap,
        title=title or "Learned manifold",
        caption=f"Given the most frequent label, {model.labels.name(model.labels.commonest(1).item())}."
        if model.labels
        else "",
        left=0.6,
        bottom=0.45,
        page=page,
    )
    across, down = centres(SIDE, images.shape[3], gap), centres(SIDE, images.shape[2], gap)
    labelled = LABELLED if page.width is None or page.width > WIDE else FEWER_LABELLED
    ax.set_xticks([across[i] for i in labelled], _labels(grid.across, labelled))
    ax.set_yticks([down[SIDE - 1 - i] for i in labelled], _labels(grid.up, labelled))
    ax.set_xlabel(grid.names[0], fontsize=TEXT)
    ax.set_ylabel(grid.names[1], fontsize=TEXT)
    right, up = (f"{name} from {_number(values[0])} to {_number(values[-1])}" for name, values in grid.axes)
    figure.set_label(f"{SIDE} x {SIDE} decoded images on a grid in latent space: {right} to the right, {up} upwards.")
    return figure


def manifold_gap(images: Tensor) -> int:
    """The number of white pixels between the images [400, C, H, W] of a manifold.

    None if all images end in one colour, as white digits on black do: the picture is then one surface. Two or more
    otherwise, since images that end in different colours would run together: digits of 8 x 8 pixels into chains.
    """
    edges = torch.cat([images[..., [0, -1], :].flatten(2), images[..., :, [0, -1]].flatten(2)], dim=2)
    away = (edges - edges.median(dim=2, keepdim=True).values.median(dim=0, keepdim=True).values).abs()
    return 0 if (away > VISIBLE).double().mean() <= RARE else max(2, gap_between(images))


def manifold_images(model: VAE) -> Tensor:
    """The decoder's means on the grid, row by row from the top: [400, C, H, W]. Raises SpecError as `manifold`."""
    conditioned = model.given(model.labels.commonest(1)) if model.labels else model
    return decode(conditioned, even_grid(model).z)


@dataclass(frozen=True)
class Grid:
    """A grid of points in the latent space, with the values and names of its axes."""

    z: Tensor  # [SIDE^2, D], row by row from the top
    across: Tensor  # [SIDE], to the right
    up: Tensor  # [SIDE]
    names: tuple[str, str]

    @property
    def axes(self) -> tuple[tuple[str, Tensor], tuple[str, Tensor]]:
        """The name and the values of either axis, the horizontal one first."""
        return (self.names[0], self.across), (self.names[1], self.up)


def even_grid(model: VAE) -> Grid:
    """Return 400 points, one in each of 400 cells of equal prior probability; SpecError if there is no such grid."""
    prior, share = model.prior(), (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE
    if model.support == "sphere" and model.latent == 3:
        longitude, height = (2 * share - 1) * math.pi, 2 * share - 1
        z3, angle = torch.meshgrid(height.flip(0), longitude, indexing="ij")
        radius = (1 - z3**2).sqrt()
        z = torch.stack([radius * angle.cos(), radius * angle.sin(), z3], -1).reshape(-1, 3)
        return Grid(z, longitude, height, ("longitude", f"z{subscript(3)}"))
    if model.support != "real" or model.latent != 2:
        raise SpecError(
            found=f"a latent space of {model.latent} dimension{'s' if model.latent > 1 else ''}",
            expected=f"{3 if model.support == 'sphere' else 2} for the manifold",
            do="draw the traversal instead, or train with that number of dimensions",
        )
    if not is_diagonal_normal(prior):
        raise SpecError(
            found=f"prior {type(model.prior).__name__}",
            expected="a normal prior with independent dimensions, because the grid is made of their quantiles",
            do="draw the samples instead",
        )
    quantiles = prior.mean.cpu() + prior.stddev.cpu() * torch.special.ndtri(share)[:, None]  # [SIDE, 2]
    across, up = quantiles.unbind(1)
    z2, z1 = torch.meshgrid(up.flip(0), across, indexing="ij")
    return Grid(torch.stack([z1, z2], dim=-1).reshape(-1, 2), across, up, (f"z{subscript(1)}", f"z{subscript(2)}"))


def _labels(values: Tensor, labelled: Sequence[int]) -> list[str]:
    return [_number(values[i]) for i in labelled]


def _number(value: Tensor) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
