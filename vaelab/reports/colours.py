"""The colours of images, and how much of them reconstructions keep.

The colour of a pixel is its chroma vector, (R - (G + B) / 2, sqrt(3) / 2 (G - B)). Its length says how colourful the
pixel is, 0 for every grey. Its angle is the hue: 0 degrees for red, 120 for green and 240 for blue. The vector is
linear in the pixel, so the colour of an image is the mean of the colours of its pixels.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")  # sixths of the circle around 0, 60, ..., 300 degrees
COLOURFUL = 0.05  # the smallest chroma of an image with a hue; half of it is a tint that is hard to name
FEWEST = 5  # the smallest number of images of a hue for a statement about it


@dataclass(frozen=True)
class Retained:
    """Chroma of reconstructions along the hue of their images, relative to that of the images: mean over n images."""

    hue: str
    n: int
    share: float | None  # None where n = 0
    se: float | None  # standard error; None where n < 2

    @property
    def enough(self) -> bool:
        """Whether there are enough images for a statement."""
        return self.n >= FEWEST


def chroma(images: Tensor) -> Tensor:
    """The mean chroma vector of each of images [N, 3, H, W] in [0, 1]: [N, 2]."""
    red, green, blue = images.double().mean((2, 3)).unbind(1)
    return torch.stack([red - (green + blue) / 2, sqrt(3) / 2 * (green - blue)], dim=1)


def hues(images: Tensor) -> Tensor:
    """The hue of each of images [N, 3, H, W] in [0, 1] as an index of HUES, -1 for no hue: int64 [N]."""
    vector = chroma(images)
    degrees = torch.rad2deg(torch.atan2(vector[:, 1], vector[:, 0]))
    sixth = ((degrees + 30) % 360 // 60).long().clamp(max=len(HUES) - 1)
    return torch.where(vector.norm(dim=1) >= COLOURFUL, sixth, -1)


def hue_counts(images: Tensor) -> list[int]:
    """Count the images [N, 3, H, W] in [0, 1] with each of HUES; the last count is of images without a hue."""
    found = hues(images).tolist()
    return [found.count(index) for index in (*range(len(HUES)), -1)]


def retained(images: Tensor, reconstructions: Tensor) -> list[Retained]:
    """What is retained of each hue: 1 for all of its chroma, 0 for grey, negative for the opposite hue.

    Arguments:
        images: [N, 3, H, W] in [0, 1].
        reconstructions: of the same images, the same shape.
    """
    vector, after, hue = chroma(images), chroma(reconstructions), hues(images)
    share = (vector * after).sum(1) / vector.square().sum(1)
    return [_mean(name, share[hue == index]) for index, name in enumerate(HUES)]


def _mean(hue: str, share: Tensor) -> Retained:
    n = len(share)
    return Retained(
        hue,
        n,
        share.mean().item() if n else None,
        (share.std() / sqrt(n)).item() if n > 1 else None,
    )
