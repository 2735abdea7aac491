"""The ELBO and objectives that weight its rate: the plain bound, beta-VAE, capacity."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from vaelab.models import VAE, Draw
from vaelab.objectives.bounds import distortion, path_log_post, rate, rates, sampled_rate
from vaelab.objectives.criterion import ELBO, Criterion, Ramp, in_words
from vaelab.objectives.losses import at_least_one, not_negative
from vaelab.system.errors import SpecError, unknown

Divergence = Literal["exact", "sampled", "path"]


@dataclass(frozen=True, kw_only=True)
class Elbo:
    """The ELBO (Kingma & Welling 2014, equations 3 and 7).

    Arguments:
        samples: S, draws of z for each image.
        kl: `exact`: in closed form if one is known; `sampled`; or `path`: sampled, with the gradient of "sticking the
            landing" (Roeder, Wu & Duvenaud 2017).
    """

    admits_point: ClassVar = True
    samples: int = 1
    kl: Divergence = "exact"

    judged_by = ELBO

    def __post_init__(self) -> None:
        at_least_one("samples", self.samples)
        if self.kl not in get_args(Divergence):
            raise unknown("kl", self.kl, get_args(Divergence))

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, self.samples)
        return distortion(draw) + self.rate(draw), draw

    def rate(self, draw: Draw) -> Tensor:
        """Return KL(q(z|x) || p(z)), [B], by the estimator that `kl` names."""
        if self.kl == "exact":
            return rate(draw)
        return sampled_rate(draw) if self.kl == "sampled" else (path_log_post(draw) - draw.log_prior).mean(0)


@dataclass(frozen=True, kw_only=True)
class WeightedElbo:
    """Distortion + beta rate (Higgins et al. 2017, equation 4), with warm-up, cycles and free bits.

    The weight rises linearly from 0 to beta in the first `warmup` steps. With `cycle` it restarts every `cycle` steps
    (Fu et al. 2019). Each part of the rate costs at least `free_nats`. A part is the rate of one latent dimension, or
    the whole rate without such a closed form, averaged over the batch (Kingma et al. 2016, equation 15). The maximum of
    a batch mean and a constant is a biased estimate of its value for all images.

    Arguments:
        beta: the weight of the rate; 1 is the ELBO.
        warmup: steps; 0: no warm-up.
        cycle: steps; 0: no cycles.
        free_nats: nats for each part.
        samples: S, draws of z for each image.

    Raises:
        SpecError: a number is negative, or a cycle is shorter than its warm-up.
    """

    admits_point: ClassVar = False
    beta: float = 4.0
    warmup: int = 0
    cycle: int = 0
    free_nats: float = 0.0
    samples: int = 1

    def __post_init__(self) -> None:
        for name in ("beta", "warmup", "cycle", "free_nats"):
            not_negative(name, getattr(self, name))
        at_least_one("samples", self.samples)
        if 0 < self.cycle < self.warmup or (self.cycle and not self.warmup):
            found = f"cycles of {self.cycle} steps with a warm-up of {self.warmup}"
            raise SpecError(found=found, expected="a warm-up within each cycle", do="use, say, cycle=2000:warmup=1000")

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, self.samples)
        cost = rate(draw)
        if self.free_nats:
            parts = rates(draw).mean(-1)  # the free nats apply to the mean, so that images may differ
            cost = cost - parts.sum() + parts.clamp(min=self.free_nats).sum()
        return distortion(draw) + self.weight(step) * cost, draw

    def weight(self, step: Tensor) -> Tensor | float:
        """Return the weight of the rate at `step`."""
        return self.beta * self.ramp(step)

    @property
    def ramp(self) -> Ramp:
        return Ramp(self.warmup, self.cycle)

    @property
    def of_batch(self) -> bool:
        return self.free_nats > 0

    @property
    def judged_by(self) -> Criterion:
        if self.beta == 1 and not self.free_nats:
            return replace(ELBO, ramp=self.ramp)
        free = f", {self.free_nats:g} nats of each part free" if self.free_nats else ""
        return Criterion(name=in_words((1, "distortion"), (self.beta, "rate")) + free, ramp=self.ramp)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Distortion + gamma |rate - C| with a rising C and the batch mean of the rate (Burgess et al. 2018, equation 8).

    The absolute value of a batch mean is a biased estimate of its value for all images.

    Arguments:
        gamma: weight of the difference.
        capacity: final C, in nats.
        steps: steps in which C rises from 0.

    Raises:
        SpecError: a number is negative, or `steps` is less than 1.
    """

    admits_point: ClassVar = False
    of_batch: ClassVar = True
    gamma: float = 30.0
    capacity: float = 25.0
    steps: int = 10_000

    def __post_init__(self) -> None:
        not_negative("gamma", self.gamma)
        not_negative("capacity", self.capacity)
        at_least_one("steps", self.steps)

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, 1)
        c = self.capacity * self.ramp(step)
        return distortion(draw) + self.gamma * torch.abs(rate(draw).mean() - c), draw

    @property
    def ramp(self) -> Ramp:
        return Ramp(self.steps)

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name=f"distortion + {self.gamma:g} |rate - {self.capacity:g}|", ramp=self.ramp)
