"""Randomness as a pure function of (seed, stream, index): what makes resuming exact and runs comparable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vaelab.system.errors import SpecError

if TYPE_CHECKING:
    import torch

STREAMS = {
    "weights": 0, "order": 1, "noise": 2, "validation": 3, "evaluation": 4, "figures": 5, "settling": 6, "objective": 7,
    "refit": 8, "start": 9,
}  # fmt: skip


def derive(seed: int, stream: str, *index: int) -> int:
    """A 63-bit seed for one use of randomness; different streams and indices are independent of each other.

    Trailing zeros of `index` do not tell: (2,) and (2, 0) are one.

    Raises:
        SpecError: a negative seed.
    """
    if seed < 0:
        raise SpecError(found=f"seed = {seed}", expected="0 or more", do="use another seed")
    words = np.random.SeedSequence([seed, STREAMS[stream], *(index or (0,))]).generate_state(2, np.uint32)
    return (int(words[0]) << 32 | int(words[1])) >> 1


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed the generator at hand of `device`; torch.manual_seed seeds every device's, at a hundred times the price."""
    from vaelab.system.torch_internals import seed_default_generator  # which imports torch

    seed_default_generator(device, seed)
