"""What every layer of a model puts out in a forward pass, and which gradients come back to it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution


@dataclass(frozen=True)
class LayerOutput:
    """What a module put out, in the order of the forward pass."""

    name: str
    kind: str
    not_finite: int  # numbers that were not
    largest: float | None  # |activation| of those that were


class ForwardRecord:
    """What the hooks saw."""

    def __init__(self) -> None:
        self.layers: dict[str, LayerOutput] = {}
        self.forward = ""  # the first layer whose output is not finite
        self.backward = ""  # what first, on the way back, made a gradient that is not finite
        self.last: object = None  # the last output

    def enters(self, name: str, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Give the layer a view of its own of each input, whose gradient is this layer's doing and no other's."""
        return tuple(self._own(value, f"{name} ({_kind(module)})") for value in inputs)

    def _own(self, value: object, culprit: str) -> object:
        if not (isinstance(value, Tensor) and value.requires_grad):
            return value
        own = value.view_as(value)
        own.register_hook(lambda gradient: self.comes_back(culprit, gradient))
        return own

    def leaves(self, name: str, module: nn.Module, output: object) -> None:
        """Note what the layer put out, and listen for the gradient that comes back to it."""
        if output is self.last and has_children(module):
            return  # a container that hands on what its last layer put out
        self.last = output
        described = f"{name} ({_kind(module)})"
        before = self.layers.get(name) or LayerOutput(name, _kind(module), 0, None)
        bad, largest = before.not_finite, before.largest
        for tensor in {id(tensor): tensor for tensor in tensors_in(output)}.values():
            finite = tensor.detach().isfinite()
            bad += int((~finite).sum())
            largest = _larger(largest, tensor.detach()[finite].abs())
            if tensor.requires_grad:
                culprit = f"the gradient of the output of {described}"
                tensor.register_hook(lambda gradient, culprit=culprit: self.comes_back(culprit, gradient))
        self.layers[name] = LayerOutput(name, before.kind, bad, largest)
        if bad and not self.forward:
            self.forward = described

    def comes_back(self, culprit: str, gradient: Tensor) -> None:
        if not self.backward and not all_finite([gradient]):
            self.backward = culprit


@contextmanager
def recording(model: nn.Module) -> Iterator[ForwardRecord]:
    """Watch what every layer of `model` puts out, and the gradients that come back, while this lasts."""
    record = ForwardRecord()
    handles = []
    for name, module in model.named_modules():
        if name:
            handles.append(module.register_forward_hook(lambda m, _, output, name=name: record.leaves(name, m, output)))
        if name and not has_children(module):
            handles.append(
                module.register_forward_pre_hook(lambda m, inputs, name=name: record.enters(name, m, inputs))
            )
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


def has_children(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _kind(module: nn.Module) -> str:
    return type(module).__name__


def tensors_in(output: object) -> Iterator[Tensor]:
    """The floating-point tensors that a module put out: itself, the parameters of a distribution, or a collection."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, Distribution):
        yield from tensors_in(vars(output))
    elif isinstance(output, dict):
        yield from tensors_in(list(output.values()))
    elif isinstance(output, list | tuple):
        for part in output:
            yield from tensors_in(part)


def _larger(before: float | None, found: Tensor) -> float | None:
    if not found.numel():
        return before
    return max(found.max().item(), before or 0.0)


def all_finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)
