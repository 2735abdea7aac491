"""Whether the training step is compiled, and what happens where it cannot be."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch.utils.flop_counter import FlopCounterMode

from vaelab.models import VAE
from vaelab.training.step import Step

Compile = Literal["auto", "always", "never"]

# Compiling takes 6-20 s on a CPU, and saves about 1 ms a step of Python and small kernels and 4 ms a GFLOP of memory
# traffic between them (two cores of an AMD EPYC, torch 2.13, 2026-11-22: 5 of 11 ms at 0.5 GFLOP, 10 to 30 of 40 to
# 60 ms at 2.2). The rule looks at the work ahead, never at a clock: a run that is resumed decides as it did at first.
COMPILING_SECONDS = 20.0
SAVED_SECONDS_PER_STEP, SAVED_SECONDS_PER_FLOP = 1e-3, 4e-12


def step_flops(model: VAE, batch: int) -> int:
    """Floating-point operations of the matrix products and convolutions of one training step on `batch` images.

    A step is a forward and a backward pass, and the backward pass counts twice.
    """
    device = next(model.parameters()).device
    with torch.random.fork_rng(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *model.image_shape, device=device))
    return 3 * batch * counter.get_total_flops()


def choose_step(step: Step, steps: int, flops: int, compile: Compile, say: Callable[[str], None]) -> Step:
    """`step`, compiled where that is asked for or worth it; says in one line what was decided.

    Arguments:
        steps: the length of the whole run.
        flops: the work of a step (`step_flops`).
        say: takes the line.
    """
    saved = steps * (SAVED_SECONDS_PER_STEP + SAVED_SECONDS_PER_FLOP * flops)
    ahead = f"{steps:,} steps of {flops / 1e9:.2g} GFLOP ahead"
    if compile == "never" or (compile == "auto" and saved < COMPILING_SECONDS):
        say("eager steps, as asked" if compile == "never" else f"eager steps: {ahead}, too little to pay for compiling")
        return step
    say(f"compiling the training step, up to 30 s: {'as asked' if compile == 'always' else ahead}")
    return _with_fallback(step, say)


def _with_fallback(step: Step, say: Callable[[str], None]) -> Step:
    options: dict[str, str | int | bool | Callable[..., object]] = {
        "fallback_random": True,  # the generator of the eager step, so that both train on the same noise
        "triton.cudagraphs": torch.cuda.is_available(),
    }
    compiled = torch.compile(step, fullgraph=True, dynamic=False, options=options)
    chosen: list[Step] = []

    def first_then_chosen(indices: Tensor, learning_rate: Tensor, number: Tensor) -> None:
        if chosen:
            return chosen[0](indices, learning_rate, number)
        try:
            with torch._dynamo.config.patch(trace_autograd_ops=True):
                compiled(indices, learning_rate, number)
            chosen.append(compiled)
        except TorchDynamoException as error:  # raised before the step touches anything
            say(f"eager steps: the step cannot be compiled here ({_first_line(error)})")
            chosen.append(step)
            step(indices, learning_rate, number)
        return None

    return first_then_chosen


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
