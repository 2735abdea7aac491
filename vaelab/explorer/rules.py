"""How each operation of torch becomes steps of a program: the table of what a page can run.

The keys are torch's names of operations, without their overloads. Each rule adds steps to a Builder. `val` is a tensor
without data, with the shape and type that the result has.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vaelab.explorer.program import Builder, Operand, Ref, joined

Rule = Callable[..., Any]  # (builder, val, *arguments of the operation)

SAME = {"alias", "clone", "detach", "lift_fresh_copy"}
VIEWS = set(
    "view _unsafe_view reshape permute t transpose expand slice select unsqueeze squeeze split split_with_sizes unbind "
    "diagonal".split()
)
UNARY = (
    "abs neg exp expm1 log log1p log2 sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh sigmoid relu reciprocal erf "
    "floor ceil round sign isnan isinf logical_not"
).split()
BINARY = "mul div maximum minimum remainder atan2 eq ne lt le gt ge logical_and logical_or".split()


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


def _softplus(build: Builder, val: Tensor, x: Any, beta: float = 1, threshold: float = 20) -> Ref:
    return elementwise(build, val, "softplus", [x], {"beta": beta, "threshold": threshold})


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
    build: Builder, val: Tensor, x: Any, order: float = 2, axes: Sequence[int] | None = None, keep: bool = False, **_: Any
) -> Ref:
    if order != 2:
        raise NotImplementedError("a norm that is not Euclidean")
    own = build.ref(x)
    squares = elementwise(build, own.meta, "square", [own])
    return elementwise(build, val, "sqrt", [_reduced("sum")(build, val, squares, axes, keep)])


def _along(name: str) -> Rule:
    """Operations along one axis that keep its length: softmax, cumulative sums."""

    def rule(build: Builder, val: Tensor, x: Any, axis: int, *_rest: Any, **_to: Any) -> Ref:
        ref = build.ref(x)
        view, kept, own = _last(ref, [axis])
        made = build.emit(name, view.shape, val.dtype, [view.operand])
        back = sorted(range(ref.meta.dim()), key=[*kept, *own].__getitem__)
        return Ref(made.value, made.meta.permute(back))

    return rule


def _matmul(build: Builder, val: Tensor, a: Any, b: Any, bias: Any = None) -> Ref:
    """Products [B, M, K] x [B, K, N] -> [B, M, N], to which a bias is added; without B for matrices.

    The interpreter wants one of two layouts of b without gaps: [N, K], as weights lie in memory, or [K, N].
    """
    left, right = (_of_matrices(build.ref(each)) for each in (a, b))
    shape = [*left.shape[:-1], right.shape[-1]]
    left = left if _dense_last_two(left) else copied(build, left)
    transposed = Ref(right.value, right.meta.transpose(-1, -2))
    if not (_dense_last_two(right) or _dense_last_two(transposed)):
        right = copied(build, right)
    operands = [left.operand, right.operand]
    if bias is not None:
        operands.append(build.ref(bias).expanded(shape))
    made = build.emit("matmul", shape, val.dtype, operands, {"depth": left.shape[-1]})
    return Ref(made.value, made.meta.view(val.shape))


def _of_matrices(ref: Ref) -> Ref:
    return Ref(ref.value, ref.meta.unsqueeze(0)) if ref.meta.dim() == 2 else ref


def _dense_last_two(ref: Ref) -> bool:
    rows, columns = ref.shape[-2:]
    across, along = ref.operand.strides[-2:]
    return (along == 1 or columns == 1) and (across == columns or rows == 1)


def _addmm(build: Builder, val: Tensor, bias: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Ref:
    if beta != 1:
        raise NotImplementedError("addmm with beta")
    if alpha != 1:
        left = build.ref(a)
        a = elementwise(build, left.meta, "mul", [left, torch.tensor(alpha, dtype=left.dtype)])
    return _matmul(build, val, a, b, bias)


def _dense(build: Builder, x: Ref) -> Ref:
    """The same without gaps, in row-major order."""
    return x if x.meta.is_contiguous() and not x.operand.offset else copied(build, x)


def _convolution(
    build: Builder,
    val: Tensor,
    x: Any,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Ref:
    """A product with a matrix whose columns are the patches of the image, or for a transpose the other way round."""
    if val.dim() != 4:
        raise NotImplementedError("a convolution of something else than images")
    if val.shape[0] > 1 and groups > 1:
        raise NotImplementedError("a convolution in groups, of several images")
    image, n = _dense(build, build.ref(x)), val.shape[0] * groups
    settings = {"stride": list(stride), "padding": list(padding), "dilation": list(dilation)}
    kernel = list(weight.shape[2:])
    if not transposed:
        patches = {"input": list(image.shape), "kernel": kernel, "output": list(val.shape[2:]), **settings}
        rows = weight.contiguous().view(groups, weight.shape[0] // groups, -1)
        size = [n, rows.shape[-1], val.shape[2:].numel()]
        columns = build.emit("columns", size, val.dtype, [image.operand], patches)
        shifts = None if bias is None else bias.view(groups, -1, 1)
        product = [n, rows.shape[1], size[-1]]
        out = torch.empty(product, dtype=val.dtype, device="meta")
        made = _matmul(build, out, rows.expand(n, -1, -1), columns, shifts)
        return Ref(made.value, made.meta.view(val.shape))
    inputs = weight.shape[0] // groups
    rows = weight.contiguous().view(groups, inputs, -1).transpose(1, 2).contiguous()
    pixels = Ref(image.value, image.meta.view(n, inputs, -1))
    out = torch.empty([n, rows.shape[1], pixels.shape[-1]], dtype=val.dtype, device="meta")
    columns = _matmul(build, out, rows.expand(n, -1, -1), pixels)
    patches = {"input": list(val.shape), "kernel": kernel, "output": list(image.shape[2:]), **settings}
    made = build.emit("overlapped", val.shape, val.dtype, [columns.operand], patches)
    return made if bias is None else elementwise(build, val, "add", [made, bias.view(1, -1, 1, 1)], {"alpha": 1})


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
    dense, over = _dense(build, build.ref(x)), [channels // groups * size]
    rows = Operand(dense.value, (over[0], 1))
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


def _gather(build: Builder, val: Tensor, x: Any, axis: int, index: Any) -> Ref:
    own = build.ref(x)
    axis %= own.meta.dim()
    strides = [0 if i == axis else stride for i, stride in enumerate(own.operand.strides)]
    return _indexed(build, val, own, strides, [build.ref(index)], [axis])


def _index(build: Builder, val: Tensor, x: Any, indices: Sequence[Any]) -> Ref:
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


def _selected(build: Builder, val: Tensor, x: Any, axis: int, index: Any) -> Ref:
    return _index(build, val, x, [*(None for _ in range(axis % build.ref(x).meta.dim())), index])


def _rows(build: Builder, val: Tensor, weight: Any, index: Any, *_rest: Any) -> Ref:
    return _index(build, val, weight, [index])


def _indexed(
    build: Builder, val: Tensor, x: Ref, strides: Sequence[int], indices: Sequence[Ref], axes: Sequence[int]
) -> Ref:
    along = {"strides": [x.operand.strides[axis] for axis in axes], "sizes": [x.shape[axis] for axis in axes]}
    operands = [Operand(x.value, tuple(strides), x.operand.offset), *(each.expanded(val.shape) for each in indices)]
    return build.emit("index", val.shape, val.dtype, operands, along)


def _cat(build: Builder, val: Tensor, tensors: Sequence[Any], axis: int = 0) -> Ref:
    pieces = [build.ref(each) for each in tensors]
    pieces = [piece for piece in pieces if piece.meta.numel()]
    at, places = 0, list[list[int]]()
    for piece in pieces:
        places.append([at if i == axis % val.dim() else 0 for i in range(val.dim())])
        at += piece.shape[axis]
    return _placed(build, val, pieces, places, 0.0)


def _pad(build: Builder, val: Tensor, x: Any, pad: Sequence[int], value: float = 0) -> Ref:
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
    "softplus": _softplus,
    "_to_copy": _cast,
    "copy": _put,
    "full_like": _filled,
    "where": _where,
    **{name: _reduced(name) for name in ("sum", "mean", "amax", "amin", "prod", "any", "argmin", "argmax")},
    "linalg_vector_norm": _norm,
    "_softmax": _along("softmax"),
    "_log_softmax": _along("log_softmax"),
    "cumsum": _along("cumsum"),
    "cumprod": _along("cumprod"),
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": _addmm,
    "convolution": _convolution,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "gather": _gather,
    "index": _index,
    "index_select": _selected,
    "embedding": _rows,
    "cat": _cat,
    "constant_pad_nd": _pad,
    "linalg_solve_triangular": _triangular,
}
