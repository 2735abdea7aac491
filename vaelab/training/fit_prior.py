"""Fitting of a prior after training, to the latent codes of the training images."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.data.dataset import Dataset
from vaelab.evaluation.posterior_means import over_posteriors
from vaelab.models import VAE
from vaelab.parts.capabilities import FitSettings, HasFitSettings, InitialisedFromLatents, has
from vaelab.randomness.seeds import derive
from vaelab.system.errors import NonFiniteError

DRAWS = 4  # of z for each image, if q(z|x) is not a point mass
SETTINGS = FitSettings(steps=2000, batch=1000, learning_rate=5e-3)  # for a prior without its own settings
CHUNK = 1000  # images whose densities are computed at a time


def fit_prior(model: VAE, prior: nn.Module, train: Dataset, seed: int, say: Callable[[str], None]) -> None:
    """Fit `prior` to the aggregate posterior of the training images, and make it the model's prior.

    It maximises E_q(z)[log p(z)], q(z) = 1/N sum_n q(z|x_n). This is the only term of the ELBO that depends on the
    prior (Hoffman & Johnson 2016, section 3), so the bound of the training images rises by the same amount. Encoder and
    decoder do not change. The rise or fall is printed, with its standard error.

    Raises:
        NonFiniteError: a value became NaN or infinite.
    """
    draws = torch.Size([1 if model.support == "codes" else DRAWS])
    # Not the run's own seed, because evaluation would then draw the same noise as the fit
    own = derive(seed, "refit", 1)
    z = torch.cat(over_posteriors(model, train, own, lambda q: q.sample(draws)), 1)  # [S, N, D]
    device, before = z.device, _mean_log_prob(model.prior, z)
    prior.to(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive(seed, "refit"))
        _maximise(prior, z.flatten(0, 1))
    model.prior = prior
    rise = _mean_log_prob(prior, z) - before  # [N]
    if not rise.isfinite().all():
        found = "a prior whose density of the codes is not finite after the fit"
        raise NonFiniteError(found=found, expected="finite densities", do="use a simpler prior")
    error = rise.std().item() / math.sqrt(len(rise))
    say(f"prior fitted to the codes: {rise.mean():+.2f} ± {error:.2f} nats per training image")


def _maximise(prior: nn.Module, z: Tensor) -> None:
    """Maximise the mean of log p(z) of z [n, D], with Adam on batches."""
    if has(prior, InitialisedFromLatents):
        prior.initialise_from_latents(z)
    steps, size, learning_rate = prior.fit_settings(len(z)) if has(prior, HasFitSettings) else SETTINGS
    parameters = list(prior.parameters())
    adam = torch.optim.Adam(parameters, learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        batch = z[torch.randint(len(z), (size,), device=z.device)]
        loss = -prior().log_prob(batch).mean()
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        adam.step()
        schedule.step()
    for parameter in parameters:
        parameter.grad = None


@torch.no_grad()
def _mean_log_prob(prior: Any, z: Tensor) -> Tensor:
    """Return for each image, [N] in float64, the mean over its draws z [S, N, D]."""
    p = prior()
    return torch.cat([p.log_prob(some).double().mean(0) for some in z.split(CHUNK, 1)])
