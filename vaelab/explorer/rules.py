"""How each operation of torch becomes steps of a program: the table of what a page can run.

The keys are torch's names of operations, without their overloads. Each rule adds steps to a Builder. `val` is a tensor
without data, with the shape and type that the result has.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from vaelab.explorer import places, products
from vaelab.explorer.elementwise import elementwise
from vaelab.explorer.products import dense
from vaelab.explorer.program import Builder, Operand, Ref

Rule = Callable[..., Any]  # (builder, val, *arguments of the operation)

SAME = {"alias", "clone", "detach", "lift_fresh_copy"}
VIEWS = {
    "view", "_unsafe_view", "reshape", "permute", "t", "transpose", "expand", "slice", "select", "unsqueeze", "squeeze",
    "split", "split_with_sizes", "unbind", "diagonal",
}  # fmt: skip
UNARY = (
    "abs", "neg", "exp", "expm1", "log", "log1p", "log2", "sqrt", "rsqrt", "sin", "cos", "tan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "sigmoid", "relu", "reciprocal", "erf", "erfc", "special_erfcx", "lgamma", "floor", "ceil",
    "round", "sign", "isnan", "isinf", "logical_not",
)  # fmt: skip
BINARY = (
    "mul", "div", "maximum", "minimum", "remainder", "atan2", "eq", "ne", "lt", "le", "gt", "ge", "logical_and",
    "logical_or",
)  # fmt: skip


def _unary(name: str) -> Rule:
    return lambda build, val, x: elementwise(build, val, name, [x])


def _binary(name: str) -> Rule:
    return lambda build, val, x, y: elementwise(build, val, name, [x, y])


def _sum_of(name: str) -> Rule:
    def rule(build: Builder, val: Tensor, x: Any, y: Any, alpha: float = 1) -> Ref:
        return elementwise(build, val, name, [x, y], {"alpha": alpha})

    return rule


def _power(build: Builder, val: Tensor, x: Any, y: Any) -> Ref:
    square = not isinstance(y, Ref | Tensor) and y == 2
    return elementwise(build, val, "square", [x]) if square else elementwise(build, val, "pow", [x, y])


def _clamp(build: Builder, val: Tensor, x: Any, low: float | None = None, high: float | None = None) -> Ref:
    return elementwise(build, val, "clamp", [x], {"low": low, "high": high})


def _elu(build: Builder, val: Tensor, x: Any, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Ref:
    return elementwise(build, val, "elu", [x], {"alpha": alpha, "scale": scale, "input_scale": input_scale})


def _gelu(build: Builder, val: Tensor, x: Any, approximate: str = "none") -> Ref:
    return elementwise(build, val, "gelu" if approximate == "none" else "gelu_tanh", [x])


def _leaky(build: Builder, val: Tensor, x: Any, slope: float = 0.01) -> Ref:
    return elementwise(build, val, "leaky_relu", [x], {"slope": slope})


def _cast(build: Builder, val: Tensor, x: Any, **_to: Any) -> Ref:
    ref = build.ref(x)
    return ref if ref.dtype == val.dtype else elementwise(build, val, "copy", [ref])


def _put(build: Builder, val: Tensor, into: Any, x: Any, **_how: Any) -> Ref:
    """`copy`: the numbers of x with the shape and type of `into`, whose own numbers are lost."""
    return elementwise(build, val, "copy", [x])


def _filled(build: Builder, val: Tensor, of: Any, number: Any, **_to: Any) -> Ref:
    return elementwise(build, val, "copy", [number])


def _where(build: Builder, val: Tensor, condition: Any, x: Any, y: Any) -> Ref:
    return elementwise(build, val, "where", [condition, x, y])


def _last(ref: Ref, axes: Sequence[int]) -> tuple[Ref, list[int], list[int]]:
    """Return a view with the given axes last, and the two lists of axes in their order: those kept, and these."""
    own = sorted(axis % max(1, ref.meta.dim()) for axis in axes)
    kept = [axis for axis in range(ref.meta.dim()) if axis not in own]
    return Ref(ref.value, ref.meta.permute(kept + own)), kept, own


def _reduced(name: str) -> Rule:
    def rule(
        build: Builder, val: Tensor, x: Any, axes: int | Sequence[int] | None = None, keep: bool = False, **_to: Any
    ) -> Ref:
        ref = build.ref(x)
        each = [axes] if isinstance(axes, int) else list(axes or range(ref.meta.dim()))
        view, kept, own = _last(ref, each)
        shape = [ref.shape[axis] for axis in kept]
        made = build.emit(name, shape, val.dtype, [view.operand], {"over": [ref.shape[axis] for axis in own]})
        return Ref(made.value, made.meta.view(val.shape))

    return rule


def _norm(
    build: Builder,
    val: Tensor,
    x: Any,
    order: float = 2,
    axes: Sequence[int] | None = None,
    keep: bool = False,
    **_: Any,
) -> Ref:
    if order != 2:
        raise NotImplementedError("a norm that is not Euclidean")
    own = build.ref(x)
    squares = elementwise(build, own.meta, "square", [own])
    return elementwise(build, val, "sqrt", [_reduced("sum")(build, val, squares, axes, keep)])


def _variance(
    build: Builder, val: Tensor, x: Any, axes: Sequence[int] | None = None, correction: float = 1, keepdim: bool = False
) -> Ref:
    own = build.ref(x)
    each = list(axes or range(own.meta.dim()))
    count = prod(own.shape[axis] for axis in each)
    mean = _reduced("mean")(build, own.meta.mean(each, keepdim=True), own, each, True)
    squares = elementwise(build, own.meta, "square", [elementwise(build, own.meta, "sub", [own, mean], {"alpha": 1})])
    total = _reduced("sum")(build, val, squares, each, keepdim)
    return elementwise(build, val, "div", [total, torch.tensor(float(count - correction), dtype=own.dtype)])


def _logical(name: str) -> Rule:
    def rule(build: Builder, val: Tensor, *operands: Any) -> Ref:
        if val.dtype != torch.bool:
            raise NotImplementedError("an operation on bits")
        return elementwise(build, val, name, operands)

    return rule


def _along(name: str) -> Rule:
    """Operations along one axis that keep its length: softmax, cumulative sums."""

    def rule(build: Builder, val: Tensor, x: Any, axis: int, *_rest: Any, **_to: Any) -> Ref:
        ref = build.ref(x)
        view, kept, own = _last(ref, [axis])
        made = build.emit(name, view.shape, val.dtype, [view.operand])
        back = sorted(range(ref.meta.dim()), key=[*kept, *own].__getitem__)
        return Ref(made.value, made.meta.permute(back))

    return rule


def _layer_norm(build: Builder, val: Any, x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> Any:
    ref = build.ref(x)
    view, _, own = _last(ref, range(-len(shape), 0))
    over = [ref.shape[axis] for axis in own]
    outer = list(ref.shape[: ref.meta.dim() - len(own)])
    made = build.emit("normalise", [*outer, *over], val[0].dtype, [view.operand], {"over": over, "eps": eps})
    return _affine(build, val[0], made, weight, bias), None, None


def _group_norm(
    build: Builder, val: Any, x: Any, weight: Any, bias: Any, n: int, channels: int, size: int, groups: int, eps: float
) -> Any:
    over = [channels // groups * size]
    rows = Operand(dense(build, build.ref(x)).value, (over[0], 1))
    made = build.emit("normalise", [n * groups, *over], val[0].dtype, [rows], {"over": over, "eps": eps})
    shape = (1, channels, *(1 for _ in val[0].shape[2:]))
    view = Ref(made.value, made.meta.view(val[0].shape))
    own = [None if each is None else each.view(shape) for each in (weight, bias)]
    return _affine(build, val[0], view, *own), None, None


def _batch_norm(
    build: Builder, val: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, _momentum: float, eps: float
) -> Any:
    """In evaluation mode it is one factor and one number to add for each channel: both are constants."""
    factor = (variance + eps).rsqrt() * (1 if weight is None else weight)
    add = (0 if bias is None else bias) - mean * factor
    shape = (1, -1, *(1 for _ in val[0].shape[2:]))
    return _affine(build, val[0], x, factor.view(shape), add.view(shape)), None, None


def _affine(build: Builder, val: Tensor, x: Any, factor: Any, add: Any) -> Ref:
    scaled = x if factor is None else elementwise(build, val, "mul", [x, factor])
    return scaled if add is None else elementwise(build, val, "add", [scaled, add], {"alpha": 1})


def _triangular(
    build: Builder, val: Tensor, a: Any, b: Any, upper: bool = False, left: bool = True, unitriangular: bool = False
) -> Ref:
    if not left:
        raise NotImplementedError("a triangular system from the right")
    x, y = build.ref(a), build.ref(b)
    operands = [x.expanded((*val.shape[:-2], *x.shape[-2:])), y.expanded(val.shape)]
    return build.emit("solve", val.shape, val.dtype, operands, {"upper": upper, "unit": unitriangular})


RULES: dict[str, Rule] = {
    **{name: _unary(name) for name in UNARY},
    **{name: _binary(name) for name in BINARY},
    "add": _sum_of("add"),
    "sub": _sum_of("sub"),
    "pow": _power,
    "clamp": _clamp,
    "hardtanh": _clamp,
    "elu": _elu,
    "gelu": _gelu,
    "leaky_relu": _leaky,
    "_to_copy": _cast,
    "copy": _put,
    "full_like": _filled,
    "where": _where,
    **{name: _reduced(name) for name in ("sum", "mean", "amax", "amin", "prod", "any", "argmin", "argmax")},
    "var": _variance,
    "bitwise_and": _logical("logical_and"),
    "bitwise_or": _logical("logical_or"),
    "bitwise_not": _logical("logical_not"),
    "linalg_vector_norm": _norm,
    "_softmax": _along("softmax"),
    "_log_softmax": _along("log_softmax"),
    "cumsum": _along("cumsum"),
    "cumprod": _along("cumprod"),
    "mm": products.matmul,
    "bmm": products.matmul,
    "addmm": products.addmm,
    "convolution": products.convolution,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "gather": places.gather,
    "index": places.by_index,
    "index_select": places.selected,
    "embedding": places.rows,
    "flip": places.flipped,
    "cat": places.cat,
    "constant_pad_nd": places.pad,
    "linalg_solve_triangular": _triangular,
}
