"""How much memory a pass through a network takes, so that work can be cut to fit a budget."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE

FLOAT = 4  # bytes
# Tensors of the size of an image, or of the decoder's output, that a likelihood and its log-density hold at a time, the
# float64 ones twice.
DENSITY = 8


def decoder_bytes(model: VAE) -> int:
    """Bytes that p(x|z) takes for one z, with log p(x|z) and the mean: the decoder's outputs and the density's own."""
    z = torch.zeros(1, 1, model.latent, device=next(model.parameters()).device)
    with torch.no_grad(), evaluating(model), _outputs(model.likelihood) as sizes:
        model.conditioned_on_any().likelihood(z)
    return FLOAT * (sum(sizes) + DENSITY * max(sizes[-1], math.prod(model.image_shape)))


def encoder_bytes(model: VAE) -> tuple[int, int]:
    """Bytes that q(z|x) takes for one image, the image and the encoder's outputs; and those of one draw of z from it.

    A draw is z, twice, its densities' temporaries, and the outputs of what networks it goes through.
    """
    x = torch.zeros(1, *model.image_shape, device=next(model.parameters()).device)
    with torch.no_grad(), evaluating(model), torch.random.fork_rng(), _outputs(model) as sizes:
        q = model.conditioned_on_any().posterior(x)
        encoder = sum(sizes)
        q.rsample()
    return FLOAT * (encoder + 2 * math.prod(model.image_shape)), FLOAT * (5 * model.latent + sum(sizes) - encoder)


@contextmanager
def _outputs(module: nn.Module) -> Iterator[list[int]]:
    """The number of elements in the output of every module without children that runs while this lasts."""
    sizes: list[int] = []

    def record(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    leaves = [leaf for leaf in module.modules() if not list(leaf.children())]
    handles = [leaf.register_forward_hook(record) for leaf in leaves]
    try:
        yield sizes
    finally:
        for handle in handles:
            handle.remove()
