"""MATLAB v5 files (.mat): the real numeric arrays in them.

scipy reads these too, but follows the lengths and types of a damaged file out of its buffers until the process dies.

A header of 128 bytes, then elements: a tag of (type, bytes) as two uint32, then the bytes. An array is an element of
elements: flags, shape, name, values. Up to four bytes may be packed into the tag; the others fill up to multiples of 8.
Source: The MathWorks, MAT-File Format (Level 5).
"""

import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vaelab.system.errors import DataError
from vaelab.system.files import plain
from vaelab.system.memory import check_free

_MATRIX, _COMPRESSED = 14, 15
_COMPLEX = 0x800
# Values may be stored in a narrower type than that of the array: the first table is by element, the second by array.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays by name, in MATLAB's memory order (first index fastest); text, cells and structures are skipped.

    Raises:
        DataError: the file is missing, damaged, or of another version.
    """
    try:
        with plain(path).open("rb") as file:
            header = file.read(128)
            if header.startswith((b"MATLAB 7.3", b"\x89HDF")):
                raise DataError(
                    found=f"{path}: a MATLAB v7.3 (HDF5) file",
                    expected="a MATLAB v5 file",
                    do="save it from MATLAB with -v7",
                )
            order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}[header[124:]]
            end = path.stat().st_size
            arrays = {}
            while file.tell() < end:
                arrays |= _array(_element_of_file(file, order, end), order)
            return arrays
    except OSError as error:
        raise DataError(
            found=f"{path}: cannot be read ({error.strerror})", expected="a MATLAB v5 file", do="check the path"
        ) from error
    except (ValueError, KeyError, struct.error, zlib.error) as error:
        raise DataError(
            found=f"{path}: damaged, or not a MATLAB v5 file ({type(error).__name__})",
            expected="a whole MATLAB v5 file",
            do="download it again, or save it from MATLAB with -v7",
        ) from error


def _element_of_file(file: BinaryIO, order: str, end: int) -> memoryview:
    """The contents of the next array; empty for anything else."""
    kind, size = struct.unpack(f"{order}II", file.read(8))
    if size > end - file.tell():
        raise ValueError("the file ends too early")
    if kind != _COMPRESSED:
        data = memoryview(bytearray(file.read(size)))
    else:
        kind, data, _ = _element(memoryview(_inflated(file, size, order)), order)
    return data if kind == _MATRIX else data[:0]


def _inflated(file: BinaryIO, size: int, order: str) -> bytearray:
    """The one element in the next `size` bytes, decompressed in blocks, and no further than its own tag says."""
    inflater, inflated, whole = zlib.decompressobj(), bytearray(), 8
    while size > 0 or inflater.unconsumed_tail:
        if inflater.unconsumed_tail:
            block = inflater.unconsumed_tail
        else:
            block = file.read(min(size, 2**20))
            size -= len(block)
        inflated += inflater.decompress(block, whole - len(inflated) + 1)
        if whole == 8 and len(inflated) >= 8:
            kind, length = struct.unpack_from(f"{order}II", inflated)
            whole = 8 + length + -length % 8 if kind <= 0xFFFF else 8
            check_free(f"{file.name}: an array of {length:,} bytes", 2 * length, "use a part of it, or more memory")
        if len(inflated) > whole:
            raise ValueError("more data than the element says")
    if not inflater.eof:
        raise ValueError("the compressed data end too early")
    return inflated


def _element(data: memoryview, order: str) -> tuple[int, memoryview, memoryview]:
    """Type and contents of the first element, and what follows it."""
    kind, size = struct.unpack_from(f"{order}II", data)
    start, following = 8, 8 + size + -size % 8
    if kind > 0xFFFF:  # packed into the tag
        kind, size, start, following = kind & 0xFFFF, kind >> 16, 4, 8
    if start + size > min(following, len(data)):
        raise ValueError("an element is longer than what holds it")
    return kind, data[start : start + size], data[following:]


def _array(data: memoryview, order: str) -> dict[str, np.ndarray]:
    if not data:
        return {}
    _, flags, data = _element(data, order)
    _, extents, data = _element(data, order)
    _, name, data = _element(data, order)
    (flag,) = struct.unpack_from(f"{order}I", flags)
    if flag & 0xFF not in _CLASSES or flag & _COMPLEX:
        return {}
    stored, values, _ = _element(data, order)
    shape = struct.unpack(f"{order}{len(extents) // 4}i", extents)
    array = np.frombuffer(values, f"{order}{_STORED[stored]}")
    if min(shape) < 0 or math.prod(shape) != array.size:
        raise ValueError("more or fewer values than the shape asks for")
    kind = np.dtype(_CLASSES[flag & 0xFF])
    check_free("an array of a .mat file", array.size * kind.itemsize, "save it in the type of its values")
    return {bytes(name).decode("ascii"): array.reshape(shape, order="F").astype(kind, copy=False)}
