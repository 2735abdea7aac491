"""The images of a data set, batch by batch, in an order that depends on the images and not on the file."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.evaluation.measure import Progress
from vaelab.models import VAE, rows
from vaelab.system.world import ALONE, world


class Batch(NamedTuple):
    """Some images, and where they stand in their data set."""

    number: int  # of the batch, from 0
    chosen: np.ndarray  # int64 [B], their indices in the data set
    x: Tensor  # [B, C, H, W], pixels in [0, 1], on the model's device
    labels: np.ndarray | None  # int64 [B]


def batches_by_content(
    model: VAE,
    data: Dataset,
    size: int,
    seed_noise: Callable[[int], object],
    images: int = 0,
    filled: bool = False,
    progress: Progress = lambda share: None,
    shared: bool = False,
) -> Iterator[Batch]:
    """Yield the images in `by_content` order. The noise of the pixels is drawn on the CPU, the same for every device.

    Arguments:
        model: only its device matters.
        size: images in a batch. Noise is drawn by batch, so numbers depend on it.
        seed_noise: number of a batch -> seeds the CPU's generator; called before the pixels are drawn.
        images: how many, the first of the order; 0: all.
        filled: whether the last batch is filled up with the first images.
        progress: called after each batch with the completed proportion.
        shared: whether each worker (`vaelab.system.world`) takes some of the batches, and not all of them.
    """
    here = world() if shared else ALONE
    device, pixels = next(model.parameters()).device, protocol(data.protocol).pixels
    order = data.by_content[: images or len(data)]
    for number, start in enumerate(range(0, len(order), size)):
        if number % here.size != here.rank:
            continue
        chosen = order[np.arange(start, start + size) % len(order)] if filled else order[start : start + size]
        seed_noise(number)
        x = pixels(torch.from_numpy(data.images[chosen])).to(device)
        yield Batch(number, chosen, x, rows(data.labels, chosen))
        progress(min(1.0, (start + size) / len(order)))
