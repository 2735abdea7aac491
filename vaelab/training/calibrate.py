"""Calibration: parts of a model that are computed from training images and not trained step by step."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.evaluation.batches import batches_by_content
from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE
from vaelab.parts.capabilities import Calibrated, modules_with
from vaelab.randomness.seeds import derive, seed_generator

IMAGES = 100  # at a time; fixed, because noise is drawn for each group


def calibrate(model: VAE, train: Dataset, seed: int, images: int = 0) -> None:
    """Calibrate every module of `model` that is `Calibrated`, with the model in evaluation mode.

    A batch is the model, conditioned on the labels of these images if it has labels, and x [B, C, H, W] on its device.
    All draws for a batch, of its pixels and while it is used, are a function of `seed` and of its images only. The
    states of the generators are restored.

    Arguments:
        train: training images.
        images: how many of them, the same random choice each time; 0: all.
    """
    for module in modules_with(model, Calibrated):
        with evaluating(model):
            module.calibrate(_batches(model, train, seed, images))


def _batches(model: VAE, train: Dataset, seed: int, images: int) -> Iterator[tuple[VAE, Tensor]]:
    device = next(model.parameters()).device

    def seed_noise(number: int) -> None:
        seed_generator(torch.device("cpu"), derive(seed, "settling", number))

    for batch in batches_by_content(model, train, IMAGES, seed_noise, images):
        seed_generator(device, derive(seed, "settling", batch.number, 1))
        yield model.given(batch.labels), batch.x
