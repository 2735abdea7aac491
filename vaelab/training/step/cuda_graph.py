"""A training step on a GPU as one launch: its kernels are recorded once and replayed."""

from collections.abc import Callable

import torch
from torch import Tensor

from vaelab.training.step.step import Step

WARM_STEPS = 3  # before the recording, so that libraries are initialised and the step is compiled


def as_cuda_graph(step: Step, say: Callable[[str], None]) -> Step:
    """Return `step` as a CUDA graph that is recorded after the first steps and then replayed.

    Every tensor that the step changes keeps its address (see `vaelab.training.step.step`), so a replay changes the same
    tensors. Inputs of the step are copied to the recorded addresses. Recording does not take a step. A step that reads
    a value from the device cannot be recorded: it then runs unrecorded, and this is reported.
    """
    taken = 0
    chosen: list[Step] = []

    def take(*inputs: Tensor) -> None:
        nonlocal taken
        if chosen:
            return chosen[0](*inputs)
        if taken < WARM_STEPS:
            taken += 1
            _beside(lambda: step(*inputs))
            return None
        try:
            chosen.append(_recorded(step, *inputs))
        except RuntimeError as error:
            say(f"kernels are launched one by one: the step cannot be recorded ({str(error).splitlines()[0][:200]})")
            chosen.append(step)
        return chosen[0](*inputs)

    return take


def _beside(work: Callable[[], None]) -> None:
    """Run `work` on its own stream, as the recording does, and make the default stream wait for it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)


def _recorded(step: Step, *first: Tensor) -> Step:
    kept = [tensor.clone() for tensor in first]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(*kept)

    def replay(*inputs: Tensor) -> None:
        for to, from_ in zip(kept, inputs, strict=True):
            to.copy_(from_)
        graph.replay()

    return replay
