"""Read images from text files of numbers, a row for each image: the format of H. Larochelle's data sets (.amat)."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vaelab.data.dataset import Contents
from vaelab.data.formats import options as file_options
from vaelab.data.formats.arrays import of_chosen
from vaelab.data.formats.folder import split_of
from vaelab.data.formats.names import Choice
from vaelab.data.formats.options import Options
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

TOGETHER = 2**20  # bytes of text that are read at a time
LONGEST = 2**24  # bytes of a row


def read(where: str) -> Contents:
    """Read one file, or the files of a folder: the word train, valid or test in a file's name is its split.

    A row has the values of an image, separated by spaces, and may end with its label. With the option `shape`, a row
    has one number for each pixel, or one more. Without it, images are square. `formats.arrays.contents` describes the
    values.

    Raises:
        DataError: a file is missing, cut short or not text; the rows are not images; or as `formats.arrays.contents`.
        SpecError: an option is wrong.
    """
    at, options = file_options.of_one_array(where)
    path = expanded(at)
    files = {"": path} if not path.is_dir() else _splits(path)
    parts, arrays, said = dict[str, dict[str, str]](), dict[str, np.ndarray](), list[str]()
    for split, file in files.items():
        name = file.name if split else ""
        values = _values(file)
        size, line = _size(file, values.shape[1], options)
        said += [line] * (line not in said)
        if not options.shape:
            options = Options({}, size, options.order, options.axes)
        parts[split], arrays[name] = {"images": name}, _as_written(values[:, : math.prod(size)])
        if values.shape[1] > math.prod(size):
            parts[split]["labels"] = f"{name or path.name}, last column"
            arrays[parts[split]["labels"]] = values[:, -1]
    found = of_chosen(path, Choice(parts, []), arrays, options)
    return Contents(
        found.train, found.validation, found.test, said=(*(f"{path}: {line}" for line in said), *found.said)
    )


def _splits(folder: Path) -> dict[str, Path]:
    """The .amat files of a folder by split."""
    files = sorted(folder.glob("*.amat"))
    splits = [next(filter(None, map(split_of, re.split(r"[._-]", file.stem))), "") for file in files]
    if "train" not in splits or "" in splits or len(set(splits)) < len(splits):
        raise DataError(
            found=f"{folder}: files {', '.join(file.name for file in files) or '(none)'}",
            expected="one .amat file for each split, with train, valid or test in its name",
            do="rename or move files, or name one file",
        )
    return dict(zip(splits, files, strict=True))


def _size(file: Path, columns: int, options: Options) -> tuple[tuple[int, ...], str]:
    """The shape of the images of a file, and a line about how a row is read."""
    side = math.isqrt(columns)
    shape = options.shape or ((side, side) if side**2 in (columns, columns - 1) else ())
    pixels = math.prod(shape) if shape else 0
    if columns not in (pixels, pixels + 1):
        raise DataError(
            found=f"{file}: rows of {columns:,} numbers",
            expected=f"{pixels:,} pixels for shape={'x'.join(map(str, shape))}, and perhaps a label"
            if shape
            else "a square number of pixels, and perhaps a label",
            do="correct shape" if shape else "give the shape of an image, as in shape=28x20",
        )
    text = f"{' x '.join(map(str, shape))} pixels"
    return shape, f"rows of {columns:,} numbers are {text}{' and a label' if columns > pixels else ', without labels'}"


def _values(file: Path) -> np.ndarray:
    """The numbers of a file, [N, columns]."""
    try:
        with plain(file).open("rb") as opened:
            size, blocks = file.stat().st_size, list[np.ndarray]()
            check_free(str(file), 6 * size, "use a part of it")  # two bytes of text or more become at most 12
            for text in _lines(file, opened):
                blocks.append(_numbers(text))
                if blocks[-1].shape[1:] != blocks[0].shape[1:]:
                    raise ValueError(f"rows of {blocks[0].shape[1]} and of {blocks[-1].shape[1]} numbers")
    except OSError as error:
        raise DataError(
            found=f"{file}: cannot be read ({error.strerror})", expected="a text file of numbers", do="check the path"
        ) from error
    except ValueError as error:
        raise DataError(
            found=f"{file}: cut short, or not rows of numbers ({' '.join(str(error).split())[:100]})",
            expected="the same number of values in each row, separated by spaces",
            do="download or write it again",
        ) from error
    if not blocks:
        raise DataError(found=f"{file}: no rows", expected="a row for each image", do="check how it was written")
    return np.concatenate(blocks)


def _lines(file: Path, opened: BinaryIO) -> Iterator[bytes]:
    """The text in blocks of whole lines that are not empty."""
    rest = b""
    while block := opened.read(TOGETHER):
        whole, end, rest = (rest + block).rpartition(b"\n")
        if end and whole.strip():
            yield whole
        if len(rest) > LONGEST:
            raise DataError(
                found=f"{file}: a row of more than {LONGEST / 1e6:.0f} MB",
                expected="a row for each image",
                do="check that each image is on a line of its own",
            )
    if rest.strip():
        yield rest


def _numbers(text: bytes) -> np.ndarray:
    """The numbers of some lines, [N, columns]. ValueError if they are not numbers, or rows differ in length."""
    letters = np.frombuffer(text, np.uint8)
    inside = letters > ord(" ")
    digits = letters[inside]
    if (inside[1:] & inside[:-1]).any() or digits.min() < ord("0") or digits.max() > ord("9"):
        return np.loadtxt(text.decode("ascii").split("\n"), np.float32, comments=None, ndmin=2)
    # All numbers are single digits, as in binarised images: this takes a fiftieth of the time.
    ends = np.cumsum(inside, dtype=np.int32)[letters == ord("\n")]
    counts = np.diff(ends, prepend=0, append=len(digits))
    counts = counts[counts > 0]
    if counts.min() < counts.max():
        raise ValueError(f"rows of {counts.min()} and of {counts.max()} numbers")
    return (digits - ord("0")).reshape(-1, counts[0])


def _as_written(values: np.ndarray) -> np.ndarray:
    """Floats that are all whole numbers as integers: "1.0" and "1" are the same number."""
    return values.astype(np.int64) if values.dtype.kind == "f" and (values == np.floor(values)).all() else values
