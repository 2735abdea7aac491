"""Read images from a NumPy .npy file without loading it: for data larger than memory. Pickled objects are refused."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Contents
from vaelab.data.formats import options as file_options
from vaelab.data.formats.arrays import of_chosen
from vaelab.data.formats.damage import DAMAGED
from vaelab.data.formats.names import Choice
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain


@dataclass(frozen=True, eq=False)
class Mapped:
    """An array in a file, mapped."""

    path: Path
    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    def take(self, places: np.ndarray, axis: int) -> np.ndarray:
        # numpy.take and not array[places], which holds Python's global lock while it waits for the disk.
        return np.take(self.array, places, axis=axis)


def read(where: str) -> Contents:
    """Read the .npy files "IMAGES" or "IMAGES,LABELS", with the options of `formats.options.of_one_array`.

    The arrays are described in `formats.arrays.contents`. Images are read from the file, and converted, when they are
    used.

    Raises:
        DataError: a file is missing or damaged, in Fortran order, or has another type or shape.
        SpecError: an option is wrong.
    """
    paths, options = file_options.of_one_array(where)
    images, comma, labels = paths.partition(",")
    path = expanded(images)
    arrays = {"": Mapped(path, _map(path))}
    if arrays[""].array.ndim > 1 and not arrays[""].array.flags.c_contiguous:
        raise DataError(
            found=f"{path}: {arrays[''].dtype} of shape {arrays[''].shape}, in Fortran order",
            expected="C order, in which each image can be read alone",
            do="save numpy.ascontiguousarray(images)",
        )
    parts = {"images": ""}
    if comma:
        parts["labels"], at = labels, expanded(labels)
        arrays[labels] = Mapped(at, _map(at))
    return of_chosen(path, Choice({"": parts}, []), arrays, options)


def _map(path: Path) -> np.ndarray:
    try:
        with plain(path).open("rb") as opened:
            head = opened.read(6)
        if head.startswith(b"PK"):
            raise DataError(
                found=f"{path}: an .npz archive, which cannot be read in pieces",
                expected="an .npy file of one array",
                do=f"use npz:{path} if it fits in memory, or write the array with numpy.save",
            )
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except OSError as error:
        raise DataError(
            found=f"{path}: cannot be read ({error.strerror})", expected="an .npy file", do="check the path"
        ) from error
    except DAMAGED as error:
        why = str(error) if "object" in str(error).lower() else "empty, truncated or not an .npy file"
        raise DataError(
            found=f"{path}: {' '.join(why.split())} ({path.stat().st_size:,} bytes)",
            expected="a complete .npy file of numbers",
            do="write it again with numpy.save",
        ) from error
