"""What the header of an .npy file announces, read before anything is mapped or allocated."""

import math
from typing import IO

import numpy as np


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the array in an .npy file that is open at its beginning.

    Raises:
        ValueError: it is not such a file, its shape has a negative number, or its values take no bytes.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if any(size < 0 for size in shape):
        raise ValueError(f"shape {shape}")
    if not dtype.itemsize:  # such an array fits in any file, however many values it claims
        raise ValueError(f"values of no bytes ({dtype})")
    return shape, dtype


def announced_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """The bytes of an array in memory: Python's whole numbers, which do not overflow."""
    return math.prod(shape) * dtype.itemsize
