"""The posteriors of a data set's images, in an order that depends on the images and not on the file."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.data.dataset import SPLITS, Dataset
from vaelab.distributions import mean_of, two_means_of
from vaelab.evaluation.batches import batches_by_content
from vaelab.evaluation.measure import Progress, evaluating
from vaelab.models import VAE
from vaelab.randomness.seeds import derive
from vaelab.system.errors import NonFiniteError

GROUP = 500  # images that share a seed and one encoder pass; fixed, because noise is drawn by group

REPEATS = 4  # averages of draws in each of two estimated means

T = TypeVar("T")


def over_posteriors(
    model: VAE,
    data: Dataset,
    seed: int,
    read: Callable[[Distribution], T],
    progress: Progress = lambda share: None,
) -> list[T]:
    """Return `read` of q(z|x), batch [B], for each group of the images, in `by_content` order; every image once.

    Gradients are off and the model is in evaluation mode. Any noise of the pixels is drawn on the CPU. It is a function
    of the seed, the split and the place in that order, and so are the draws of `read`: the order of the data does not
    matter. The states of the generators are restored.

    Raises:
        NonFiniteError: a posterior mean is not finite.
    """
    results: list[T] = []

    def seed_noise(number: int) -> None:
        torch.manual_seed(derive(seed, "evaluation", SPLITS.index(data.split), number))

    with torch.no_grad(), evaluating(model):
        for batch in batches_by_content(model, data, GROUP, seed_noise, progress=progress):
            q = model.given(batch.labels).posterior(batch.x)
            if not mean_of(q).isfinite().all():
                raise NonFiniteError(
                    found=f"posterior means of {data.split} images that are not finite",
                    expected="finite posterior means",
                    do="see in the run's log.jsonl whether training diverged, or train again",
                )
            results.append(read(q))
    return results


def posterior_means(model: VAE, data: Dataset, seed: int, progress: Progress = lambda share: None) -> Tensor:
    """Return the posterior mean E[z|x] of every image, float64 [N, D], on the CPU, in the order of the data."""
    means = over_posteriors(model, data, seed, lambda q: mean_of(q).double().cpu(), progress)
    return torch.cat(means)[np.argsort(data.by_content)]


def two_posterior_means(model: VAE, data: Dataset, seed: int) -> Tensor:
    """Return two estimates of E[z|x] of every image, float64 [2, N, D]. They are equal if the mean is exact."""
    means = over_posteriors(model, data, seed, lambda q: torch.stack(two_means_of(q, REPEATS)).double().cpu())
    return torch.cat(means, 1)[:, np.argsort(data.by_content)]
