"""Arrays as text of the page: rounded weights, float16 or what they are, compressed, in seven bits a letter."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from vaelab.explorer.rounding import Rounded

HALF_FROM = 1024  # numbers in an array from which on it is kept as float16; small arrays cost little as float32
LARGEST_HALF = 65504.0
ALONE = 8192  # bytes from which on a piece is compressed by itself
# Letters that HTML changes or that could end a script: others with the same seven lowest bits
FLIPPED = 64  # a bit, so that the letter of 0, which is frequent, is not one of them
OTHERS = {ord(letter): ord(letter) + 256 for letter in "\0\r<"}


class Pack:
    """Collects arrays; equal ones are kept once."""

    def __init__(self) -> None:
        self.entries = list[dict[str, Any]]()
        self._pieces = list[bytes]()
        self._known = dict[tuple[Any, ...], int]()
        self._rounded = dict[bytes, Rounded | int]()
        self._length = 0

    def know(self, rounded: Iterable[Rounded]) -> None:
        """Take note of weights that programs may have as constants."""
        self._rounded.update((weight.values.tobytes(), weight) for weight in rounded)

    def add(self, array: np.ndarray) -> int:
        """Keep an array as it is; return its number."""
        return self._add(array.shape, array.dtype.name, _planes(array))

    def steps(self, weight: Rounded) -> int:
        """Keep rounded numbers, in the order of their steps: alike numbers, which compress well, are neighbours.

        A number is two bytes, of which the lower one holds its lowest bits.
        """
        steps = weight.rows.astype(int)[:, None] + weight.columns
        order = np.argsort(steps.reshape(-1), kind="stable")
        bits, low, high = _halved(weight.numbers.reshape(-1)[order])
        return self._add(steps.shape, "steps", [weight.rows.tobytes(), weight.columns.tobytes(), low, high], bits=bits)

    def weights(self, tensor: Tensor) -> int:
        """Keep the constant of a program; float32 that is not rounded yet is kept as float16 if it is large."""
        array = tensor.numpy()
        content = array.tobytes()
        if isinstance(weight := self._rounded.get(content), Rounded):
            self._rounded[content] = weight = self.steps(weight)
        if weight is not None:
            return weight
        half = array.dtype == np.float32 and array.size >= HALF_FROM and np.abs(array).max() <= LARGEST_HALF
        if array.dtype == np.int64:
            return self.add(array.astype(np.int32))
        return self.add(array.astype(np.float16) if half else array)

    def packed(self) -> tuple[str, int]:
        """Return all arrays as text, and their number of bytes."""
        return in_letters(_deflated(self._pieces)), self._length

    def _add(self, shape: Sequence[int], dtype: str, pieces: Sequence[bytes], **more: int) -> int:
        key = (dtype, shape, *more.values(), *pieces)
        if key not in self._known:
            self._known[key] = len(self.entries)
            self.entries.append({"shape": shape, "dtype": dtype, "at": self._length, **more})
            self._pieces += pieces
            self._length += sum(map(len, pieces))
        return self._known[key]


def deflated(content: bytes) -> str:
    """Compress bytes for a page, which inflates them as "deflate-raw", and write them as text."""
    return in_letters(_deflated([content]))


def in_letters(content: bytes) -> str:
    """Write bytes as letters of seven bits: in UTF-8 an eighth shorter than base64."""
    bits = np.unpackbits(np.frombuffer(content, np.uint8))
    sevens = np.packbits(np.append(bits, np.zeros(-len(bits) % 7, np.uint8)).reshape(-1, 7), axis=1) >> 1
    sevens ^= FLIPPED
    return sevens.tobytes().decode("ascii").translate(OTHERS)


def _deflated(pieces: Sequence[bytes]) -> bytes:
    """Compress pieces to one stream, each in the way that makes it shorter: with repeats or, as for noise, without."""
    joined = list[bytes]()
    for piece in pieces:
        if joined and len(piece) < ALONE and len(joined[-1]) < ALONE:
            joined[-1] += piece
        else:
            joined.append(piece)
    found = b""
    for piece in joined:
        ways = [
            zlib.compressobj(9, zlib.DEFLATED, -15, 9, way) for way in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)
        ]
        found += min((way.compress(piece) + way.flush(zlib.Z_SYNC_FLUSH) for way in ways), key=len)
    return found + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def _halved(numbers: np.ndarray) -> tuple[int, bytes, bytes]:
    """How many bits the lower byte of each number holds, all lower and all higher bytes: the shorter of two ways."""
    least = max(0, int(np.abs(numbers).max(initial=0)).bit_length() - 7)  # so that the higher one is from -128 to 127
    ways = list[tuple[int, bytes, bytes]]()
    for bits in {min(least, 8), 8}:
        shifted = numbers + (1 << bits >> 1)
        low, high = (shifted & (1 << bits) - 1).astype(np.uint8), (shifted >> bits).astype(np.int8)
        ways.append((bits, low.tobytes(), high.tobytes()))
    return min(ways, key=lambda way: len(_deflated(way[1:])))


def _planes(array: np.ndarray) -> list[bytes]:
    """Bytes in an order that compresses well: the first byte of all numbers, then the second byte, and so on."""
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    size = little.dtype.itemsize
    return [plane.tobytes() for plane in little.reshape(-1).view(np.uint8).reshape(-1, size).T]
