"""Arrays as bytes of the page: weights as float16, compressed, in base64."""

import base64
import zlib
from typing import Any

import numpy as np
from torch import Tensor

HALF_FROM = 1024  # numbers in an array from which on it is kept as float16; small arrays cost little as float32
LARGEST_HALF = 65504.0


class Pack:
    """Collects arrays; equal ones are kept once."""

    def __init__(self) -> None:
        self.entries = list[dict[str, Any]]()
        self._parts = list[bytes]()
        self._known = dict[tuple[Any, ...], int]()
        self._length = 0

    def add(self, array: np.ndarray) -> int:
        """Keep an array as it is; return its number."""
        dtype, content = _bytes_of(array)
        key = (dtype, array.shape, content)
        if key not in self._known:
            self._known[key] = len(self.entries)
            self.entries.append({"shape": array.shape, "dtype": dtype, "at": self._length})
            self._parts.append(content)
            self._length += len(content)
        return self._known[key]

    def weights(self, tensor: Tensor) -> int:
        """Keep the constant of a program; float32 is rounded to float16 if it is large."""
        array = tensor.numpy()
        rounded = array.dtype == np.float32 and array.size >= HALF_FROM and np.abs(array).max() <= LARGEST_HALF
        if array.dtype == np.int64:
            return self.add(array.astype(np.int32))
        return self.add(array.astype(np.float16) if rounded else array)

    def packed(self) -> tuple[str, int]:
        """Return all arrays, compressed and in base64, and their number of bytes."""
        content = b"".join(self._parts)
        return deflated(content), len(content)


def deflated(content: bytes) -> str:
    """Compress bytes for a page, which inflates them as "deflate-raw", and write them in base64."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)  # -15: without a header
    return base64.b64encode(compressor.compress(content) + compressor.flush()).decode()


def _bytes_of(array: np.ndarray) -> tuple[str, bytes]:
    """Bytes in an order that compresses well: the first byte of all numbers, then the second byte, and so on."""
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    size = little.dtype.itemsize
    planes = little.reshape(-1).view(np.uint8).reshape(-1, size).T
    return array.dtype.name, np.ascontiguousarray(planes).tobytes()
