"""Calibration: parts of a model that are computed from training images and not trained step by step."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE, rows
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
    order = train.by_content[: images or len(train)]  # the same as `Dataset.some`, without a copy
    for number, start in enumerate(range(0, len(order), IMAGES)):
        chosen = order[start : start + IMAGES]
        levels = torch.from_numpy(train.images[chosen])
        seed_generator(torch.device("cpu"), derive(seed, "settling", number))
        x = protocol(train.protocol).pixels(levels).to(device)  # the same noise on every device
        seed_generator(device, derive(seed, "settling", number, 1))
        yield model.given(rows(train.labels, chosen)), x
