"""Hamiltonian Monte Carlo (Neal 2011): what annealing and Monte Carlo EM share."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

S = TypeVar("S")  # a state: a position z with the gradient of its log-density


def leapfrog(
    here: S,
    momentum: Tensor,
    size: Tensor,
    steps: int,
    gradient: Callable[[S], Tensor],
    moved: Callable[[S, Tensor], S],
) -> tuple[S, Tensor]:
    """Make leapfrog steps of the dynamics with potential -log f and unit mass (Neal 2011, section 2.3).

    The map preserves volume and is reversible: from the end, with the momentum negated, it returns to the start.

    Arguments:
        momentum: [..., D].
        size: the step size epsilon; broadcasts against the momentum.
        gradient: the gradient of log f at a state, [..., D].
        moved: the state at z + change, for a change [..., D].

    Returns: the end state and its momentum.
    """
    for _ in range(steps):
        momentum = momentum + 0.5 * size * gradient(here)
        here = moved(here, size * momentum)
        momentum = momentum + 0.5 * size * gradient(here)
    return here, momentum


def energy_fall(before: Tensor, after: Tensor, momentum_before: Tensor, momentum_after: Tensor) -> Tensor:
    """Return H(start) - H(end), [...], of a path; the energy is H = -log f + |momentum|^2 / 2.

    Arguments:
        before, after: log f at the start and at the end, [...].
        momentum_before, momentum_after: [..., D].
    """
    return after - before - 0.5 * (momentum_after.square() - momentum_before.square()).sum(-1)


def acceptance(fall: Tensor) -> Tensor:
    """Return min(1, exp(fall)), the probability that the Metropolis test accepts (Neal 2011, section 3.2).

    A path that diverged has a fall of NaN. Its density is effectively zero, and so is the probability.
    """
    return torch.where(fall.isnan(), 0.0, fall.clamp(max=0).exp())
