import math
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.distributions import is_diagonal_normal
from vaelab.figures.grids import centres, grid_figure
from vaelab.figures.model_calls import decode, seeded_model
from vaelab.figures.style import TEXT, subscript
from vaelab.models import VAE
from vaelab.system.errors import SpecError

SIDE = 20
LABELLED = (0, 2, 5, 8, 11, 14, 17, 19)  # enough of the 20 to read the axis by, the same from both ends


def manifold(model: VAE, data: Dataset | None = None, *, title: str = "", seed: int = 0) -> Figure:
    """The learned 2-D manifold: the decoder's means on a grid of z, even in probability under the prior.

    Under a normal prior in two dimensions z1 goes to the right and z2 upwards, by the quantiles of each (Kingma &
    Welling 2014, figure 4); on the sphere in three, longitude and z3, by which equal cells have equal areas. `data` and
    `seed` are not used: the picture is of the decoder alone.

    A model that is told labels is told the commonest.

    Raises:
        SpecError: the latent space is not a surface, or has a prior without such a grid.
    """
    with seeded_model(model, seed):
        grid = even_grid(model)
        images = manifold_images(model)
    figure, (ax,) = grid_figure(
        [images],
        SIDE,
        0,
        title=title or "Learned manifold",
        caption=f"Given the commonest label, {model.labels.name(model.labels.commonest(1).item())}."
        if model.labels
        else "",
        left=0.6,
        bottom=0.45,
    )
    across, down = centres(SIDE, images.shape[3], 0), centres(SIDE, images.shape[2], 0)
    ax.set_xticks([across[i] for i in LABELLED], _labels(grid.across))
    ax.set_yticks([down[SIDE - 1 - i] for i in LABELLED], _labels(grid.up))
    ax.set_xlabel(grid.names[0], fontsize=TEXT)
    ax.set_ylabel(grid.names[1], fontsize=TEXT)
    return figure


def manifold_images(model: VAE) -> Tensor:
    """The decoder's means on the grid, row by row from the top: [400, C, H, W]. Raises SpecError: see `manifold`."""
    conditioned = model.given(model.labels.commonest(1)) if model.labels else model
    return decode(conditioned, even_grid(model).z)


@dataclass(frozen=True)
class Grid:
    """Points of the latent space, and how their axes are labelled."""

    z: Tensor  # [SIDE^2, D], row by row from the top
    across: Tensor  # [SIDE], to the right
    up: Tensor  # [SIDE]
    names: tuple[str, str]


def even_grid(model: VAE) -> Grid:
    """400 points in as many cells of equal probability under the prior; SpecError where none is known."""
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
            do="draw the traversal instead, or train with that many",
        )
    if not is_diagonal_normal(prior):
        raise SpecError(
            found=f"prior {type(model.prior).__name__}",
            expected="a normal one with independent dimensions, whose quantiles make the manifold's grid",
            do="draw the samples instead",
        )
    quantiles = prior.mean.cpu() + prior.stddev.cpu() * torch.special.ndtri(share)[:, None]  # [SIDE, 2]
    across, up = quantiles.unbind(1)
    z2, z1 = torch.meshgrid(up.flip(0), across, indexing="ij")
    return Grid(torch.stack([z1, z2], dim=-1).reshape(-1, 2), across, up, (f"z{subscript(1)}", f"z{subscript(2)}"))


def _labels(values: Tensor) -> list[str]:
    return [f"{values[i]:.2f}".replace("-", "\N{MINUS SIGN}") for i in LABELLED]
