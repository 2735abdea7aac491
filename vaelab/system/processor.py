"""How numbers are laid out in memory and multiplied: this decides the speed, and no result."""

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache

import torch
from torch import Tensor

from vaelab.system.torch_internals import is_traced, matmul_precision


@torch.library.custom_op("vaelab::materialised", mutates_args=())
def _materialised(maps: Tensor) -> Tensor:
    return maps.clone(memory_format=torch.contiguous_format)


_materialised.register_fake(lambda maps: torch.empty(maps.shape, dtype=maps.dtype, device=maps.device))
_materialised.register_autograd(lambda context, gradient: gradient)
_materialised.register_vmap(lambda info, in_dims, maps: (_materialised(maps), in_dims[0]))


def pixels_innermost(maps: Tensor) -> Tensor:
    """`maps` [..., C, H, W] with the pixels of a channel next to each other in memory.

    Convolutions are fastest with the channels of a pixel next to each other, and their output has that layout. The
    compiler would delay the copy, and each later loop would then read across the memory. It cannot look into this
    operation, so it makes the copy here. A program of torch.export has plain operations only, so that it can be read
    without vaelab.
    """
    plain = torch.compiler.is_exporting() or not is_traced()
    return maps.contiguous() if plain else _materialised(maps.contiguous())


_entering = threading.Lock()
_inside = 0  # contexts of `at_full_speed` that are open, in all threads
_restore = ExitStack()


@contextmanager
def at_full_speed() -> Iterator[None]:
    """While this lasts, oneDNN computes float32 products on a CPU, and freed memory is kept for the next step.

    The settings are those of the whole process. The outermost context makes them, and restores them at its end.
    """
    global _inside, _restore
    with _entering:
        if _inside == 0:
            with ExitStack() as settings:
                settings.enter_context(_products_by_onednn())
                settings.enter_context(_freed_memory_kept())
                _restore = settings.pop_all()
        _inside += 1
    try:
        yield
    finally:
        with _entering:
            _inside -= 1
            if _inside == 0:
                _restore.close()


def _products_by_onednn() -> AbstractContextManager[None]:
    """On AMD's processors oneDNN is faster than MKL, which is torch's choice.

    The only way to ask torch for oneDNN is to allow rounding to bfloat16. Where the processor has instructions for
    bfloat16, oneDNN does round, and nothing is changed.
    """
    return matmul_precision("bf16" if _onednn_keeps_float32() else None)


@cache
def _onednn_keeps_float32() -> bool:
    with matmul_precision("bf16"):
        return all(_is_float32(rows, columns) for rows in (16, 100, 4096) for columns in (64, 500, 784))


def _is_float32(rows: int, columns: int) -> bool:
    finer = torch.full((rows, columns), 1 + 2**-20)  # bfloat16 and TF32 cannot tell it from 1
    return torch.equal(finer @ torch.eye(columns), finer)


# By default glibc asks the system for the memory of each large tensor and gives it back when the tensor is freed. The
# system clears and maps each page again at each step, which takes as long as the arithmetic of a convolutional network.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # malloc.h

# glibc starts with thresholds of 128 KiB and raises them as large memory is freed, up to these. To set any of them ends
# that, and nothing starts it again. So a process that has trained gets the last values of this rise, not the first:
# with 128 KiB for good, every tensor above that would be mapped anew for as long as the process lives.
MMAP_THRESHOLD, TRIM_THRESHOLD, MMAP_MAX = 32 * 2**20, 64 * 2**20, 65_536  # bytes, bytes, glibc's default count


@contextmanager
def _freed_memory_kept() -> Iterator[None]:
    """While this lasts, glibc keeps freed memory; afterwards it gives large pieces back again.

    Other C libraries are left alone.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_MAX, MMAP_MAX)
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)
