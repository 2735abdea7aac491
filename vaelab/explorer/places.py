"""Operations that move numbers to other places: indices, parts that are put together, and margins."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vaelab.explorer.program import Builder, Operand, Ref


def gather(build: Builder, val: Tensor, x: Any, axis: int, index: Any) -> Ref:
    own = build.ref(x)
    axis %= own.meta.dim()
    strides = [0 if i == axis else stride for i, stride in enumerate(own.operand.strides)]
    return _indexed(build, val, own, strides, [build.ref(index)], [axis])


def by_index(build: Builder, val: Tensor, x: Any, indices: Sequence[Any]) -> Ref:
    own = build.ref(x)
    axes = [axis for axis, each in enumerate(indices) if each is not None]
    if axes != list(range(axes[0], axes[0] + len(axes))):
        raise NotImplementedError("an index with a gap between its axes")
    refs = [build.ref(indices[axis]) for axis in axes]
    shape = torch.broadcast_shapes(*(each.shape for each in refs))
    strides = own.operand.strides
    after = axes[-1] + 1
    read = [*strides[: axes[0]], *(0 for _ in shape), *strides[after:]]
    rest = [1] * (own.meta.dim() - after)
    wide = [Ref(each.value, each.meta.expand(shape).reshape(*shape, *rest)) for each in refs]
    return _indexed(build, val, own, read, wide, axes)


def selected(build: Builder, val: Tensor, x: Any, axis: int, index: Any) -> Ref:
    return by_index(build, val, x, [*(None for _ in range(axis % build.ref(x).meta.dim())), index])


def flipped(build: Builder, val: Tensor, x: Any, axes: Sequence[int]) -> Ref:
    made = build.ref(x)
    for axis in axes:
        made = selected(build, val, made, axis, torch.arange(val.shape[axis]).flip(0))
    return made


def rows(build: Builder, val: Tensor, weight: Any, index: Any, *_rest: Any) -> Ref:
    return by_index(build, val, weight, [index])


def _indexed(
    build: Builder, val: Tensor, x: Ref, strides: Sequence[int], indices: Sequence[Ref], axes: Sequence[int]
) -> Ref:
    along = {"strides": [x.operand.strides[axis] for axis in axes], "sizes": [x.shape[axis] for axis in axes]}
    operands = [Operand(x.value, tuple(strides), x.operand.offset), *(each.expanded(val.shape) for each in indices)]
    return build.emit("index", val.shape, val.dtype, operands, along)


def cat(build: Builder, val: Tensor, tensors: Sequence[Any], axis: int = 0) -> Ref:
    pieces = [build.ref(each) for each in tensors]
    pieces = [piece for piece in pieces if piece.meta.numel()]
    at, places = 0, list[list[int]]()
    for piece in pieces:
        places.append([at if i == axis % val.dim() else 0 for i in range(val.dim())])
        at += piece.shape[axis]
    return _placed(build, val, pieces, places, 0.0)


def pad(build: Builder, val: Tensor, x: Any, pad: Sequence[int], value: float = 0) -> Ref:
    own = build.ref(x)
    before = [0] * own.meta.dim()
    for i in range(len(pad) // 2):
        before[-1 - i] = pad[2 * i]
    if min(pad) < 0:
        raise NotImplementedError("padding below 0")
    return _placed(build, val, [own], [before], value)


def _placed(build: Builder, val: Tensor, pieces: Sequence[Ref], places: Sequence[Sequence[int]], fill: float) -> Ref:
    settings = {"fill": fill, "places": [list(each) for each in places], "sizes": [list(p.shape) for p in pieces]}
    return build.emit("place", val.shape, val.dtype, [each.operand for each in pieces], settings)
