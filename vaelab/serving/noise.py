"""Noise of an image that depends on the seed and on its pixels only, not on the other images."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.randomness.noise import Noise, key_of, threefry
from vaelab.randomness.seeds import derive
from vaelab.system.errors import SpecError


class ImageNoise(Noise):
    """A context in which each image has its own draws: those of (seed, digest of the image, number of the draw).

    Arguments:
        digests: returns those of the images, as `Dataset.digests`, [B]. It is called at the first draw, because they
            take time and many protocols draw nothing. Every draw must have the images as its first axis.
        seed: of all draws.
    """

    def __init__(self, digests: Callable[[], np.ndarray], seed: int, device: torch.device) -> None:
        super().__init__(key_of(derive(seed, "evaluation"), device), torch.zeros((), dtype=torch.int32, device=device))
        self.digests = digests

    @cached_property
    def keys(self) -> Tensor:
        """The key of each image, int32 [2, B]."""
        digests = np.ascontiguousarray(self.digests())
        words = torch.from_numpy(digests.view("<i4").reshape(len(digests), 4)[:, :2].copy())
        return (words.to(self.key.device) ^ self.key).T

    def words(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        self.draws += 1
        count = self.keys.shape[1]
        if shape[:1] != (count,):
            raise SpecError(
                found=f"a part that draws noise of shape {list(shape)} for {count} images",
                expected="noise with the images as its first axis",
                do="draw noise of the shape of the parameters",
            )
        each = shape[1:].numel()
        places = torch.arange(each, dtype=torch.int32, device=self.key.device).expand(count, each)
        first, second = (word.unsqueeze(-1) for word in self.keys)
        drawn = threefry((first, second + self.draws), (places, self.step.expand(count, each)))
        return drawn[0].view(shape), drawn[1].view(shape)


def image_noise(data: Dataset, at: slice, seed: int, device: torch.device) -> ImageNoise:
    """The noise of the images of `data` at `at`."""
    return ImageNoise(lambda: data.digests[at], seed, device)
