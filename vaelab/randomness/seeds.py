"""Seeds as a pure function of (seed, stream, index): this makes resuming exact and runs comparable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vaelab.system.errors import SpecError

if TYPE_CHECKING:
    import torch

STREAMS = {
    "weights": 0, "order": 1, "noise": 2, "validation": 3, "evaluation": 4, "figures": 5, "settling": 6, "objective": 7,
    "refit": 8, "start": 9, "regret": 10, "shards": 11,
}  # fmt: skip


def derive(seed: int, stream: str, *index: int) -> int:
    """A 63-bit seed for one use of randomness. Different streams and indices give independent seeds.

    Trailing zeros of `index` make no difference: (2,) and (2, 0) give the same seed.

    Arguments:
        stream: the use, one of `STREAMS`.
        index: numbers within the stream, such as the step.

    Raises:
        SpecError: `seed` is negative.
    """
    if seed < 0:
        raise SpecError(found=f"seed = {seed}", expected="0 or more", do="use another seed")
    words = np.random.SeedSequence([seed, STREAMS[stream], *(index or (0,))]).generate_state(2, np.uint32)
    return (int(words[0]) << 32 | int(words[1])) >> 1


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed torch's default generator of `device`, and of no other device."""
    from vaelab.system.torch_internals import seed_default_generator  # which imports torch

    seed_default_generator(device, seed)
