"""Grids of images without texts, for a report that shows them next to each other and describes them itself.

Cell i of every panel that is drawn for the same indices shows the same image, so panels can be compared cell by cell.
"""

from math import ceil, sqrt

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.figures.grids import gap_between, grid_figure, visible
from vaelab.figures.manifold import SIDE, manifold_gap, manifold_images
from vaelab.figures.model_calls import condition_of, pixels, reconstruct, seeded_model
from vaelab.figures.reconstructions import SAMPLES
from vaelab.models import VAE

INCHES = 3.2


def data_panel(images: np.ndarray) -> Figure:
    """Draw the images, uint8 [N, C, H, W], in a square."""
    return _square(torch.from_numpy(images) / 255)


def reconstruction_panel(model: VAE, data: Dataset, indices: np.ndarray, *, seed: int = 0) -> Figure:
    """Draw the decoder's mean, averaged over 32 draws of z from the posterior, for the images at `indices`."""
    with seeded_model(model, seed):
        return _square(reconstruct(model, pixels(model, data, indices), SAMPLES, condition_of(model, data, indices)))


def sample_panel(model: VAE, *, count: int = 64, seed: int = 0) -> Figure:
    """Draw the decoder's means for `count` draws of z from the prior."""
    with seeded_model(model, seed):
        return _square(model.sample(count).mean.cpu())


def manifold_panel(model: VAE) -> Figure:
    """Draw the learned 2-D manifold, as in `manifold`."""
    with seeded_model(model, seed=0):
        images = manifold_images(model)
    return _bare(images, SIDE, manifold_gap(images))


def _square(images: Tensor) -> Figure:
    return _bare(images, ceil(sqrt(len(images))), gap_between(images))


def _bare(images: Tensor, columns: int, gap: int) -> Figure:
    figure, _ = grid_figure([visible(images)], columns, gap, margin=0.0, target=INCHES)
    return figure
