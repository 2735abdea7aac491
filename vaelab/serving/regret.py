"""Likelihood regret: how far the encoder's q(z|x) of an image is from the best q(z|x) (Xiao, Yan & Amit 2020)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from vaelab.data.dataset import Dataset
from vaelab.distributions import kl_divergence
from vaelab.distributions.normal import diagonal_normal, is_diagonal_normal
from vaelab.evaluation.likelihood.likelihood import MEMORY_MB, evaluated_batches
from vaelab.evaluation.measure import Progress, evaluating
from vaelab.evaluation.memory import decoder_bytes
from vaelab.models import VAE, rows
from vaelab.randomness.seeds import derive, seed_generator
from vaelab.system.errors import NonFiniteError, SpecError

STEPS = 100  # of Adam
DRAWS = 4  # of z for each image in a step
MEASURED = 100  # draws of z for each image in the regret itself, the same for both q
RATE = 0.2  # of Adam at first; it falls linearly to 0. The mean moves in units of the encoder's sigma
GRADIENT = 2  # a pass with a gradient takes this many times the memory of one without

Noise = Callable[[int, int], Tensor]  # (index, S) -> standard normal noise [S, B, D]


@dataclass(frozen=True)
class Regret:
    """The regret of each of N images: numpy float64 [N], in nats, in the order of the data set."""

    nats: np.ndarray
    se_nats: np.ndarray  # standard error over the draws


def check_regret(model: VAE) -> None:
    """Raise SpecError unless the model's q(z|x) is a diagonal normal, the only one that `likelihood_regret` fits."""
    x = torch.zeros(1, *model.image_shape, device=next(model.parameters()).device)
    with torch.no_grad(), evaluating(model):
        q = model.conditioned_on_any().posterior(x)
    if not is_diagonal_normal(q):
        raise SpecError(
            found=f"likelihood regret of a model whose q(z|x) is of type {type(q).__name__}",
            expected="a diagonal normal q(z|x): its mean and scale are what is fitted to each image",
            do="leave the regret out, or train with --posterior diagonal",
        )


def likelihood_regret(
    model: VAE,
    data: Dataset,
    seed: int,
    steps: int = STEPS,
    progress: Progress = lambda share: None,
) -> Regret:
    """Return the ELBO with the best diagonal normal q(z|x) of each image minus that with the encoder's.

    The decoder and the prior are fixed. Adam fits the mean and the scale of q to each image, from those of the encoder,
    with new draws of z at each step. Both ELBOs are then measured with the same new draws. The exact regret is 0 or
    more; the estimate has an error, and is also too small by what Adam leaves. The pixels are those that
    `estimate_bounds` sees with this seed. The result is a function of the seed and of the images' content. Only q gets
    a gradient: weights, gradients, mode and the state of the generators are unchanged.

    Arguments:
        model: a model whose q(z|x) is a diagonal normal.
        data: images.
        steps: of Adam, 1 or more.

    Raises:
        SpecError: q(z|x) is another distribution, or there is no step.
        NonFiniteError: a regret is not finite.
    """
    if steps < 1:
        raise SpecError(found=f"steps = {steps}", expected="at least 1 step of Adam", do=f"use steps={STEPS}")
    check_regret(model)
    device = next(model.parameters()).device
    nats, error = np.empty(len(data)), np.empty(len(data))
    at_once = max(1, int(MEMORY_MB * 1e6 / (GRADIENT * DRAWS * decoder_bytes(model))))
    with evaluating(model):
        for batch in evaluated_batches(model, data, seed, progress):
            condition = model.condition(batch.labels)
            for own in torch.arange(len(batch.x), device=device).split(at_once):
                part = model.conditioned(rows(condition, own))
                noise = _noise(seed, batch.number, (len(batch.x), model.latent), own)
                gains = _gains(part, batch.x[own], noise, steps)
                chosen = batch.chosen[own.cpu().numpy()]
                nats[chosen] = gains.mean(0).cpu()
                error[chosen] = (gains.std(0) / len(gains) ** 0.5).cpu()
    if not np.isfinite(nats).all():
        raise NonFiniteError(
            found=f"likelihood regret of {int((~np.isfinite(nats)).sum()):,} images that is not finite",
            expected="finite numbers",
            do="leave the regret out, or see in the run's log.jsonl whether training diverged",
        )
    return Regret(nats, error)


def _noise(seed: int, chunk: int, shape: tuple[int, int], own: Tensor) -> Noise:
    """The noise of the images `own` of a chunk of `shape` [B, D]; that of an image does not depend on the others."""

    def draw(index: int, draws: int) -> Tensor:
        seed_generator(own.device, derive(seed, "regret", chunk, index))
        return torch.randn(draws, *shape, device=own.device)[:, own]

    return draw


def _gains(model: VAE, x: Tensor, noise: Noise, steps: int) -> Tensor:
    """Return ELBO(best q) - ELBO(encoder's q) for each of the measured draws, float64 [S, B]."""
    with torch.no_grad():
        q, prior = model.posterior(x), model.prior()
    mean, log_scale = q.base_dist.loc, q.base_dist.scale.log()  # type: ignore[attr-defined]
    fixed = {name: tensor.detach() for name, tensor in _tensors(model.likelihood)}

    def elbo(mean: Tensor, log_scale: Tensor, eps: Tensor) -> Tensor:
        """The ELBO of each draw, [S, B]."""
        q = diagonal_normal(mean, log_scale)
        z = mean + log_scale.exp() * eps
        kl = kl_divergence(q, prior)
        rate = q.log_prob(z) - prior.log_prob(z) if kl is None else kl
        return functional_call(model.likelihood, fixed, (z,)).log_prob(x) - rate

    best = _fitted(elbo, mean, log_scale, noise, steps)
    gains = list[Tensor]()
    with torch.no_grad():
        for index in range(MEASURED // DRAWS):
            eps = noise(steps + index, DRAWS).to(mean)
            gains.append(elbo(*best, eps).double() - elbo(mean, log_scale, eps).double())
    return torch.cat(gains)


def _fitted(
    elbo: Callable[[Tensor, Tensor, Tensor], Tensor], mean: Tensor, log_scale: Tensor, noise: Noise, steps: int
) -> tuple[Tensor, Tensor]:
    """Return the mean and log scale [B, D] of the best q. Adam treats each number apart, so images do not mix."""
    scale = log_scale.exp()
    shift, stretch = torch.zeros_like(mean), torch.zeros_like(mean)
    fitted = [shift.requires_grad_(), stretch.requires_grad_()]
    adam = torch.optim.Adam(fitted, lr=RATE)
    with torch.enable_grad():
        for step in range(steps):
            adam.param_groups[0]["lr"] = RATE * (1 - step / steps)
            loss = -elbo(mean + scale * shift, log_scale + stretch, noise(step, DRAWS).to(mean)).mean(0).sum()
            shift.grad, stretch.grad = torch.autograd.grad(loss, fitted)
            adam.step()
    return (mean + scale * shift).detach(), (log_scale + stretch).detach()


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
