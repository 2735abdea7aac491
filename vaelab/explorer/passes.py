"""What the page shows of a model: the passes for which its weights are rounded."""

import numpy as np
import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.explorer.functions import GivenNoise, bound, drawn, labelled, moments
from vaelab.explorer.rounding import Pass
from vaelab.models import VAE
from vaelab.serving.latents import Latents

IMAGES = 1000  # and about three times as many places
REACH = 3.0  # of the map, in standard deviations


def passes_of(model: VAE, images: Dataset, latents: Latents, prior: Tensor) -> list[Pass]:
    """The means of p(x|z) where one points, and rate and distortion of images.

    Arguments:
        images: test images, with labels if the model is conditioned on them.
        latents: of these images.
        prior: draws z ~ p(z), [M, D].
    """
    some = images.take(np.arange(min(IMAGES, len(images))))
    binary = protocol(images.protocol).levels == "binary"  # which the page reads without noise
    x = protocol("binary-threshold" if binary else images.protocol).pixels(torch.from_numpy(np.array(some.images)))
    labels = [] if model.labels is None else [torch.from_numpy(np.array(some.labels))]
    mean, scale = (torch.from_numpy(of[: len(some)]) for of in (latents.mean, latents.scale))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = mean + scale * torch.randn_like(mean)
        pointed = _pointed(mean, torch.from_numpy(np.sqrt(latents.mean.var(0) + (latents.scale**2).mean(0))))
    places = torch.cat([mean, draws, pointed, prior])
    at = [each.repeat(4)[: len(places)] for each in labels]
    return [Pass(_mean, [places, *at]), Pass(_nats, [x, *labels])]


def _pointed(z: Tensor, scale: Tensor) -> Tensor:
    """Places of the map: two dimensions are anywhere on it."""
    found = z.clone()
    for each in found:
        axes = torch.randperm(z.shape[1])[:2]
        each[axes] = (2 * torch.rand(len(axes)) - 1) * REACH * scale[axes]
    return found


def _mean(model: VAE, z: Tensor, label: Tensor | None = None) -> dict[str, Tensor]:
    return {name: of for name, of in moments(labelled(model, label), z).items() if name == "mean"}


def _nats(model: VAE, image: Tensor, label: Tensor | None = None) -> dict[str, Tensor]:
    with GivenNoise(drawn):
        found = bound(labelled(model, label), image)
    return {name: found[name] for name in ("rate", "distortion")}
