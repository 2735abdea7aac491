"""How many draws of z each image gets under `samples=auto`: more where few of them are effective."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from vaelab.evaluation.likelihood.chunk import AtATime, ChunkNoise, evaluate_chunk
from vaelab.models import VAE, Conditional, rows

FEWEST = 100  # draws that every image gets
TIMES = 10  # as many draws in the estimate as in its pilot, and from one stage to the next
ENOUGH = 5.0  # effective draws of a pilot


def allotment(
    model: VAE,
    decoder: Conditional,
    x: Tensor,
    condition: Tensor | None,
    at_most: int,
    noise: ChunkNoise,
    at_a_time: AtATime,
) -> Iterator[tuple[Tensor, int]]:
    """Groups of the images x [B, C, H, W], as places among them, and K of each group: 100, 1,000, ..., `at_most`.

    An image gets K draws if K / 10 draws of a pilot have an effective sample size of 5 or more, and otherwise goes on
    to the next K. The pilot's draws are used for nothing else. So K does not depend on the draws of the estimate, which
    is that of a fixed K: 1/K sum w has mean p(x). Were drawing stopped by the effective sample size of the very draws
    that are averaged, it would stop where large weights have not come yet, and 1/K sum w would be too small.

    Each group is yielded once its K is known, the easiest images first.
    """
    waiting = torch.arange(len(x), device=x.device)
    samples = FEWEST
    while len(waiting):
        if samples == at_most:
            yield waiting, samples
            return
        pilot = replace(noise, use=(samples, 1))
        own = x[waiting], rows(condition, waiting)
        effective = evaluate_chunk(model, decoder, *own, samples // TIMES, pilot, at_a_time).effective
        if (effective >= ENOUGH).any():
            yield waiting[effective >= ENOUGH], samples
        waiting, samples = waiting[effective < ENOUGH], min(TIMES * samples, at_most)
