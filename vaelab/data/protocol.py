"""Protocols: how stored levels 0 to 255 become the pixel values that a likelihood describes.

Numbers on one data set under two protocols are not comparable, so each result names its protocol.
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
        levels: what the values are: "binary" {0, 1}; "grey" 256 values in [0, 1], taken as points of a continuum; "256"
            the same values, each taken as one level out of 256; "8bit" a continuum in (0, 1).
        prepare: (images uint8 [N, C, H, W], seed) -> uint8 of the same shape; applied once, before training.
        draws: whether `prepare` draws noise. If not, it may be applied to each level separately, when it is read.
        pixels: images uint8 [B, C, H, W] -> float32 of the same shape; applied on the device at every step. Torch draws
            its noise, if there is any.
    """

    name: str
    summary: str
    levels: Literal["binary", "grey", "256", "8bit"]
    prepare: Callable[[np.ndarray, int], np.ndarray]
    pixels: Callable[[Tensor], Tensor]
    draws: bool = False

    @property
    def counts_levels(self) -> bool:
        """Whether the nats are those of 8-bit levels, -log P(u). Only then are bits per dimension defined."""
        return self.levels in ("256", "8bit")

    def nats_offset(self, shape: tuple[int, ...]) -> float:
        """What to add to -log p(x) of an image [C, H, W] to get -log P(u), in nats: C H W log 256 for `8bit`, else 0.

        -log P(u) <= E_U[-log p((u + U) / 256)] + C H W log 256, because the width of a level is 1 / 256 (Theis, van den
        Oord & Bethge 2016, section 3.1). With it, the nats of an 8-bit image are those of its levels; they are never
        negative.
        """
        return prod(shape) * log(256) if self.levels == "8bit" else 0.0


def protocol(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises:
        SpecError: there is no such protocol.
    """
    if name not in PROTOCOLS:
        raise SpecError(
            found=f"protocol {name!r}", expected=f"one of {', '.join(PROTOCOLS)}", do="choose one of these names"
        )
    return PROTOCOLS[name]


def with_protocol(splits: Splits, name: str, seed: int) -> Splits:
    """Prepare the splits for protocol `name`; the noise of `binary-static` depends only on (seed, split).

    Raises:
        SpecError: there is no such protocol, or it needs all images in memory and they are on disk.
    """
    validation = None if splits.validation is None else prepare(splits.validation, name, seed)
    return replace(
        splits, train=prepare(splits.train, name, seed), validation=validation, test=prepare(splits.test, name, seed)
    )


def prepare(data: Dataset, name: str, seed: int = 0) -> Dataset:
    """Prepare one split, with its levels as stored, for protocol `name`. Raises SpecError as `with_protocol`."""
    chosen = protocol(name)
    if chosen.prepare is _unchanged:
        return replace(data, protocol=name)
    if isinstance(data.images, Stored):
        return replace(data, images=_prepared_when_read(data.images, chosen), protocol=name)
    noise = np.random.SeedSequence((seed, SPLITS.index(data.split))).generate_state(1, np.uint64)
    images = chosen.prepare(data.images, int(noise[0]))
    return replace(data, images=images, protocol=name, originals=data.source_digests)


def _prepared_when_read(images: Stored, chosen: Protocol) -> Stored:
    if chosen.draws:
        raise SpecError(
            found=f"protocol {chosen.name} for images that stay on disk in {images.path}",
            expected="a protocol that needs no copy of all images",
            do="use binary-dynamic, or save the images as .npz, or draw the binary images once and save them",
        )
    return replace(images, prepare=lambda levels: chosen.prepare(levels, 0))


def _unchanged(images: np.ndarray, seed: int) -> np.ndarray:
    return images


def _drawn(images: np.ndarray, seed: int) -> np.ndarray:
    # Of the 255 noise values, exactly u are below level u: the probability of a white pixel is u / 255, not rounded.
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
    # float32 just below 256 has a spacing of 2^-16: noise up to 1 would round up to the next level, and level 255 to 1.
    # The last term changes only level 0, where noise of exactly 0 would give the value 0; other levels round it off.
    return (level + level.new_empty(level.shape).uniform_() * (1 - 2**-16) + 2**-26) / 256


PROTOCOLS = {
    entry.name: entry
    for entry in (
        Protocol("binary-dynamic", "a new Bernoulli(u / 255) draw at every step", "binary", _unchanged, _bernoulli),
        Protocol(
            "binary-static", "one Bernoulli(u / 255) draw, the same at every step", "binary", _drawn, _scaled, True
        ),
        Protocol("binary-threshold", "white where u >= 128, else black", "binary", _thresholded, _scaled),
        Protocol("grey", "u / 255", "grey", _unchanged, _scaled),
        Protocol(
            "levels", "u / 255 as one of 256 levels: a probability, comparable in bits/dim", "256", _unchanged, _scaled
        ),
        Protocol(
            "8bit", "(u + uniform noise) / 256: a density, comparable in bits/dim", "8bit", _unchanged, _dequantised
        ),
    )
}
