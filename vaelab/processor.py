"""How numbers lie in memory and are multiplied, where that decides how long it takes. No result hangs on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("vaelab::materialised", mutates_args=())
def _materialised(maps: Tensor) -> Tensor:
    return maps.clone(memory_format=torch.contiguous_format)


_materialised.register_fake(lambda maps: torch.empty(maps.shape, dtype=maps.dtype, device=maps.device))
_materialised.register_autograd(lambda context, gradient: gradient)
_materialised.register_vmap(lambda info, in_dims, maps: (_materialised(maps), in_dims[0]))


def pixels_innermost(maps: Tensor) -> Tensor:
    """`maps` [..., C, H, W] with the pixels of a channel in a row.

    Convolutions are fastest with the channels of a pixel in a row, and their output comes that way. The compiler would
    put off a copy, and read across the memory in every loop that follows, were it not for an operation that it cannot
    look into.
    """
    return _materialised(maps.contiguous()) if torch.compiler.is_compiling() else maps.contiguous()


@contextmanager
def onednn_products() -> Iterator[None]:
    """Leave float32 matrix products on a CPU to oneDNN, which on AMD's processors is faster than MKL, torch's choice.

    The one way to ask torch for that is to allow rounding to bfloat16. Where oneDNN does round, because the processor
    has instructions for it, all stays as it was.
    """
    settings: Any = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue] made at run time
    before = settings.fp32_precision
    settings.fp32_precision = "bf16" if _onednn_keeps_float32() else before
    try:
        yield
    finally:
        settings.fp32_precision = before


@cache
def _onednn_keeps_float32() -> bool:
    settings: Any = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue] made at run time
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        return all(_is_float32(rows, columns) for rows in (16, 100, 4096) for columns in (64, 500, 784))
    finally:
        settings.fp32_precision = before


def _is_float32(rows: int, columns: int) -> bool:
    finer = torch.full((rows, columns), 1 + 2**-20)  # than bfloat16 or TF32 can tell from 1
    return torch.equal(finer @ torch.eye(columns), finer)
