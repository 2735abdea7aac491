"""How numbers lie in memory and are multiplied, where that decides how long it takes. No result hangs on it."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode


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
    return _materialised(maps.contiguous()) if _is_traced() else maps.contiguous()


def _is_traced() -> bool:
    return torch.compiler.is_compiling() or get_proxy_mode() is not None


@contextmanager
def at_full_speed() -> Iterator[None]:
    """While this lasts, float32 products on a CPU are left to oneDNN, and freed memory is kept for the next step.

    On AMD's processors oneDNN is faster than MKL, torch's choice. The one way to ask torch for it is to allow rounding
    to bfloat16; where oneDNN does round, because the processor has instructions for it, all stays as it was.
    """
    settings: Any = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue] made at run time
    before = settings.fp32_precision
    settings.fp32_precision = "bf16" if _onednn_keeps_float32() else before
    libc = _glibc()
    if libc:
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        settings.fp32_precision = before
        if libc:
            libc.malloc_trim(0)


# Left to itself, glibc asks the system for every large tensor anew and gives it back when it is freed: at each step
# each page of it is cleared and mapped, which takes as long as the arithmetic of a convolutional network.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h


@cache
def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)


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
