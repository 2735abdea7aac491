"""Whether the training step is compiled, and what happens where it cannot be."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from vaelab.training.step import Step

Compile = Literal["auto", "always", "never"]

# Compiling takes 6-20 s on a CPU and saves 1-3 ms a step of the small networks that this library trains most, so it
# pays from several thousand steps on. The rule looks at the work ahead alone, never at a clock: a run that is resumed
# decides as it did at first, and stays bitwise the same.
STEPS_WORTH_COMPILING = 8_000


def choose_step(step: Step, steps: int, compile: Compile, say: Callable[[str], None]) -> Step:
    """`step`, compiled where that is asked for or worth it; says in one line what was decided.

    Arguments:
        steps: the length of the whole run.
        say: takes the line.
    """
    if compile == "never" or (compile == "auto" and steps < STEPS_WORTH_COMPILING):
        reason = "as asked" if compile == "never" else f"{steps:,} steps are too few to pay for compiling"
        say(f"eager steps: {reason}")
        return step
    say(f"compiling the training step ({'as asked' if compile == 'always' else f'{steps:,} steps ahead'}), up to 30 s")
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
