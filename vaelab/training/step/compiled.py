"""Whether the training step is compiled, and what happens where it cannot be."""

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
from vaelab.system.files import is_private, user_cache
from vaelab.training.step.cuda_graph import as_cuda_graph
from vaelab.training.step.program import program
from vaelab.training.step.step import Step

Compile = Literal["auto", "always", "never"]
LayerOutput = nn.Linear | nn.Conv2d | nn.ConvTranspose2d

# Compiling takes 30 s on a CPU, 2 s where the program is kept, and saves 4 to 6 ms a step of Python and small kernels;
# where the likelihood is a density of many numbers a pixel, as a mixture, 100 (two cores of an AMD EPYC, torch 2.13,
# 2026-11-23: a to d of docs/performance.md). The rule looks at the work ahead, never at a clock.
COMPILING_SECONDS, LOADING_SECONDS = 30.0, 2.0
SAVED_SECONDS_PER_STEP, SAVED_SECONDS_PER_FLOP = 4e-3, 1e-12


def step_flops(model: VAE, batch: int) -> int:
    """Floating-point operations of the linear and convolutional layers in one training step on `batch` images.

    Each weight is multiplied and added once for each place of the layer's output, or of its input where that is the
    smaller side. A step is a forward and a backward pass, and the backward pass counts twice.
    """
    counted = 0

    def count(layer: LayerOutput, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal counted
        side = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        counted += 2 * layer.weight.numel() * side.numel() // layer.weight.shape[0]

    # torch's own counter is a dispatch mode, and the first of those in a process takes a second
    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, LayerOutput)]
    with evaluating(model), torch.no_grad():  # in training mode a codebook would learn from it
        model.conditioned_on_any()(torch.zeros(1, *model.image_shape, device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    return 3 * batch * counted


@dataclass(frozen=True)
class Work:
    """What is ahead.

    Arguments:
        steps: the length of the whole run.
        flops: of a step (`step_flops`).
        program: what a step computes, in words that differ where its compiled form does.
        device: where.
    """

    steps: int
    flops: int
    program: str
    device: torch.device


def choose_step(
    step: Step, work: Work, compile: Compile, say: Callable[[str], None], before: bool | None = None
) -> tuple[Step, bool]:
    """`step`, compiled where that is asked for or worth it, and whether it is; says in one line what was decided.

    On a CUDA device either kind is recorded and replayed.

    Arguments:
        say: takes the line.
        before: what was decided as the run began, if it goes on: its rounding is to stay the same.
    """
    mark, steps, flops = _mark(f"{work.device.type} {work.program}"), work.steps, work.flops
    warm = mark.exists()
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
        return _launched(step, work, say), False
    taking = "its compiled form is at hand, about 2 s" if warm else "half a minute or more the first time"
    say(f"compiling the training step, {taking}: {why}")
    return _launched(_with_fallback(step, mark, say), work, say), True


def _launched(step: Step, work: Work, say: Callable[[str], None]) -> Step:
    return as_cuda_graph(step, say) if work.device.type == "cuda" else step


def _mark(program: str) -> Path:
    """The file that says that the cache holds `program`."""
    words = f"{torch.__version__} {torch.get_num_threads()} {program}"
    return user_cache() / "compiled" / f"{hashlib.sha256(words.encode()).hexdigest()[:16]}.program"


def _with_fallback(step: Step, mark: Path, say: Callable[[str], None]) -> Step:
    """`step`, compiled when it is first called: what it computes hangs on how the networks round by then."""
    folder = mark.parent if _makes(mark.parent) else None
    chosen: list[Step] = []

    def first_then_chosen(*inputs: Tensor) -> None:
        if not chosen:
            try:
                chosen.append(program(step, inputs, folder, say))
                if folder:
                    mark.touch()
            except Exception as error:  # torch's are of many kinds, and a step's own comes again without a compiler
                say(f"eager steps: the step cannot be compiled here ({_first_line(error)})")
                chosen.append(step)
        chosen[0](*inputs)

    return first_then_chosen


def _makes(folder: Path) -> bool:
    """Whether there is such a folder now, of this user's own: what lies there is run. A missing cache is no error."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_private(folder):
            folder.chmod(0o700)  # an error where it is another user's
        return os.access(folder, os.W_OK)
    except OSError:
        return False


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"[:200]
