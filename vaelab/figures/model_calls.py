"""Calls of a model for figures: seeded, without gradients, and in chunks that fit into memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.distributions import mean_of
from vaelab.models import VAE, rows
from vaelab.randomness.seeds import derive
from vaelab.system.errors import RunError

CHUNK = 512  # images for the encoder, or latent vectors for the decoder, in one call


@contextmanager
def seeded_model(model: VAE, seed: int) -> Iterator[None]:
    """A context in which a figure is a pure function of (model, data, seed).

    Gradients are off, the model is in evaluation mode, and the random generators start from the seed. At the end, modes
    and generators are restored.
    """
    training = [module for module in model.modules() if module.training]
    # manual_seed sets the generator of every GPU, so each of them must be restored
    with torch.no_grad(), torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(derive(seed, "figures"))
        model.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True


def finite(values: Tensor, what: str = "pixels of the decoder") -> Tensor:
    """Return `values` on the CPU; RunError if one of them is NaN or infinite."""
    if not values.isfinite().all():
        found = f"{what} that are NaN or infinite"
        raise RunError(found=found, expected="finite values", do="train the run again: its weights are too large")
    return values.cpu()


def device_of(model: VAE) -> torch.device:
    return next(model.parameters()).device


def choose(data: Dataset, count: int) -> np.ndarray:
    """Choose `count` different images at random, as indices; all images, shuffled, if there are fewer."""
    return torch.randperm(len(data.images))[:count].numpy()


def pixels(model: VAE, data: Dataset, indices: np.ndarray) -> Tensor:
    """Pixel values of the images at `indices` under the protocol of the data: [n, C, H, W], on the model's device."""
    return protocol(data.protocol).pixels(torch.from_numpy(data.images[indices]).to(device_of(model)))


def condition_of(model: VAE, data: Dataset, indices: np.ndarray) -> Tensor | None:
    """The one-hot labels [n, K] of the images at `indices`; None for a model without labels."""
    return model.condition(rows(data.labels, indices))


def decode(model: VAE, z: Tensor, condition: Tensor | None = None) -> Tensor:
    """The decoder's means [n, C, H, W] for z [n, D], on the CPU; `condition` [n, K] are one-hot labels, or None."""
    z = z.to(device_of(model), torch.float32)
    return torch.cat(
        [finite(model.conditioned(rows(condition, at)).likelihood(z[at]).mean) for at in _chunks(len(z), CHUNK)]
    )


def encode(model: VAE, data: Dataset, indices: np.ndarray) -> Tensor:
    """The posterior means of the images at `indices`: [n, D], on the CPU."""
    chunks = np.array_split(indices, -(-len(indices) // CHUNK))
    return torch.cat([finite(mean_of(posterior(model, data, chunk)), "posterior means") for chunk in chunks])


def posterior(model: VAE, data: Dataset, indices: np.ndarray) -> Distribution:
    """q(z|x) of the images at `indices`."""
    return model.conditioned(condition_of(model, data, indices)).posterior(pixels(model, data, indices))


def reconstruct(model: VAE, x: Tensor, samples: int, condition: Tensor | None = None) -> Tensor:
    """Average the decoder's mean over `samples` draws from q(z|x), for x [n, C, H, W]: the same shape, on the CPU."""
    chunks = _chunks(len(x), max(1, CHUNK // samples))
    return torch.cat([finite(model.conditioned(rows(condition, at)).reconstruct(x[at], samples)) for at in chunks])


def _chunks(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]
