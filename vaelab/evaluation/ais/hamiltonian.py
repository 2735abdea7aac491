"""Hamiltonian Monte Carlo (Neal 2011) between two densities, for many chains of many images at once.

Axes: M chains, B images, D latent dimensions. The path goes from f_0 to f_1 = f_0 r through f_b(z) = f_0(z) r(z)^b,
0 <= b <= 1; neither end need be normalised.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Path = Callable[[Tensor], tuple[Tensor, Tensor]]  # z [M, B, D] -> log f_0(z), log r(z), each [M, B], in nats

TARGET = 0.65  # acceptance at which an independent draw is cheapest (Neal 2011, section 4.4; Beskos et al. 2013)
GAIN = 1.0  # of the stochastic approximation that seeks it
JITTER = 0.2  # relative; a fixed path length can go all the way round an orbit (Neal 2011, section 3.2)


@dataclass(frozen=True)
class Point:
    """States z with the log-densities of the path's ends and their gradients, so that any b costs nothing more."""

    z: Tensor  # [M, B, D]
    log_start: Tensor  # [M, B]  log f_0(z)
    log_ratio: Tensor  # [M, B]  log r(z)
    start_gradient: Tensor  # [M, B, D]
    ratio_gradient: Tensor  # [M, B, D]

    def log_density(self, b: float) -> Tensor:
        """log f_b(z), [M, B]."""
        return self.log_start + b * self.log_ratio

    def gradient(self, b: float) -> Tensor:
        """Of log f_b(z) with respect to z, [M, B, D]."""
        return self.start_gradient + b * self.ratio_gradient


@dataclass(frozen=True)
class TransitionNoise:
    """What one transition draws."""

    momentum: Tensor  # [M, B, D]  standard normal
    jitter: Tensor  # [M, B]  uniform on [0, 1)
    threshold: Tensor  # [M, B]  uniform on [0, 1)


def at(path: Path, z: Tensor) -> Point:
    """The path's densities and gradients at z [M, B, D]; parameters of the model get no gradient."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        log_start, log_ratio = path(z)
        (start_gradient,) = torch.autograd.grad(log_start.sum(), z, retain_graph=True)  # r may share its graph
        (ratio_gradient,) = torch.autograd.grad(log_ratio.sum(), z)
    return Point(z.detach(), log_start.detach(), log_ratio.detach(), start_gradient, ratio_gradient)


def leapfrog(path: Path, here: Point, momentum: Tensor, b: float, step: Tensor, steps: int) -> tuple[Point, Tensor]:
    """`steps` leapfrog steps of the dynamics with potential -log f_b and unit mass (Neal 2011, section 2.3).

    Volume-preserving, and reversible: from the end with the momentum negated it goes back to the start.

    Arguments:
        momentum: [M, B, D].
        step: the step size epsilon, [M, B, 1].

    Returns: where it ends, and the momentum there.
    """
    for _ in range(steps):
        momentum = momentum + 0.5 * step * here.gradient(b)
        here = at(path, here.z + step * momentum)
        momentum = momentum + 0.5 * step * here.gradient(b)
    return here, momentum


def transition(
    path: Path, here: Point, b: float, step: Tensor, steps: int, noise: TransitionNoise
) -> tuple[Point, Tensor]:
    """One transition that is reversible with respect to f_b: leapfrog, then Metropolis' test.

    Arguments:
        step: the step size of each image, [B]; each chain takes it times a random factor in 1 +- 0.2.

    Returns: the next state, and the probabilities of acceptance, [M, B].
    """
    size = step * (1 + JITTER * (2 * noise.jitter - 1))
    there, momentum = leapfrog(path, here, noise.momentum, b, size.unsqueeze(-1), steps)
    kinetic = 0.5 * (momentum.square() - noise.momentum.square()).sum(-1)
    fall = (there.log_density(b) - here.log_density(b) - kinetic).double()  # of the energy: H(here) - H(there)
    # a step so large that the dynamics leave the real numbers ends at nan, where the density is as good as nought
    probability = torch.where(fall.isnan(), 0.0, fall.clamp(max=0).exp())
    return _choose(noise.threshold < probability, there, here), probability


def adapted(step: Tensor, acceptance: Tensor) -> Tensor:
    """The step sizes [B] moved, on a logarithmic scale, by how far acceptance [M, B] is from the target.

    A step of stochastic approximation (Robbins & Monro 1951).
    """
    return step * (GAIN * (acceptance.mean(0) - TARGET)).exp().to(step)


def noises(seeds: Sequence[int], like: Tensor) -> Iterator[TransitionNoise]:
    """Noise without end for transitions of states like `like` [M, B, D].

    Each image draws from its own seed, on the CPU: its noise depends neither on the images beside it nor on the device.
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
