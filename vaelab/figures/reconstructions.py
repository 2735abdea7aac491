import torch
from matplotlib.figure import Figure

from vaelab.data.dataset import Dataset
from vaelab.figures.grids import centres, gap_between, grid_figure
from vaelab.figures.model_calls import choose, condition_of, pixels, reconstruct, seeded_model
from vaelab.figures.style import SCREEN, Page
from vaelab.models import VAE

ROWS, COLUMNS = 5, 10
GIVEN = "The model is given the label of each image."
SAMPLES = 32  # draws of z that a reconstruction averages


def reconstructions(model: VAE, data: Dataset, *, title: str = "", seed: int = 0, page: Page = SCREEN) -> Figure:
    """Draw images as the model sees them and, below each, its reconstruction: E_{q(z|x)} of the decoder's mean.

    The expectation is the average over 32 draws of z from the posterior. The images are chosen at random. A model that
    is conditioned on labels is given the labels of these images.
    """
    with seeded_model(model, seed):
        indices = choose(data, ROWS * COLUMNS)
        x = pixels(model, data, indices)
        means = reconstruct(model, x, SAMPLES, condition_of(model, data, indices))
    columns = min(COLUMNS, len(x))
    line = torch.ones_like(means[:, :, :1])
    pairs = torch.cat([x.cpu(), line, means], dim=2)  # one tall cell for each pair
    gap = 2 * gap_between(means)
    figure, (ax,) = grid_figure(
        [pairs],
        columns,
        gap,
        title=title or "Reconstructions",
        caption=GIVEN if model.labels else "",
        left=0.85,
        page=page,
    )
    pair_height, height = pairs.shape[2], means.shape[2]
    middles = centres(-(-len(pairs) // columns), pair_height, gap)
    offset = (height + 1) / 2
    ax.set_yticks([y + side for y in middles for side in (-offset, offset)], ["data", "reconstruction"] * len(middles))
    figure.set_label(f"{len(pairs)} test images chosen at random; below each, its reconstruction.")
    return figure
