"""Read images from an HDF5 file (.h5, .hdf5) without loading it. It needs the package h5py.

Only the file itself is read: a link to another file, and values that are stored in another file, are refused.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.data.dataset import Contents
from vaelab.data.formats import options as file_options
from vaelab.data.formats.arrays import contents
from vaelab.data.formats.extras import optional
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

if TYPE_CHECKING:
    import h5py

CACHE = 2**26  # bytes of chunks that are kept, so that a pass over all images decompresses each chunk once
TOGETHER = 64  # images that are read at a time, of an array that is not in chunks
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)  # what h5py raises


@dataclass(frozen=True, eq=False)
class Stretch:
    """An array in an HDF5 file. Each chunk is read once for a call, however many of its images are asked for."""

    path: Path
    array: Any  # an h5py.Dataset
    shape: tuple[int, ...]
    dtype: np.dtype

    def take(self, places: np.ndarray, axis: int) -> np.ndarray:
        """Read what is at these indices of one axis.

        Raises:
            DataError: the file is damaged.
        """
        size = self.array.chunks[axis] if self.array.chunks else TOGETHER
        taken = np.empty([*self.shape[:axis], len(places), *self.shape[axis + 1 :]], self.dtype)
        order = np.argsort(places, kind="stable")
        chunk = places[order] // size
        whole = (slice(None),) * axis
        try:
            for at in np.split(order, np.flatnonzero(np.diff(chunk)) + 1) if len(order) else ():
                low, high = int(places[at[0]]), int(places[at[-1]]) + 1
                block = self.array[(*whole, slice(low, high))]
                taken[(*whole, at)] = np.take(block, places[at] - low, axis=axis)
        except DAMAGED as error:
            raise _damaged(self.path, error) from error
        return taken


def read(where: str) -> Contents:
    """Read one file; options of `formats.options.of_arrays` name its arrays, `group/array`, and their layout.

    Without options, arrays have the names of npz files, or those of USPS. `formats.arrays.contents` describes the
    arrays. Images are read from the file, and converted, when they are used.

    Raises:
        DataError: h5py is not installed; the file is missing or damaged; there is no such array; or its shape or values
            are other ones.
        SpecError: an option is wrong.
    """
    at, options = file_options.of_arrays(where)
    path = expanded(at)
    h5py = optional("h5py", "h5")
    try:
        plain(path).open("rb").close()
        file = h5py.File(path, "r", rdcc_nbytes=CACHE)
        found = dict[str, "h5py.Dataset"]()
        file.visititems(lambda key, one: found.update({key: one}) if isinstance(one, h5py.Dataset) else None)
        arrays = {_text(key): one for key, one in found.items() if one.shape is not None and one.dtype.kind in "biufc"}
    except DAMAGED as error:
        raise _damaged(path, error) from error
    return contents(path, list(arrays), lambda keys: {key: _opened(path, key, arrays[key]) for key in keys}, options)


def _opened(path: Path, key: str, array: "h5py.Dataset") -> Stretch:
    """The array, after what its header says is compared with what is stored."""
    try:
        return _checked(path, key, array)
    except DAMAGED as error:
        raise _damaged(path, error) from error


def _checked(path: Path, key: str, array: "h5py.Dataset") -> Stretch:
    where = f"{path}, {key}"
    if array.is_virtual or array.external:
        raise DataError(
            found=f"{where}: values that are in other files",
            expected="values in this file",
            do="copy the array into one file, for example with h5repack",
        )
    shape, dtype = tuple(map(int, array.shape)), array.dtype
    if 0 not in shape and array.chunks:
        wanted = math.prod(-(-size // chunk) for size, chunk in zip(shape, array.chunks, strict=True))
        stored, unit = array.id.get_num_chunks(), "chunks"
        check_free(where, 2 * math.prod(array.chunks) * dtype.itemsize, "save it in smaller chunks")
    else:
        wanted = math.prod(shape) * dtype.itemsize
        stored, unit = array.id.get_storage_size(), "bytes"
    if stored < wanted:
        raise DataError(
            found=f"{where}: shape {shape}, but {stored:,} of its {wanted:,} {unit} are stored",
            expected="an array that was written completely",
            do="write the file again",
        )
    return Stretch(path, array, shape, dtype)


def _text(key: str | bytes) -> str:
    """The name of an array: h5py gives bytes that are not UTF-8 as they are."""
    return key.decode(errors="backslashreplace") if isinstance(key, bytes) else key


def _damaged(path: Path, error: Exception) -> DataError:
    if isinstance(error, OSError) and error.errno and not path.is_file():
        return DataError(
            found=f"{path}: cannot be read ({error.strerror})", expected="an HDF5 file", do="check the path"
        )
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(
        found=f"{path}: damaged, cut short or not an HDF5 file ({why})",
        expected="a complete HDF5 file",
        do="copy or write it again",
    )
