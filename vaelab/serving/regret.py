"""Likelihood regret: how far the encoder's q(z|x) of an image is from the best q(z|x) (Xiao, Yan & Amit 2020)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.func import functional_call

from vaelab.data.dataset import Dataset
from vaelab.distributions import kl_divergence
from vaelab.distributions.normal import diagonal_normal, is_diagonal_normal
from vaelab.evaluation.likelihood.likelihood import MEMORY_MB, evaluated_batches
from vaelab.evaluation.measure import Progress, evaluating
from vaelab.evaluation.memory import decoder_bytes
from vaelab.models import VAE, Conditional, rows
from vaelab.parts.capabilities import HasParameterScales, has
from vaelab.randomness.noise import Noise, key_of
from vaelab.randomness.seeds import derive, seed_generator
from vaelab.system.errors import NonFiniteError, SpecError

STEPS = 100  # of Adam
DRAWS = 4  # of z for each image in a step
MEASURED = 100  # draws of z for each image in the regret itself, the same for both q
RATE = 0.2  # of Adam at first; it falls linearly to 0. The mean moves in units of the encoder's sigma
GRADIENT = 2  # a pass with a gradient takes this many times the memory of one without

Noises = Callable[[int, int], Tensor]  # (index, S) -> standard normal noise [S, B, D]


@dataclass(frozen=True)
class Regret:
    """The regret of each of N images: numpy float64 [N], in nats, in the order of the data set."""

    nats: np.ndarray
    se_nats: np.ndarray  # standard error over the draws


def check_regret(model: VAE) -> None:
    """Raise SpecError unless the model's q(z|x) can be fitted to one image: see `likelihood_regret`."""
    x = torch.zeros(1, *model.image_shape, device=next(model.parameters()).device)
    with torch.no_grad(), evaluating(model):
        _start(model.conditioned_on_any(), x)


def likelihood_regret(
    model: VAE,
    data: Dataset,
    seed: int,
    steps: int = STEPS,
    progress: Progress = lambda share: None,
) -> Regret:
    """Return the ELBO with the best q(z|x) of each image minus that with the encoder's.

    q stays in its family: Adam fits its mean and scale if it is a diagonal normal, and otherwise the parameters of its
    head, such as the factor of a full covariance, or the context of a flow. It starts from those of the encoder, with
    new draws of z at each step. The decoder, the prior and the maps of a flow are fixed. Both ELBOs are then measured
    with the same new draws. The exact regret is 0 or more; the estimate has an error, and is also too small by what
    Adam leaves. The pixels are those that `estimate_bounds` sees with this seed. The result is a function of the seed
    and of the images' content. Only q gets a gradient: weights, gradients, mode and the state of the generators are
    unchanged.

    Arguments:
        model: a model whose q(z|x) is a diagonal normal, or has a head that is `HasParameterScales`.
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


def _noise(seed: int, chunk: int, shape: tuple[int, int], own: Tensor) -> Noises:
    """The noise of the images `own` of a chunk of `shape` [B, D]; that of an image does not depend on the others."""

    def draw(index: int, draws: int) -> Tensor:
        seed_generator(own.device, derive(seed, "regret", chunk, index))
        return torch.randn(draws, *shape, device=own.device)[:, own]

    return draw


class _Given(Noise):
    """A context in which a posterior draws z from this standard normal noise [S, B, D]."""

    def __init__(self, eps: Tensor) -> None:
        super().__init__(key_of(0, eps.device), torch.zeros((), dtype=torch.int32, device=eps.device))
        self.eps = eps

    def normal(self, shape: torch.Size) -> Tensor:
        assert shape == self.eps.shape
        return self.eps


@dataclass(frozen=True)
class _Start:
    """The encoder's q(z|x) as parameters, and what makes q of others.

    Arguments:
        parameters: [B, P].
        scales: the natural size of a change of each, [B, P], in which Adam moves them.
        q: parameters [B, P] -> q.
    """

    parameters: Tensor
    scales: Tensor
    q: Callable[[Tensor], Distribution]


def _start(model: VAE, x: Tensor) -> _Start:
    """The encoder's q(z|x) of images x [B, C, H, W]; SpecError if it cannot be fitted to one image."""
    posterior, q = model.posterior, model.posterior(x)
    if is_diagonal_normal(q):
        mean, scale = q.base_dist.loc, q.base_dist.scale  # type: ignore[attr-defined]
        scales = torch.cat([scale, torch.ones_like(scale)], -1)
        parameters = torch.cat([mean, scale.log()], -1)
        return _Start(parameters, scales, _diagonal)
    if not isinstance(posterior, Conditional) or not has(posterior.head, HasParameterScales):
        raise SpecError(
            found=f"likelihood regret of a model whose q(z|x) is of type {type(q).__name__}",
            expected="a q(z|x) that can be fitted to each image: --posterior diagonal, full or flow",
            do="leave the regret out, or train with one of these",
        )
    parameters = posterior.network_output(x).float()
    return _Start(parameters, posterior.head.parameter_scales(parameters), lambda of: posterior.read(of, of.shape[:1]))


def _diagonal(parameters: Tensor) -> Distribution:
    mean, log_scale = parameters.chunk(2, -1)
    return diagonal_normal(mean, log_scale)


def _gains(model: VAE, x: Tensor, noise: Noises, steps: int) -> Tensor:
    """Return ELBO(best q) - ELBO(encoder's q) for each of the measured draws, float64 [S, B]."""
    with torch.no_grad():
        start, prior = _start(model, x), model.prior()
    fixed = {name: tensor.detach() for name, tensor in _tensors(model.likelihood)}

    def elbo(parameters: Tensor, eps: Tensor) -> Tensor:
        """The ELBO of each draw, [S, B]."""
        q = start.q(parameters)
        with _Given(eps):
            z = q.rsample(eps.shape[:1])
        kl = kl_divergence(q, prior)
        rate = q.log_prob(z) - prior.log_prob(z) if kl is None else kl
        return functional_call(model.likelihood, fixed, (z,)).log_prob(x) - rate

    best = _fitted(elbo, start, noise, steps)
    gains = list[Tensor]()
    with torch.no_grad():
        for index in range(MEASURED // DRAWS):
            eps = noise(steps + index, DRAWS).to(start.parameters)
            gains.append(elbo(best, eps).double() - elbo(start.parameters, eps).double())
    return torch.cat(gains)


def _fitted(elbo: Callable[[Tensor, Tensor], Tensor], start: _Start, noise: Noises, steps: int) -> Tensor:
    """Return the parameters [B, P] of the best q. Adam treats each number apart, so images do not mix."""
    shift = torch.zeros_like(start.parameters).requires_grad_()
    adam = torch.optim.Adam([shift], lr=RATE)
    with torch.enable_grad():
        for step in range(steps):
            adam.param_groups[0]["lr"] = RATE * (1 - step / steps)
            eps = noise(step, DRAWS).to(start.parameters)
            loss = -elbo(start.parameters + start.scales * shift, eps).mean(0).sum()
            (shift.grad,) = torch.autograd.grad(loss, [shift])
            adam.step()
    return (start.parameters + start.scales * shift).detach()


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
