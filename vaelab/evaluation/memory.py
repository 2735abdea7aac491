"""Memory of a pass through a network, by which work is cut to fit a budget."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE

FLOAT = 4  # bytes
# Tensors of the size of an image or of the decoder's output that a likelihood and its log-density hold at a time. Those
# in float64 count twice.
DENSITY = 8


def decoder_bytes(model: VAE) -> int:
    """Return the bytes for p(x|z), its log and its mean for one z: the decoder's outputs and the density's tensors."""
    z = torch.zeros(1, 1, model.latent, device=next(model.parameters()).device)
    with torch.no_grad(), evaluating(model), _outputs(model.likelihood) as sizes:
        model.conditioned_on_any().likelihood(z)
    return FLOAT * (sum(sizes) + DENSITY * max(sizes[-1], math.prod(model.image_shape)))


def encoder_bytes(model: VAE) -> tuple[int, int]:
    """Return the bytes for q(z|x) of one image (image and encoder outputs), and those for one draw of z from it.

    A draw takes z twice, temporary tensors of its densities, and the outputs of any network that makes it.
    """
    x = torch.zeros(1, *model.image_shape, device=next(model.parameters()).device)
    with torch.no_grad(), evaluating(model), torch.random.fork_rng(), _outputs(model) as sizes:
        q = model.conditioned_on_any().posterior(x)
        encoder = sum(sizes)
        q.rsample()
    return FLOAT * (encoder + 2 * math.prod(model.image_shape)), FLOAT * (5 * model.latent + sum(sizes) - encoder)


@contextmanager
def _outputs(module: nn.Module) -> Iterator[list[int]]:
    """Record the number of elements in the output of every module without children that runs in this context."""
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
