"""Annealed importance sampling (Neal 2001) of log p(x), forward and in reverse.

Forward chains start at a known f_0 and end near the posterior. Their weights have mean p(x), so the logarithm of the
average weight is a stochastic lower bound of log p(x). Reverse chains start at an exact posterior sample. Their weights
have mean 1 / p(x) and give a stochastic upper bound (Grosse, Ghahramani & Adams 2015).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vaelab.distributions import log_mean_exp
from vaelab.evaluation.ais.hamiltonian import Path, TransitionNoise, adapted, at, noises, transition
from vaelab.evaluation.likelihood.importance_weights import jackknife
from vaelab.models import VAE, rows
from vaelab.randomness.seeds import derive
from vaelab.system.errors import NonFiniteError
from vaelab.system.world import world

PASSES = 1_000  # decoder passes at a time, each with its gradient; this limits the memory
BANDS = 100  # temperatures of the preliminary run, each with its own step size
WARM_UP = 20  # transitions at each of its first two temperatures, to find the first step sizes

Start = Literal["prior", "posterior"]
Tick = Callable[[int], None]  # is given the number of images that have made one more transition


@dataclass(frozen=True, kw_only=True)
class AnnealingSettings:
    """Settings of annealed importance sampling.

    Arguments:
        temperatures: T, steps of the schedule from b = 0 to 1.
        chains: M, for each image.
        leapfrog: leapfrog steps of each transition.
        start: f_0: the prior p(z) or the posterior q(z|x).
    """

    temperatures: int
    chains: int
    leapfrog: int
    start: Start

    def transitions(self, reverse: bool) -> int:
        """Return the transitions of an image's chains, including the preliminary run that finds their step sizes."""
        return 2 * WARM_UP + BANDS - 1 + (1 + reverse) * (self.temperatures - 1)


@dataclass(frozen=True)
class Chains:
    """The log weights of M chains for each of N images, in nats; float64, on the CPU."""

    log_w: Tensor  # [M, N]  forward: the mean of w is p(x)
    log_v: Tensor | None  # [M, N]  reverse: the mean of v is 1 / p(x); None without exact posterior samples
    acceptance: Tensor  # [N]  of the forward chains, averaged over chains and temperatures

    @property
    def lower(self) -> Tensor:
        """log 1/M sum_m w_m, [N]: the estimate of log p(x). Its expectation is at most log p(x)."""
        return log_mean_exp(self.log_w)

    @property
    def upper(self) -> Tensor:
        """-log 1/M sum_m v_m, [N]. Its expectation is at least log p(x)."""
        assert self.log_v is not None
        return -log_mean_exp(self.log_v)

    @property
    def ess(self) -> Tensor:
        """(sum w)^2 / sum w^2, [N], the effective number of chains (Kong 1992)."""
        return (2 * torch.logsumexp(self.log_w, 0) - torch.logsumexp(2 * self.log_w, 0)).exp()

    @property
    def variance(self) -> Tensor:
        """Variance of `lower` over the randomness of the chains, [N]: see `jackknife`; NaN for one chain."""
        return jackknife(self.log_w, torch.ones(len(self.log_w)))[0]


def schedule(temperatures: int) -> Tensor:
    """Return b_0 = 0, ..., b_T = 1, float64 [T + 1]: a sigmoid with small steps at both ends (Wu et al. 2017)."""
    s = torch.linspace(-4, 4, temperatures + 1, dtype=torch.float64).sigmoid()
    return (s - s[0]) / (s[-1] - s[0])


def anneal(
    path: Path, z: Tensor, b: Sequence[float], step: Tensor, leapfrog: int, noise: Iterator[TransitionNoise], tick: Tick
) -> tuple[Tensor, Tensor]:
    """Return log w = sum_t (b_t - b_{t-1}) log r(z_{t-1}), where z_t is z_{t-1} after a transition for f_{b_t}.

    For b from 0 to 1 and z_0 ~ f_0, the mean of w is the integral of f_1 divided by that of f_0 (Neal 2001). For b from
    1 to 0 and z_0 ~ f_1 it is the inverse. The sum is the same, because the transitions are reversible.

    Arguments:
        z: z_0, [M, B, D].
        b: b_0, ..., b_T.
        step: step sizes, [T - 1, B], at b_1, ..., b_{T-1}.
        tick: called after each transition.

    Returns: log w, float64 [M, B], and the mean acceptance probability, float64 [B] (NaN without a transition).
    """
    here = at(path, z)
    log_w = z.new_zeros(z.shape[:2], dtype=torch.float64)
    acceptance = torch.zeros_like(log_w)
    for t in range(1, len(b)):
        log_w += (b[t] - b[t - 1]) * here.log_ratio.double()
        if t < len(b) - 1:
            here, probability = transition(path, here, b[t], step[t - 1], leapfrog, next(noise))
            acceptance += probability
            tick(z.shape[1])
    return log_w, acceptance.mean(0) / (len(b) - 2)


def find_steps(path: Path, z: Tensor, noise: Iterator[TransitionNoise], leapfrog: int, tick: Tick) -> Tensor:
    """Find step sizes [BANDS + 1, B] for `schedule(BANDS)`, in a preliminary run that adapts to the target acceptance.

    Its draws have no other use. The weights of a run are unbiased only if each transition leaves its f_b invariant. A
    transition with a step size that depends on earlier states does not. So the step sizes are found first, then fixed.
    """
    here = at(path, z)
    step = z.new_full(z.shape[1:2], z.shape[-1] ** -0.25)  # Beskos et al. (2013): proportional to D^(-1/4)
    found: list[Tensor] = []
    for b in schedule(BANDS).tolist():
        for _ in range(WARM_UP if len(found) < 2 else 1):  # f_b changes most just above b = 0
            here, acceptance = transition(path, here, b, step, leapfrog, next(noise))
            step = adapted(step, acceptance)
            tick(z.shape[1])
        found.append(step)
    return torch.stack(found)


def path_to_posterior(model: VAE, x: Tensor, start: Start) -> Path:
    """Return the path from f_0 = p(z) or q(z|x) to f_1(z) = p(x, z), for images x [B, C, H, W], with B that of z."""
    prior, q = model.prior(), model.posterior(x)

    def from_prior(z: Tensor) -> tuple[Tensor, Tensor]:
        return prior.log_prob(z), model.likelihood(z).log_prob(x)

    def from_posterior(z: Tensor) -> tuple[Tensor, Tensor]:
        log_q = q.log_prob(z)
        return log_q, model.likelihood(z).log_prob(x) + prior.log_prob(z) - log_q

    return from_prior if start == "prior" else from_posterior


@torch.no_grad()
def run_chains(
    model: VAE,
    x: Tensor,
    settings: AnnealingSettings,
    seed: int,
    exact: Tensor | None = None,
    condition: Tensor | None = None,
    tick: Tick = lambda images: None,
) -> Chains:
    """Run AIS for each image of x [N, C, H, W]: forward, and in reverse from `exact` [N, D], samples of p(z|x).

    A model that is conditioned on labels uses those of `condition` [N, K]; then p(x) is p(x|y).

    The draws of image i are a function of (seed, i) only, and its step sizes depend on its own chains only. So the
    number of images per pass changes nothing but the last digits of a larger matrix product. Several workers share the
    images. The model must be in evaluation mode. Initial states are drawn from the global generator, which is reseeded
    for each image.

    Raises:
        NonFiniteError: the weights of an image are not finite.
    """
    some, here = max(1, PASSES // settings.chains), world()
    columns, own_rows = dict[str, Tensor](), torch.zeros(len(x), dtype=torch.bool)
    for number, first in enumerate(range(0, len(x), some)):
        if number % here.size != here.rank:
            continue
        own = slice(first, min(first + some, len(x)))
        numbers = range(own.start, own.stop)
        chunk = _run_chunk(model, x[own], settings, seed, numbers, rows(exact, own), rows(condition, own), tick)
        own_rows[own] = True
        for name, values in zip(("log_w", "acceptance", "log_v"), chunk, strict=False):  # log_v only with `exact`
            whole = columns.setdefault(name, values.new_zeros(len(x), *values.shape[:-1], device="cpu"))
            whole[own] = values.movedim(-1, 0).cpu()
    of_all = here.completed(columns, own_rows)
    log_w, acceptance, *log_v = (column.movedim(0, -1).contiguous() for column in of_all.values())
    chains = Chains(log_w, log_v[0] if log_v else None, acceptance)
    finite = torch.stack([estimate.isfinite() for estimate in (chains.lower, *(chains.upper for _ in log_v))]).all(0)
    if not finite.all():
        raise NonFiniteError(
            found=f"annealed weights that are not finite for {int((~finite).sum()):,} of {len(x):,} images",
            expected="finite log-densities log p(z), log q(z|x) and log p(x|z)",
            do="see in the run's log.jsonl whether training diverged, or leave this metric out",
        )
    return chains


def _run_chunk(
    model: VAE,
    x: Tensor,
    settings: AnnealingSettings,
    seed: int,
    ranks: range,
    exact: Tensor | None,
    condition: Tensor | None,
    tick: Tick,
) -> tuple[Tensor, ...]:
    path = path_to_posterior(model.conditioned(condition), x, settings.start)
    b, leapfrog = schedule(settings.temperatures).tolist(), settings.leapfrog

    def starts(run: str) -> Tensor:
        return _starts(model, x, condition, settings, seeds_of(seed, f"{run} start", ranks))

    def noise(run: str) -> Iterator[TransitionNoise]:
        return noises(seeds_of(seed, f"{run} noise", ranks), z)

    z = starts("preliminary")
    bands = (
        (torch.arange(1, settings.temperatures) * BANDS / settings.temperatures).ceil().long()
    )  # rounded up: a step size that is too small is safer
    step = find_steps(path, z, noise("preliminary"), leapfrog, tick)[bands]
    forward = anneal(path, starts("forward"), b, step, leapfrog, noise("forward"), tick)
    if exact is None:
        return forward
    reverse = anneal(path, exact.expand_as(z), b[::-1], step.flip(0), leapfrog, noise("reverse"), tick)
    return *forward, reverse[0]


def _starts(
    model: VAE, x: Tensor, condition: Tensor | None, settings: AnnealingSettings, seeds: Sequence[int]
) -> Tensor:
    """Draw z [M, B, D] from f_0; the chains of each image use its own seed."""
    columns: list[Tensor] = []
    for i, seed in enumerate(seeds):
        torch.manual_seed(seed)
        own = slice(i, i + 1)
        f_0 = model.prior() if settings.start == "prior" else model.conditioned(rows(condition, own)).posterior(x[own])
        columns.append(f_0.sample(torch.Size([settings.chains])).reshape(settings.chains, 1, -1))
    return torch.cat(columns, 1)


def seeds_of(seed: int, what: str, images: range) -> list[int]:
    """Return a seed for each image; `what` names the use of the randomness."""
    return [derive(seed, "evaluation", int.from_bytes(f"annealing: {what}".encode()), i) for i in images]
