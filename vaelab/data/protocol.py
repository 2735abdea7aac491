"""How stored levels 0 to 255 become the pixel values that a likelihood describes.

Numbers on one data set under two protocols are not comparable: each result carries the name of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log, prod
from typing import TYPE_CHECKING, Literal

import numpy as np

from vaelab.data.dataset import SPLITS, Dataset, Splits
from vaelab.data.stored import Stored
from vaelab.system.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Protocol:
    """A way to read levels as pixel values.

    Arguments:
        name: its name in results.
        summary: one line that says what it does.
        levels: what the values are: "binary" {0, 1}, "grey" 256 values in [0, 1] as points of a continuum, "256" the
            same values as what they are, one level out of 256, "8bit" a continuum in (0, 1).
        prepare: (images uint8 [N, C, H, W], seed) -> uint8 of the same shape; done once, before training.
        draws: whether `prepare` draws noise. Without, it is done to each level by itself, whenever it is read.
        pixels: images uint8 [B, C, H, W] -> float32 of the same shape; done on the device at every step, with noise,
            if any, drawn by torch.
    """

    name: str
    summary: str
    levels: Literal["binary", "grey", "256", "8bit"]
    prepare: Callable[[np.ndarray, int], np.ndarray]
    pixels: Callable[[Tensor], Tensor]
    draws: bool = False

    @property
    def counts_levels(self) -> bool:
        """Whether nats are those of 8-bit levels, -log P(u), so that there are bits per dimension to speak of."""
        return self.levels in ("256", "8bit")

    def nats_offset(self, shape: tuple[int, ...]) -> float:
        """What -log p(x) of an image [C, H, W] lacks to -log P(u), in nats: C H W log 256 for `8bit`, otherwise 0.

        -log P(u) <= E_U[-log p((u + U) / 256)] + C H W log 256, the width of a level being 1 / 256 (Theis, van den Oord
        & Bethge 2016, section 3.1). With it, nats of an 8-bit image are those of its levels, and never negative.
        """
        return prod(shape) * log(256) if self.levels == "8bit" else 0.0


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        SpecError: there is none.
    """
    if name not in PROTOCOLS:
        raise SpecError(
            found=f"protocol {name!r}", expected=f"one of {', '.join(PROTOCOLS)}", do="choose one of these names"
        )
    return PROTOCOLS[name]


def with_protocol(splits: Splits, name: str, seed: int) -> Splits:
    """The same splits, prepared for protocol `name`; the noise of `binary-static` depends on (seed, split) alone.

    Raises:
        SpecError: there is no such protocol, or it wants memory for all images and they are on disk.
    """
    chosen = protocol(name)

    def prepared(data: Dataset) -> Dataset:
        if chosen.prepare is _unchanged:
            return replace(data, protocol=name)
        if isinstance(data.images, Stored):
            return replace(data, images=_prepared_when_read(data.images, chosen), protocol=name)
        noise = np.random.SeedSequence((seed, SPLITS.index(data.split))).generate_state(1, np.uint64)
        images = chosen.prepare(data.images, int(noise[0]))
        return replace(data, images=images, protocol=name, originals=data.source_digests)

    validation = None if splits.validation is None else prepared(splits.validation)
    return replace(splits, train=prepared(splits.train), validation=validation, test=prepared(splits.test))


def _prepared_when_read(images: Stored, chosen: Protocol) -> Stored:
    if chosen.draws:
        raise SpecError(
            found=f"protocol {chosen.name} of images that stay in {images.path}",
            expected="one that needs no copy of all images",
            do="use binary-dynamic, save the images as .npz to have them in memory, or draw them once and save that",
        )
    return replace(images, prepare=lambda levels: chosen.prepare(levels, 0))


def _unchanged(images: np.ndarray, seed: int) -> np.ndarray:
    return images


def _drawn(images: np.ndarray, seed: int) -> np.ndarray:
    # Of the 255 values below, exactly u lie under level u: the chance of a white pixel is u / 255 without rounding.
    noise = np.random.default_rng(seed).integers(0, 255, images.shape, np.uint8)
    return (noise < images) * np.uint8(255)


def _thresholded(images: np.ndarray, seed: int) -> np.ndarray:
    return (images >= 128) * np.uint8(255)


def _scaled(images: Tensor) -> Tensor:
    return images.float() / 255


def _bernoulli(images: Tensor) -> Tensor:
    chance = _scaled(images)
    return (chance.new_empty(chance.shape).uniform_() < chance).float()


def _dequantised(images: Tensor) -> Tensor:
    level = images.float()
    # float32 below 256 is a grid of 2^-16: unshortened noise would round up into the next level, and 255 to 1. The last
    # term is lost in every other level and moves level 0 alone, where noise of exactly 0 would make a value of 0.
    return (level + level.new_empty(level.shape).uniform_() * (1 - 2**-16) + 2**-26) / 256


PROTOCOLS = {
    entry.name: entry
    for entry in (
        Protocol("binary-dynamic", "a new Bernoulli(u / 255) draw at every step", "binary", _unchanged, _bernoulli),
        Protocol("binary-static", "one Bernoulli(u / 255) draw, kept for good", "binary", _drawn, _scaled, True),
        Protocol("binary-threshold", "white where u >= 128, else black", "binary", _thresholded, _scaled),
        Protocol("grey", "u / 255", "grey", _unchanged, _scaled),
        Protocol(
            "levels", "u / 255 as one level of 256: a probability, comparable in bits/dim", "256", _unchanged, _scaled
        ),
        Protocol(
            "8bit", "(u + uniform noise) / 256: a density, comparable in bits/dim", "8bit", _unchanged, _dequantised
        ),
    )
}
