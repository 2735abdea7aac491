"""What the trained model of a run does with images that may be new: the methods `encode`, `score`, ... of `Run`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.evaluation.likelihood.likelihood import Samples
from vaelab.runs.images import images_of
from vaelab.runs.score import score_images
from vaelab.runs.seen import seen_note
from vaelab.serving import latents
from vaelab.serving import reconstruct as reconstructing
from vaelab.serving import sample as sampling
from vaelab.serving.scores import Scores
from vaelab.serving.source import EVERY

if TYPE_CHECKING:
    from vaelab.runs.directory import Run


def encode(
    run: Run,
    images: Any = None,
    labels: Any = None,
    draws: int = 0,
    seed: int = 0,
    split: str = EVERY,
    root: str | None = None,
) -> latents.Latents:
    """Return mean and scale of q(z|x) for images that may be new.

    Arguments:
        images: a path, a data source, PIL images, an array, a tensor, a Dataset or Splits (see `open_images`); None
            for the run's own images.
        labels: labels or names of classes, for a model that is conditioned on labels.
        draws: S, draws of z for each image.
        seed: of the noise, which for an image depends on its pixels only.
        split: of a source that has several: train, validation, test or all.
        root: the data directory of named sources.

    Raises:
        VaelabError: the images do not fit the model, or the run is not finished.
    """
    found = images_of(run, run.served, images, labels, split, root)
    return found.named(latents.encode(run.served, found.data, draws, seed))


def reconstruct(
    run: Run,
    images: Any = None,
    labels: Any = None,
    draws: int = reconstructing.DRAWS,
    seed: int = 0,
    split: str = EVERY,
    root: str | None = None,
) -> reconstructing.Reconstructions:
    """Return the mean of p(x|z) over `draws` draws z ~ q(z|x) for images that may be new; arguments as `encode`."""
    found = images_of(run, run.served, images, labels, split, root)
    return found.named(reconstructing.reconstruct(run.served, found.data, draws, seed))


def score(
    run: Run,
    images: Any = None,
    labels: Any = None,
    samples: Samples = 100,
    seed: int = 0,
    regret: bool = False,
    by: str = "nll",
    split: str = EVERY,
    root: str | None = None,
) -> Scores:
    """Return how unusual images are, with p-values from the validation images that the run keeps.

    Arguments:
        images, labels, split, root: as `encode`.
        samples: K, draws of z for each image.
        regret: whether to compute the likelihood regret too, which is slow.
        by: the score of the p-values: nll, elbo, distortion, rate, complexity-corrected or regret.

    Returns:
        The scores. Their `note` says whether training images are among the images, as far as the run knows.

    Raises:
        VaelabError: the images do not fit the model, or the run is not finished.
    """
    found = images_of(run, run.served, images, labels, split, root)
    scores = found.named(score_images(run, run.served, found.data, samples, seed, regret, by))
    return replace(scores, note=seen_note(run, images, split, found.data))


def sample(
    run: Run, count: int = 64, labels: Any = None, temperature: float = 1.0, draw: bool = False, seed: int = 0
) -> sampling.SampledImages:
    """Return images for draws z ~ p(z); see `vaelab.serving.sample.sample`."""
    return sampling.sample(run.served, count, labels, temperature, draw, seed)


def decode(run: Run, z: Any, labels: Any = None) -> np.ndarray:
    """Return the decoder's means for latent vectors z [N, D], float32 [N, C, H, W]."""
    return reconstructing.decode(run.served, z, labels)
