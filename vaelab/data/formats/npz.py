"""Read images from a NumPy .npz file. Pickled objects are refused."""

import math
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Contents
from vaelab.data.formats import options as file_options
from vaelab.data.formats.arrays import of_chosen
from vaelab.data.formats.damage import DAMAGED
from vaelab.data.formats.names import Choice, choose
from vaelab.data.formats.options import Options
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

FACTOR_NAMES = "factor_names"


def read(where: str) -> Contents:
    """Read one file: `images` [and `labels`], or `train_images` [and `val_images`, `test_images`, `..._labels`].

    The names of Keras are also read: `x_train`, `y_train`, `x_test`, `y_test`; and so are `x`, `y` and `label`, and the
    names of dSprites. Upper and lower case are the same. `formats.names` has all names; options of
    `formats.options.of_arrays` can name others. `formats.arrays.contents` describes the arrays.

    The file may also have `factors` (`train_factors`, ...), integers [N, F], with their `factor_names` [F].

    Raises:
        DataError: the file is missing, damaged or pickled, or its keys, shapes or values are other ones.
        SpecError: an option is wrong.
    """
    at, options = file_options.of_arrays(where)
    path = expanded(at)
    chosen, arrays = _arrays(path, options)
    return of_chosen(path, chosen, arrays, options)


def _arrays(path: Path, options: Options) -> tuple[Choice, dict[str, np.ndarray]]:
    """Choose the arrays, and read them and no others."""
    try:
        with plain(path).open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise DataError(
                    found=f"{path}: a single array or other data",
                    expected="an .npz file with key images",
                    do="write it with numpy.savez_compressed(file, images=...)",
                )
            with loaded:
                chosen = choose(str(path), [key for key in loaded.files if key != FACTOR_NAMES], options)
                needed = sum(_bytes_of(path, key) for key in chosen.keys)
                check_free(str(path), 2 * needed, "save a part of it, or write images alone as images.npy")
                arrays = {key: np.asarray(loaded[key]) for key in chosen.keys}
                if FACTOR_NAMES in loaded.files:
                    chosen = replace(chosen, factor_names=tuple(map(str, np.atleast_1d(loaded[FACTOR_NAMES]))))
                return chosen, arrays
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror or error})"
        raise DataError(
            found=f"{path}: {why}", expected="an .npz file with an array named images", do="check the path"
        ) from error
    except DAMAGED as error:
        raise DataError(
            found=f"{path}: not an .npz file, damaged, or with pickled objects ({type(error).__name__})",
            expected="an .npz file of plain arrays",
            do="write it again with numpy.savez_compressed(file, images=...)",
        ) from error


def _bytes_of(path: Path, key: str) -> int:
    """The size of an array in memory, from the header of its file in the archive."""
    with zipfile.ZipFile(path) as archive, archive.open(key if key in archive.namelist() else f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
    return math.prod(shape) * dtype.itemsize
