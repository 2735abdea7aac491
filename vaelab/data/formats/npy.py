"""Read images from a NumPy .npy file without loading it: for data larger than memory. Pickled objects are refused."""

from pathlib import Path

import numpy as np

from vaelab.data.dataset import Contents, raw
from vaelab.data.formats.npz import DAMAGED, levels, whole
from vaelab.data.stored import Stored
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain

LOOKED_AT = 100  # number of evenly spaced images whose levels are checked first


def read(where: str) -> Contents:
    """Read the .npy files "IMAGES" or "IMAGES,LABELS": images uint8 [N, C, H, W] or [N, H, W], labels integers [N].

    Raises:
        DataError: a file is missing or damaged, or has another type or shape. Images are not converted, because they
            are read from the file when they are used.
    """
    images, comma, labels = where.partition(",")
    path = expanded(images)
    file = _map(path)
    _check(path, file)
    if file.ndim == 3:
        file = file[:, None]
    stored = Stored(path, path.stat().st_size, file, np.arange(len(file)))
    if len(stored):
        levels(images, stored[:: -(-len(stored) // LOOKED_AT)])
    if not comma:
        return Contents(raw(path, stored))
    return Contents(raw(f"{path} with {labels}", stored, _labels(expanded(labels))))


def _map(path: Path) -> np.ndarray:
    try:
        with plain(path).open("rb") as opened:
            head = opened.read(6)
        if head.startswith(b"PK"):
            raise DataError(
                found=f"{path}: an .npz archive, which cannot be mapped",
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


def _check(path: Path, file: np.ndarray) -> None:
    """Raise a DataError unless `file` is uint8 [N, C, H, W] or [N, H, W] with the last index fastest."""
    found, expected = f"{path}: {file.dtype} of shape {file.shape}", "uint8 [N, C, H, W] or [N, H, W] with C 1 or 3"
    channels_last = file.ndim == 4 and file.shape[1] not in (1, 3) and file.shape[3] in (1, 3)
    if file.dtype != np.uint8:
        sample = file[:: -(-len(file) // LOOKED_AT)] if file.ndim and len(file) else file
        if sample.size and file.dtype.kind in "iufb":
            levels(str(path), sample)  # raises its own error for values that cannot become levels
        do = "images" if file.dtype.kind in "iu" else "numpy.round(255 * images)"
        raise DataError(found=found, expected=expected, do=f"save {do}.astype(numpy.uint8)")
    if channels_last:
        found += ", channels last"
        raise DataError(found=found, expected=expected, do="save numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))")
    if file.ndim not in (3, 4) or (file.ndim == 4 and file.shape[1] not in (1, 3)):
        raise DataError(found=found, expected=expected, do="reshape the array")
    if not file.flags.c_contiguous:
        found += ", in Fortran order"
        raise DataError(found=found, expected="C order", do="save numpy.ascontiguousarray(images)")


def _labels(path: Path) -> np.ndarray:
    return np.array(whole(f"{path}, labels", _map(path)))
