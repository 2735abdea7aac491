"""Count the floating-point operations of a training step from the architecture.

Only matrix products and convolutions count; a multiplication and an addition are two operations. Each layer does its
work once forward, once for the gradient of its weights, and once for the gradient of its input. The first layer does
not need the last one, because its input is the image. The encoder gets an image once; the decoder gets each of its k
samples.
"""

from itertools import pairwise
from math import prod

from benchmarks.workloads import Trainer

KERNEL = 4 * 4


def encoder_layers(training: Trainer) -> list[int]:
    """FLOPs of each layer of the encoder, forward, for one image."""
    channels, height, width = training.shape
    layers = []
    for maps in training.channels:
        height, width = height // 2, width // 2
        layers.append(2 * KERNEL * channels * maps * height * width)
        channels = maps
    sizes = [channels * height * width, *training.hidden, 2 * training.latent]
    return layers + _linear(sizes)


def decoder_layers(training: Trainer) -> list[int]:
    """FLOPs of each layer of the decoder, forward, for one z."""
    _, height, width = training.shape
    halvings = len(training.channels)
    height, width = height >> halvings, width >> halvings
    inner = training.channels[-1] * height * width if halvings else training.parameters * height * width
    layers = _linear([training.latent, *training.hidden[::-1], inner])
    for maps, smaller in zip(training.channels[::-1], [*training.channels[-2::-1], training.parameters], strict=False):
        layers.append(2 * KERNEL * maps * smaller * height * width)  # a transposed one has the size of its input
        height, width = 2 * height, 2 * width
    return layers


def _linear(sizes: list[int]) -> list[int]:
    return [2 * prod(pair) for pair in pairwise(sizes)]


def step_flops(training: Trainer) -> int:
    """FLOPs of one training step on a batch."""
    first, *others = encoder_layers(training)
    encoder = 2 * first + 3 * sum(others)
    decoder = 3 * sum(decoder_layers(training))
    return training.batch * (encoder + max(1, training.samples) * decoder)


def nll_flops(training: Trainer, samples: int) -> int:
    """FLOPs of the importance-weighted estimate of one image: the encoder once, the decoder `samples` times."""
    return sum(encoder_layers(training)) + samples * sum(decoder_layers(training))
