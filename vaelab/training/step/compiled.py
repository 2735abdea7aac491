"""Decide whether to compile the training step; use the eager step if compiling fails."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE
from vaelab.system.errors import RunError
from vaelab.system.private import make_trusted, open_to_others, user_cache
from vaelab.system.world import world
from vaelab.training.step.cuda_graph import as_cuda_graph
from vaelab.training.step.program import program
from vaelab.training.step.sharded import ShardedStep
from vaelab.training.step.step import Step

Compile = Literal["auto", "always", "never"]
LayerOutput = nn.Linear | nn.Conv2d | nn.ConvTranspose2d

# Compiling takes 30 s on a CPU, or 2 s if the program is kept. It saves 4 to 6 ms of Python and small kernels in each
# step, and 100 ms if the likelihood has many parameters for each pixel, such as a mixture (two cores of an AMD EPYC,
# torch 2.13, 2026-11-23: a to d of docs/performance.md). The rule depends on the amount of work, never on a clock.
COMPILING_SECONDS, LOADING_SECONDS = 30.0, 2.0
SAVED_SECONDS_PER_STEP, SAVED_SECONDS_PER_FLOP = 4e-3, 1e-12

PROGRAMS = "programs"  # not "compiled": earlier versions trusted that folder even if others could write to it before


def step_flops(model: VAE, batch: int) -> int:
    """Floating-point operations of the linear and convolutional layers in one training step on `batch` images.

    Each weight is multiplied and added once for each position of the layer's output; for a transposed convolution, for
    each position of its input. A step is a forward pass and a backward pass, and the backward pass counts twice.
    """
    counted = 0

    def count(layer: LayerOutput, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal counted
        side = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        counted += 2 * layer.weight.numel() * side.numel() // layer.weight.shape[0]

    # Not torch's own counter: it is a dispatch mode, and the first dispatch mode of a process takes a second
    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, LayerOutput)]
    with evaluating(model), torch.no_grad():  # in training mode a codebook would learn from this input
        model.conditioned_on_any()(torch.zeros(1, *model.image_shape, device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    return 3 * batch * counted


@dataclass(frozen=True)
class Work:
    """The work of a run.

    Arguments:
        steps: the number of steps of the whole run.
        flops: floating-point operations of one step (`step_flops`).
        program: a description of a step; steps with different compiled forms have different descriptions.
        device: the device on which the run trains.
    """

    steps: int
    flops: int
    program: str
    device: torch.device


def choose_step(
    step: Step | ShardedStep, work: Work, compile: Compile, say: Callable[[str], None], before: bool | None = None
) -> tuple[Step | ShardedStep, bool]:
    """Return the step to use and whether it is compiled: if the user asks for it, or if it saves time.

    On a CUDA device, an eager or compiled step is recorded and replayed. Several workers decide together, and the first
    one of each machine compiles for the others.

    Arguments:
        say: receives one line with the decision.
        before: for a resumed run, the decision at its beginning: the rounding must stay the same.
    """
    mark, steps, flops = _mark(f"{work.device.type} {work.program}"), work.steps, work.flops
    warm = world().from_leader("warm" if mark.exists() and not open_to_others(mark.parent) else "") == "warm"
    cost = LOADING_SECONDS if warm else COMPILING_SECONDS
    worth = steps * (SAVED_SECONDS_PER_STEP + SAVED_SECONDS_PER_FLOP * flops) > cost
    ahead = f"{steps:,} steps of {flops / 1e9:.2g} GFLOP ahead"
    if compile != "auto":
        compiled, why = compile == "always", "as asked"
    elif before is not None:
        compiled, why = before, "as this run began"
    else:
        compiled, why = worth, ahead if worth else f"{ahead}, too little to pay for compiling"
    if not compiled:
        say(f"eager steps: {why}" if compile == "auto" else f"eager steps, {why}")
        return _each(step, lambda one: _launched(one, work, say)), False
    taking = "its compiled form is kept, about 2 s" if warm else "half a minute or more the first time"
    say(f"compiling the training step, {taking}: {why}")
    return _each(step, lambda one: _launched(_with_fallback(one, mark, say), work, say)), True


def _each(step: Step | ShardedStep, change: Callable[[Step], Step]) -> Step | ShardedStep:
    return step.each(change) if isinstance(step, ShardedStep) else change(step)


def _launched(step: Step, work: Work, say: Callable[[str], None]) -> Step:
    return as_cuda_graph(step, say) if work.device.type == "cuda" else step


def _mark(program: str) -> Path:
    """The file that marks that the cache has `program`."""
    words = f"{torch.__version__} {torch.get_num_threads()} {program}"
    return user_cache() / PROGRAMS / f"{hashlib.sha256(words.encode()).hexdigest()[:16]}.program"


def _with_fallback(step: Step, mark: Path, say: Callable[[str], None]) -> Step:
    """Compile `step` at its first call: what it computes depends on how the networks round at that time."""
    folder = mark.parent if _makes(mark.parent, say) else None
    chosen: list[Step] = []

    def first_then_chosen(*inputs: Tensor) -> None:
        if not chosen:
            made, why = step, ""
            with world().one_of_each_machine_first():
                try:
                    made = program(step, inputs, folder, say)
                    if folder:
                        mark.touch()
                except Exception as error:  # of any kind; the eager step raises its own errors again
                    why = _first_line(error)
            if why := next(filter(None, world().texts(why)), ""):  # all take the same step, so that all round alike
                say(f"eager steps: the step cannot be compiled here ({why})")
                made = step
            chosen.append(made)
        chosen[0](*inputs)

    return first_then_chosen


def _makes(folder: Path, say: Callable[[str], None]) -> bool:
    """Make a folder that only this user can change, because its files are run; return whether it can be used."""
    try:
        make_trusted(folder)
        return os.access(folder, os.W_OK)
    except RunError as error:
        say(f"the compiled step is neither looked up nor kept: {error}")
        return False
    except OSError:
        return False


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"[:200]
