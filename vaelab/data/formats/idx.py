"""Read IDX, the file format of MNIST and similar data sets (Fashion-MNIST, KMNIST, EMNIST).

A file has two zero bytes, the element type (8 = uint8), the number of dimensions, the size of each dimension as
big-endian uint32, and the elements.
Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, 1998.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

MOST_PER_BYTE = 1032  # the largest number of bytes that one byte of gzip data can expand to
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def read(where: str) -> Contents:
    """Read the training and test images of a directory, or the images of one file.

    Arguments:
        where: a directory with the four standard names (see `FILES`), or "IMAGES", or "IMAGES,LABELS"; plain or .gz.

    Raises:
        DataError: a file is missing or damaged, or is not an IDX file of images or labels.
    """
    path = expanded(where)
    if path.is_dir():
        missing = [name for name in FILES if find(path, name) is None]
        if missing:
            raise DataError(
                found=f"{path}: no {', '.join(missing)}",
                expected=f"the four files {', '.join(FILES)}, each plain or .gz",
                do="add them, or name one pair as idx:IMAGES,LABELS",
            )
        train_images, train_labels, test_images, test_labels = (find(path, name) or path for name in FILES)
        return Contents(_pair(train_images, train_labels), test=_pair(test_images, test_labels))
    images, comma, labels = where.partition(",")
    return Contents(_pair(expanded(images), expanded(labels) if comma else None))


def find(folder: Path, name: str) -> Path | None:
    """The file `name` or `name`.gz in `folder`; None if there is neither."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; if its name ends in .gz, its bytes are decompressed as they are read.

    Raises:
        DataError: the file cannot be read, or its gzip data are not complete.
    """
    try:
        with plain(path).open("rb") as stored:
            if path.suffix != ".gz":
                yield stored
                return
            with gzip.GzipFile(fileobj=stored) as inflated:
                yield inflated  # pyright: ignore[reportReturnType] it has the methods of BinaryIO that callers use
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        cause = "gzip data that end too early" if isinstance(error, EOFError) else "not gzip data, or damaged"
        raise DataError(
            found=f"{path}: {cause} ({path.stat().st_size:,} bytes)",
            expected="a complete gzip file",
            do="download it again, or remove .gz from the name of a plain file",
        ) from error
    except OSError as error:
        raise DataError(
            found=f"{path}: cannot be read ({error.strerror})",
            expected="a readable file",
            do="check the path and its permissions",
        ) from error


def array(path: Path, dimensions: int) -> np.ndarray:
    """Read the uint8 array of an IDX file with this number of dimensions, up to the length that its header announces.

    Raises:
        DataError: the file cannot be read; it has another type or number of dimensions; it has more or fewer bytes than
            the header announces; or there is not enough memory.
    """
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, 8, dimensions))
    with reading(path) as file:
        begin = file.read(header)
        if begin[:4] != magic:
            raise DataError(
                found=f"{path}: begins with bytes '{begin[:4].hex(' ')}'",
                expected=f"'{magic.hex(' ')}', IDX of uint8 in {dimensions} dimension{'s' * (dimensions > 1)}",
                do="check that it is IDX (with .gz in its name if gzipped) and that images and labels are not swapped",
            )
        shape = struct.unpack(f">{dimensions}I", begin[4:]) if len(begin) == header else ()
        wanted = header + math.prod(shape)
        there = min(path.stat().st_size * (MOST_PER_BYTE if path.suffix == ".gz" else 1), wanted + 1)
        if shape and there >= wanted:  # otherwise the header is wrong, and the error below says so
            check_free(f"{path}: shape {shape}", wanted, "use a part of it, or more memory")
        values = file.read(there - header) if shape else b""
    if not shape or header + len(values) != wanted:
        raise DataError(
            found=f"{path}: {_in_bytes(path, len(begin) + len(values), wanted)}",
            expected=f"{wanted:,} bytes for shape {shape}" if shape else f"a header of {header} bytes",
            do="download or write the file again",
        )
    return np.frombuffer(values, np.uint8).reshape(shape).copy()  # a copy is writable, as torch requires


def _in_bytes(path: Path, read: int, wanted: int) -> str:
    """The number of bytes found. Of gzip data, at most `wanted` + 1 bytes were read."""
    if path.suffix != ".gz":
        return f"{path.stat().st_size:,} bytes"
    return "more" if read > wanted else f"{read:,} bytes"


def _pair(images: Path, labels: Path | None) -> Raw:
    where = images if labels is None else f"{images} with {labels}"
    return raw(where, array(images, 3)[:, None], None if labels is None else array(labels, 1))
