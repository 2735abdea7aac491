"""Hamiltonian Monte Carlo (Neal 2011) between two densities, for many chains of many images at once.

Axes: M chains, B images, D latent dimensions. The path goes from f_0 to f_1 = f_0 r through f_b(z) = f_0(z) r(z)^b,
0 <= b <= 1. The densities need not be normalised.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.distributions.hamiltonian import acceptance, energy_fall, leapfrog

Path = Callable[[Tensor], tuple[Tensor, Tensor]]  # z [M, B, D] -> log f_0(z), log r(z), each [M, B], in nats

TARGET = 0.65  # acceptance at which an independent draw is cheapest (Neal 2011, section 4.4; Beskos et al. 2013)
GAIN = 1.0  # of the stochastic approximation that adapts the step size to this target
JITTER = 0.2  # relative; a path of fixed length may go round a whole orbit (Neal 2011, section 3.2)


@dataclass(frozen=True)
class Point:
    """States z with both log-densities of the path and their gradients, from which those at any b follow."""

    z: Tensor  # [M, B, D]
    log_start: Tensor  # [M, B]  log f_0(z)
    log_ratio: Tensor  # [M, B]  log r(z)
    start_gradient: Tensor  # [M, B, D]
    ratio_gradient: Tensor  # [M, B, D]

    def log_density(self, b: float) -> Tensor:
        """Return log f_b(z), [M, B]."""
        return self.log_start + b * self.log_ratio

    def gradient(self, b: float) -> Tensor:
        """Return the gradient of log f_b(z) with respect to z, [M, B, D]."""
        return self.start_gradient + b * self.ratio_gradient


@dataclass(frozen=True)
class TransitionNoise:
    """The random numbers of one transition."""

    momentum: Tensor  # [M, B, D]  standard normal
    jitter: Tensor  # [M, B]  uniform on [0, 1)
    threshold: Tensor  # [M, B]  uniform on [0, 1)


def at(path: Path, z: Tensor) -> Point:
    """Return the path's densities and gradients at z [M, B, D]; the model's parameters get no gradient."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        log_start, log_ratio = path(z)
        (start_gradient,) = torch.autograd.grad(log_start.sum(), z, retain_graph=True)  # r may share its graph
        (ratio_gradient,) = torch.autograd.grad(log_ratio.sum(), z)
    return Point(z.detach(), log_start.detach(), log_ratio.detach(), start_gradient, ratio_gradient)


def trajectory(path: Path, here: Point, momentum: Tensor, b: float, step: Tensor, steps: int) -> tuple[Point, Tensor]:
    """Make `steps` leapfrog steps with potential -log f_b.

    Arguments:
        momentum: [M, B, D].
        step: the step size epsilon, [M, B, 1].

    Returns: the end point and its momentum.
    """

    def moved(point: Point, change: Tensor) -> Point:
        return at(path, point.z + change)

    return leapfrog(here, momentum, step, steps, lambda point: point.gradient(b), moved)


def transition(
    path: Path, here: Point, b: float, step: Tensor, steps: int, noise: TransitionNoise
) -> tuple[Point, Tensor]:
    """Make one transition that is reversible with respect to f_b: leapfrog steps, then a Metropolis test.

    Arguments:
        step: the step size of each image, [B]; each chain multiplies it by a random factor between 0.8 and 1.2.

    Returns: the next state, and the acceptance probabilities, [M, B].
    """
    size = step * (1 + JITTER * (2 * noise.jitter - 1))
    there, momentum = trajectory(path, here, noise.momentum, b, size.unsqueeze(-1), steps)
    fall = energy_fall(here.log_density(b), there.log_density(b), noise.momentum, momentum)
    probability = acceptance(fall.double())
    return _choose(noise.threshold < probability, there, here), probability


def adapted(step: Tensor, acceptance: Tensor) -> Tensor:
    """Return the step sizes [B], adapted on a log scale by the difference of acceptance [M, B] and target.

    This is a step of stochastic approximation (Robbins & Monro 1951).
    """
    return step * (GAIN * (acceptance.mean(0) - TARGET)).exp().to(step)


def noises(seeds: Sequence[int], like: Tensor) -> Iterator[TransitionNoise]:
    """Yield noise for transitions of states like `like` [M, B, D], without end.

    Each image draws from its own seed, on the CPU, so its noise depends neither on the other images nor on the device.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    chains, _, latent = like.shape
    dtype = like.dtype
    while True:
        normal = torch.stack([torch.randn(chains, latent, generator=g, dtype=dtype) for g in generators], 1)
        uniform = torch.stack([torch.rand(2, chains, generator=g, dtype=dtype) for g in generators], 2)
        jitter, threshold = uniform.to(like.device)
        yield TransitionNoise(normal.to(like.device), jitter, threshold)


def _choose(which: Tensor, there: Point, here: Point) -> Point:
    each = which.unsqueeze(-1)
    return Point(
        torch.where(each, there.z, here.z),
        torch.where(which, there.log_start, here.log_start),
        torch.where(which, there.log_ratio, here.log_ratio),
        torch.where(each, there.start_gradient, here.start_gradient),
        torch.where(each, there.ratio_gradient, here.ratio_gradient),
    )
