"""Steps that make each number from the numbers at the same place."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vaelab.explorer.program import Builder, Ref, joined


def elementwise(
    build: Builder, val: Tensor, name: str, operands: Sequence[Any], settings: dict[str, Any] | None = None
) -> Ref:
    """Add a step that makes each number of `val` from those of the operands at the same place."""
    read = [build.ref(each).expanded(val.shape) for each in operands]
    made = build.emit(name, val.shape, val.dtype, read, settings)
    build.steps[-1] = joined(build.steps[-1])
    return made


def copied(build: Builder, of: Ref) -> Ref:
    """A copy without gaps."""
    return elementwise(build, of.meta, "copy", [of])
