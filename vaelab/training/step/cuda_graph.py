"""A step of training on a GPU as one launch: its kernels are recorded once, and replayed."""

from collections.abc import Callable

import torch
from torch import Tensor

from vaelab.training.step.step import Step

WARM_STEPS = 3  # before the recording: libraries set themselves up, the compiler compiles


def as_cuda_graph(step: Step, say: Callable[[str], None]) -> Step:
    """`step`, recorded as a CUDA graph after its first steps, and replayed from then on.

    Every tensor that the step changes stays where it is (see `vaelab.training.step.step`), so a replay changes the
    same ones. What the step is given is copied to where the recording reads. Recording takes no step. A step that asks
    the device for a value cannot be recorded: it runs as it is, and this is reported.
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
            say(f"steps launched kernel by kernel: they cannot be recorded ({str(error).splitlines()[0][:200]})")
            chosen.append(step)
        return chosen[0](*inputs)

    return take


def _beside(work: Callable[[], None]) -> None:
    """Do `work` on a stream of its own, as what is recorded later is, with the default one waiting for it."""
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
