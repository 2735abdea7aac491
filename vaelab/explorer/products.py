"""Products of matrices, and convolutions, which become products."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vaelab.explorer.elementwise import copied, elementwise
from vaelab.explorer.program import Builder, Ref


def matmul(build: Builder, val: Tensor, a: Any, b: Any, bias: Any = None) -> Ref:
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


def addmm(build: Builder, val: Tensor, bias: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Ref:
    if beta != 1:
        raise NotImplementedError("addmm with beta")
    if alpha != 1:
        left = build.ref(a)
        a = elementwise(build, left.meta, "mul", [left, torch.tensor(alpha, dtype=left.dtype)])
    return matmul(build, val, a, b, bias)


def dense(build: Builder, x: Ref) -> Ref:
    """The same without gaps, in row-major order."""
    return x if x.meta.is_contiguous() and not x.operand.offset else copied(build, x)


def convolution(
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
    image, n = dense(build, build.ref(x)), val.shape[0] * groups
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
        made = matmul(build, out, rows.expand(n, -1, -1), columns, shifts)
        return Ref(made.value, made.meta.view(val.shape))
    inputs = weight.shape[0] // groups
    rows = weight.contiguous().view(groups, inputs, -1).transpose(1, 2).contiguous()
    pixels = Ref(image.value, image.meta.view(n, inputs, -1))
    out = torch.empty([n, rows.shape[1], pixels.shape[-1]], dtype=val.dtype, device="meta")
    columns = matmul(build, out, rows.expand(n, -1, -1), pixels)
    patches = {"input": list(val.shape), "kernel": kernel, "output": list(image.shape[2:]), **settings}
    made = build.emit("overlapped", val.shape, val.dtype, [columns.operand], patches)
    return made if bias is None else elementwise(build, val, "add", [made, bias.view(1, -1, 1, 1)], {"alpha": 1})
