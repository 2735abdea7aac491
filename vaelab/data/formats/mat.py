"""Read images, or all real numeric arrays, of MATLAB v5 files (.mat).

scipy also reads these files, but a damaged file can make it read beyond its buffers, which kills the process.

A file has a header of 128 bytes, then elements. An element is a tag (type, number of bytes) of two uint32, then the
bytes. An array is an element that contains elements: flags, shape, name, values. Up to four bytes may be packed into
the tag; longer contents are padded to a multiple of 8.
Source: The MathWorks, MAT-File Format (Level 5).
"""

import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vaelab.data.dataset import Contents
from vaelab.data.formats import arrays as array_files
from vaelab.data.formats import options as file_options
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

_MATRIX, _COMPRESSED = 14, 15
_COMPLEX = 0x800
# Values may be stored in a smaller type than the array's. The first table has types of elements, the second of arrays.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}


def images(where: str) -> Contents:
    """Read the images of one file; options of `formats.options.of_arrays` name its arrays and their layout.

    Images are flat in the rows or columns of a matrix, with their `shape`, as in the files of Frey faces and Omniglot;
    or the option `axes` gives the order of the axes. `formats.arrays.contents` describes the arrays.

    Raises:
        DataError: as `read`; or there is no such array; or its shape or values are other ones.
        SpecError: an option is wrong.
    """
    at, options = file_options.of_arrays(where)
    path = expanded(at)
    found = read(path)
    return array_files.contents(path, list(found), lambda _: found, options, matlab=True)


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays by name, in MATLAB's memory order (first index fastest); skip text, cells and structures.

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
                    do=f"read it with h5:{path}:images=KEY, or save it from MATLAB with -v7",
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
            expected="a complete MATLAB v5 file",
            do="download it again, or save it from MATLAB with -v7",
        ) from error


def _element_of_file(file: BinaryIO, order: str, end: int) -> memoryview:
    """Read the contents of the next element; empty if it is not an array."""
    kind, size = struct.unpack(f"{order}II", file.read(8))
    if size > end - file.tell():
        raise ValueError("the file ends too early")
    if kind != _COMPRESSED:
        data = memoryview(bytearray(file.read(size)))
    else:
        kind, data, _ = _element(memoryview(_inflated(file, size, order)), order)
    return data if kind == _MATRIX else data[:0]


def _inflated(file: BinaryIO, size: int, order: str) -> bytearray:
    """Decompress the one element in the next `size` bytes, block by block, up to the length in its tag."""
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
    """Return the type and contents of the first element, and the bytes after it."""
    kind, size = struct.unpack_from(f"{order}II", data)
    start, following = 8, 8 + size + -size % 8
    if kind > 0xFFFF:  # packed into the tag
        kind, size, start, following = kind & 0xFFFF, kind >> 16, 4, 8
    if start + size > min(following, len(data)):
        raise ValueError("an element is longer than its container")
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
        raise ValueError("the number of values does not fit the shape")
    kind = np.dtype(_CLASSES[flag & 0xFF])
    check_free("an array of a .mat file", array.size * kind.itemsize, "save it in the type of its values")
    return {bytes(name).decode("ascii"): array.reshape(shape, order="F").astype(kind, copy=False)}
