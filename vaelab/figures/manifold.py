import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.errors import SpecError
from vaelab.figures.drawing import decode, drawing
from vaelab.figures.grids import centres, grid_figure
from vaelab.figures.style import TEXT
from vaelab.models import VAE

SIDE = 20
LABELLED = (0, 2, 5, 8, 11, 14, 17, 19)  # enough of the 20 to read the axis by, the same from both ends


def manifold(model: VAE, data: Dataset, *, title: str = "", seed: int = 0) -> Figure:
    """The learned 2-D manifold: the decoder's means on a grid of z, z1 to the right and z2 upwards.

    The grid is even in probability under N(0, I), not in z (Kingma & Welling 2014, figure 4). `data` and `seed` are not
    used: the picture is of the decoder alone.

    Raises:
        SpecError: the latent space does not have two dimensions.
    """
    with drawing(model, seed):
        images = manifold_images(model)
    figure, (ax,) = grid_figure([images], SIDE, 0, title=title or "Learned manifold", left=0.6, bottom=0.45)
    values = quantiles(SIDE)
    across, down = centres(SIDE, images.shape[3], 0), centres(SIDE, images.shape[2], 0)
    labels = [f"{values[i]:.2f}".replace("-", "\N{MINUS SIGN}") for i in LABELLED]
    ax.set_xticks([across[i] for i in LABELLED], labels)
    ax.set_yticks([down[SIDE - 1 - i] for i in LABELLED], labels)
    ax.set_xlabel("$z_1$", fontsize=TEXT)
    ax.set_ylabel("$z_2$", fontsize=TEXT)
    return figure


def manifold_images(model: VAE) -> Tensor:
    """The decoder's means on the grid, row by row from the top: [400, C, H, W].

    Raises:
        SpecError: the latent space does not have two dimensions.
    """
    if model.latent != 2:
        raise SpecError(
            found=f"a latent space of {model.latent} dimension{'s' if model.latent > 1 else ''}",
            expected="2 for the manifold",
            do="draw the traversal instead, or train with 2",
        )
    axis = quantiles(SIDE)
    z2, z1 = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    return decode(model, torch.stack([z1, z2], dim=-1).reshape(-1, 2))


def quantiles(count: int) -> Tensor:
    """z_i with Phi(z_i) = (i + 1/2) / count, Phi the distribution function of N(0, 1): [count], float64."""
    return torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
