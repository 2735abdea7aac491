"""Recording of the outputs of every layer in a forward pass, and of the gradients with respect to them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution


@dataclass(frozen=True)
class LayerOutput:
    """The output of a module, in the order of the forward pass."""

    name: str
    kind: str
    not_finite: int  # how many values are not finite
    largest: float | None  # largest |activation| of the finite values


class ForwardRecord:
    """What the hooks record."""

    def __init__(self) -> None:
        self.layers: dict[str, LayerOutput] = {}
        self.forward = ""  # the first layer whose output is not finite
        self.backward = ""  # the first gradient in the backward pass that is not finite
        self.last: object = None  # the last output

    def enters(self, name: str, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Give the layer its own view of each input, so that the view's gradient comes from this layer only."""
        return tuple(self._own(value, f"{name} ({_kind(module)})") for value in inputs)

    def _own(self, value: object, culprit: str) -> object:
        if not (isinstance(value, Tensor) and value.requires_grad):
            return value
        own = value.view_as(value)
        own.register_hook(lambda gradient: self.comes_back(culprit, gradient))
        return own

    def leaves(self, name: str, module: nn.Module, output: object) -> None:
        """Record the output of a layer, and watch for its gradient."""
        if output is self.last and has_children(module):
            return  # a container that returns the output of its last layer
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
    """Record the output of every layer of `model`, and the gradients, in this context."""
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
    """Yield the floating-point tensors in a module's output: a tensor, a distribution's parameters, or a collection."""
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
