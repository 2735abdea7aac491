"""Draws of z per image under `samples=auto`: images with few effective draws get more."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from vaelab.evaluation.likelihood.chunk import AtATime, ChunkNoise, evaluate_chunk
from vaelab.models import VAE, Conditional, rows

FEWEST = 100  # draws for every image
TIMES = 10  # ratio of the draws in the estimate to those in its pilot, and of one stage to the previous one
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
    """Yield groups of the images x [B, C, H, W], as indices, with K for each group: 100, 1,000, ..., `at_most`.

    An image gets K draws if a pilot of K / 10 draws has an effective sample size of 5 or more. Otherwise the next K is
    tried. The draws of a pilot have no other use, so K does not depend on the draws of the estimate. The estimate is
    therefore that of a fixed K: 1/K sum w has mean p(x). If instead drawing stopped by the effective sample size of the
    averaged draws themselves, it would stop before large weights occur, and 1/K sum w would be too small.

    Each group is yielded as soon as its K is known, the easiest images first.
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
