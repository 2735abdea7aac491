"""Programs: what the interpreter of the page runs.

A value is an array without gaps, in row-major order. A view of it (a transpose, a slice, a broadcast axis) is no step:
it is an operand with strides. So the interpreter knows no views, and its table of operations is short.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

DTYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.int64: "int32",  # numbers of labels and codes, all far below 2^31
    torch.int32: "int32",
    torch.bool: "bool",
}


@dataclass(frozen=True)
class Operand:
    """An array as a step reads it.

    Arguments:
        value: number of the value.
        strides: one for each axis that the step goes through; 0 repeats.
        offset: of the first element.
    """

    value: int
    strides: tuple[int, ...]
    offset: int = 0

    def as_json(self) -> list[Any]:
        return [self.value, self.strides, self.offset]


@dataclass(frozen=True)
class Step:
    """One operation.

    Arguments:
        name: a key of the interpreter's table of operations.
        out: number of the value that it makes.
        dtype: of that value: float32, float64, int32 or bool.
        shape: of that value; axes that all operands go through without a gap are joined.
        operands: what it reads.
        settings: of the operation.
    """

    name: str
    out: int
    dtype: str
    shape: tuple[int, ...]
    operands: tuple[Operand, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> list[Any]:
        return [self.name, self.out, self.dtype, self.shape, [each.as_json() for each in self.operands], self.settings]


@dataclass(frozen=True)
class Port:
    """An input or an output: how its value is read.

    Arguments:
        kind: of an input of noise: "uniform" or "normal"; empty for others.
    """

    operand: Operand
    shape: tuple[int, ...]
    dtype: str
    kind: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"operand": self.operand.as_json(), "shape": self.shape, "dtype": self.dtype, "kind": self.kind}


@dataclass(frozen=True)
class Program:
    """Steps in their order, with what they start from and what they lead to.

    Arguments:
        inputs: by name.
        noise: one for each draw.
        constants: the arrays of values, by number of the value.
        outputs: by name.
        values: how many values there are.
    """

    inputs: dict[str, Port]
    noise: tuple[Port, ...]
    constants: dict[int, Tensor]
    steps: tuple[Step, ...]
    outputs: dict[str, Port]
    values: int


@dataclass(frozen=True)
class Ref:
    """A tensor that is not known before the program runs, as a view of a value.

    Arguments:
        value: number of the value.
        meta: a tensor without data, whose shape, type, strides and offset are those of the view.
    """

    value: int
    meta: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.meta.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.meta.dtype

    @property
    def operand(self) -> Operand:
        """As a step reads it that goes through its own axes."""
        return Operand(self.value, tuple(self.meta.stride()), int(self.meta.storage_offset()))

    def expanded(self, shape: Sequence[int]) -> Operand:
        """As a step reads it that goes through `shape`, to which it is broadcast."""
        return Ref(self.value, self.meta.expand(tuple(shape))).operand


class Builder:
    """Collects the steps and the constants of a program."""

    def __init__(self) -> None:
        self.values = 0
        self.steps = list[Step]()
        self.constants = dict[int, Tensor]()
        self._known = dict[tuple[torch.dtype, str], int]()

    def new(self, shape: Sequence[int], dtype: torch.dtype) -> Ref:
        """A new value."""
        self.values += 1
        return Ref(self.values - 1, torch.empty(tuple(shape), dtype=dtype, device="meta"))

    def emit(
        self,
        name: str,
        shape: Sequence[int],
        dtype: torch.dtype,
        operands: Sequence[Operand],
        settings: dict[str, Any] | None = None,
    ) -> Ref:
        """Add a step; return its value."""
        made = self.new(shape, dtype)
        self.steps.append(Step(name, made.value, DTYPES[dtype], tuple(shape), tuple(operands), settings or {}))
        return made

    def ref(self, of: "Ref | Tensor | float") -> Ref:
        """Something as a Ref. A constant becomes a value, one for all constants with the same numbers in memory."""
        if isinstance(of, Ref):
            return of
        if not isinstance(of, Tensor):
            of = torch.tensor(of, dtype=torch.float64 if isinstance(of, float) else None)
        tensor = of.detach()
        for axis in range(tensor.dim()):
            if tensor.stride(axis) == 0:
                tensor = tensor.narrow(axis, 0, min(1, tensor.shape[axis]))
        order = sorted(range(tensor.dim()), key=lambda axis: (-tensor.stride(axis), axis))
        kept = tensor.permute(order).contiguous()  # as it lies in memory: a transposed weight needs no copy
        key = (kept.dtype, hashlib.sha256(kept.numpy().tobytes()).hexdigest())
        if key not in self._known:
            self._known[key] = self.new(kept.shape, kept.dtype).value
            self.constants[self._known[key]] = kept
        back = torch.empty(kept.shape, dtype=kept.dtype, device="meta").permute(_inverse(order))
        return Ref(self._known[key], back.expand(of.shape))


def joined(step: Step) -> Step:
    """Join neighbouring axes that every operand goes through without a gap: long rows are fast."""
    shape, columns = list[int](), list[list[int]]()
    for axis, size in enumerate(step.shape):
        strides = [each.strides[axis] for each in step.operands]
        if size == 1:
            continue
        if columns and all(before == size * after for before, after in zip(columns[-1], strides, strict=True)):
            shape[-1] *= size
            columns[-1] = strides
        else:
            shape.append(size)
            columns.append(strides)
    operands = tuple(
        Operand(each.value, tuple(column[i] for column in columns), each.offset) for i, each in enumerate(step.operands)
    )
    return Step(step.name, step.out, step.dtype, tuple(shape), operands, step.settings)


def _inverse(order: Sequence[int]) -> list[int]:
    back = [0] * len(order)
    for place, axis in enumerate(order):
        back[axis] = place
    return back
