from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.distributions import kl_per_dimension
from vaelab.figures.grids import centres, gap_between, grid_figure
from vaelab.figures.model_calls import CHUNK, choose, condition_of, decode, encode, posterior, seeded_model
from vaelab.figures.style import PALETTE, SCREEN, TEXT, Page, subscript
from vaelab.models import VAE
from vaelab.system.errors import SpecError

STEPS = 13  # -3, -2.5, ..., 3 standard deviations
DIMENSIONS = 10
IMAGES = 2000  # number of images for the mean KL that orders the dimensions


@dataclass(frozen=True)
class Sweep:
    """The decoder's means along single latent dimensions, a row for each.

    Arguments:
        images: [R S, C, H, W] for R rows of S steps, row by row.
        nearest: in each row, the step that is nearest to the posterior mean of the image.
    """

    images: Tensor
    nearest: list[int]


def traversal(model: VAE, data: Dataset, *, title: str = "", seed: int = 0, page: Page = SCREEN) -> Figure:
    """Draw the effect of each latent dimension: a row for each, from -3 to 3 standard deviations of the prior.

    The other dimensions keep their values in one image's posterior mean, and a label keeps the value of that image.
    Rows are ordered by KL(q(z_d|x) || p(z_d)), averaged over up to 2,000 images, the largest first, ten rows at most. A
    dimension with KL 0 has no information about the image.

    Raises:
        SpecError: the KL divergence has no closed form for each dimension.
    """
    with seeded_model(model, seed):
        kl = mean_kl_per_dimension(model, data)
        order = kl.argsort(descending=True, stable=True)[:DIMENSIONS].tolist()
        chosen = choose(data, 1)
        steps = torch.linspace(-3, 3, STEPS)
        found = sweep(model, data, chosen, order, steps)
    images = found.images
    _, _, height, width = images.shape
    gap = gap_between(images)
    figure, (ax,) = grid_figure(
        [images],
        STEPS,
        gap,
        title=title or "Latent traversal",
        caption=f"{len(order)} of {model.latent} dimensions, largest KL first. "
        "Orange frames: the step nearest to the image's own posterior mean."
        + (
            f" All images are given its label, {data.class_name(data.labels[chosen].item())}."
            if model.labels and data.labels is not None
            else ""
        ),
        left=1.15,
        bottom=0.4,
        page=page,
    )
    across, down = centres(STEPS, width, gap), centres(len(order), height, gap)
    ax.set_xticks(across[::2], [f"{step:.0f}".replace("-", "\N{MINUS SIGN}") for step in steps[::2]])
    ax.set_xlabel("value / sd of the prior", fontsize=TEXT)
    ax.set_yticks(down, [f"z{subscript(d + 1)}  KL {kl[d]:.2f} nats" for d in order])
    for row, column in enumerate(found.nearest):
        corner = (across[column] - (width + 1) / 2, down[row] - (height + 1) / 2)
        ax.add_patch(Rectangle(corner, width + 1, height + 1, fill=False, edgecolor=PALETTE[1], clip_on=False))
    figure.set_label(
        f"{len(order)} rows of {STEPS} decoded images. Each row changes one latent dimension from \N{MINUS SIGN}3 to 3 "
        f"standard deviations of the prior. The largest KL is {kl[order[0]]:.2f} nats, of z{subscript(order[0] + 1)}."
    )
    return figure


def sweep(model: VAE, data: Dataset, chosen: np.ndarray, dimensions: Sequence[int], steps: Tensor) -> Sweep:
    """Move one latent dimension at a time, from the posterior mean of one image; call it in `seeded_model`.

    Arguments:
        chosen: the index of the image, [1]. Its label is given to a model that is conditioned on labels.
        dimensions: that of each row.
        steps: the values of a row, in standard deviations of the prior from its mean, [S].
    """
    (centre,) = encode(model, data, chosen)
    prior = model.prior()
    values = prior.mean.cpu() + steps[:, None] * prior.stddev.cpu()  # [S, D]
    z = centre.repeat(len(dimensions), len(steps), 1)
    for row, d in enumerate(dimensions):
        z[row, :, d] = values[:, d]
    images = decode(model.conditioned(condition_of(model, data, chosen)), z.flatten(0, 1))
    return Sweep(images, [int((values[:, d] - centre[d]).abs().argmin()) for d in dimensions])


def mean_kl_per_dimension(model: VAE, data: Dataset) -> Tensor:
    """KL(q(z_d|x) || p(z_d)) in nats, averaged over up to 2,000 random images: [D], on the CPU.

    Raises:
        SpecError: there is no closed form for each dimension.
    """
    prior = model.prior()
    chunks = torch.from_numpy(choose(data, IMAGES)).split(CHUNK)
    kls = [kl_per_dimension(posterior(model, data, chunk.numpy()), prior) for chunk in chunks]
    known = [kl.cpu().double() for kl in kls if kl is not None]
    if not known:
        raise SpecError(
            found="a posterior or prior that is not a diagonal normal",
            expected="a KL divergence for each latent dimension, because it orders the rows",
            do="draw the interpolation instead",
        )
    return torch.cat(known).mean(0)
