"""Images in a NumPy .npz file; no pickled object is ever read."""

import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Raw, raw
from vaelab.errors import DataError


def read(where: str) -> tuple[Raw, Raw | None]:
    """Images of one file: `images` [and `labels`], or `train_images` and `test_images` [and their `..._labels`].

    Images are [N, H, W], [N, C, H, W] or [N, H, W, C] with C 1 or 3: whole numbers 0 to 255, or floats in [0, 1], which
    are rounded to the 256 levels (the note says by how much at most). Labels are whole numbers [N]. Beside them may
    stand `factors` (`train_factors` and `test_factors`), whole numbers [N, F], with their `factor_names` [F].

    Raises:
        DataError: the file is missing, damaged, pickled, lacks these keys, or holds other shapes or values.
    """
    path = Path(where).expanduser()
    arrays = _arrays(path)
    if "images" in arrays:
        return _part(path, arrays, ""), None
    return _part(path, arrays, "train_"), _part(path, arrays, "test_")


def levels(where: str, values: np.ndarray) -> tuple[np.ndarray, str]:
    """`values` as uint8 levels of the same shape, and a note of what that changed.

    Raises:
        DataError: values that are not whole numbers 0 to 255 nor floats in [0, 1].
    """
    if values.dtype.kind in "iu" and values.min() >= 0 and 1 < values.max() <= 255:
        return values.astype(np.uint8), ""
    if values.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1:  # NaN is neither
        quantised = np.round(values * 255).astype(np.uint8)
        change = np.abs(quantised / 255 - values).max()
        return quantised, f"floats quantised to 256 levels, largest change {change:.4f}"
    ends = f" from {values.min()} to {values.max()}" if values.dtype.kind in "iufb" else ""
    raise DataError(
        found=f"{where}: {values.dtype} values{ends}",
        expected="whole numbers that use the range 0 to 255, or floats in [0, 1]",
        do="rescale them (multiply zeros and ones by 255)",
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise DataError(
                    found=f"{path}: a single array or other data",
                    expected="an .npz file with key images",
                    do="write it with numpy.savez_compressed(file, images=...)",
                )
            with loaded:
                return {key: np.asarray(loaded[key]) for key in loaded.files if key in _KEYS}
    except FileNotFoundError as error:
        raise DataError(
            found=f"{path}: no such file", expected="an .npz file with key images", do="check the path"
        ) from error
    except DAMAGED as error:
        raise DataError(
            found=f"{path}: not an .npz file, damaged, or with pickled objects ({type(error).__name__})",
            expected="an .npz file of plain arrays",
            do="write it again with numpy.savez_compressed(file, images=...)",
        ) from error


# What numpy and zipfile let through of a damaged file; RuntimeError is an archive that seems encrypted.
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
_KEYS = (
    *(f"{split}{kind}" for split in ("", "train_", "test_") for kind in ("images", "labels", "factors")),
    "factor_names",
)


def _part(path: Path, arrays: dict[str, np.ndarray], prefix: str) -> Raw:
    if f"{prefix}images" not in arrays:
        raise DataError(
            found=f"{path}: no array {prefix}images (but {', '.join(arrays) or 'none of ours'})",
            expected="images [and labels], or train_images and test_images [and their ..._labels]",
            do="rename the arrays",
        )
    where = f"{path}, {prefix}images"
    images = arrays[f"{prefix}images"]
    if images.size == 0:
        return raw(where, images)  # which refuses it
    values, note = levels(where, _channels_first(where, images))
    labels, factors = (_whole(path, arrays, f"{prefix}{kind}") for kind in ("labels", "factors"))
    names = tuple(map(str, np.atleast_1d(arrays.get("factor_names", ()))))
    return raw(where, values, labels, note, factors, names)


def _whole(path: Path, arrays: dict[str, np.ndarray], name: str) -> np.ndarray | None:
    values = arrays.get(name)
    if values is not None and values.dtype.kind not in "iu":
        raise DataError(found=f"{path}, {name}: {values.dtype}", expected="whole numbers", do="store integers")
    return values


def _channels_first(where: str, images: np.ndarray) -> np.ndarray:
    first = images.ndim == 4 and images.shape[1] in (1, 3)
    last = images.ndim == 4 and images.shape[3] in (1, 3)
    if images.ndim == 3:
        return images[:, None]
    if first == last:
        raise DataError(
            found=f"{where}: shape {images.shape}, {'channels second or last?' if first else 'no axis of channels'}",
            expected="[N, H, W], [N, C, H, W] or [N, H, W, C] with C 1 or 3",
            do="reshape the array",
        )
    return images if first else images.transpose(0, 3, 1, 2)
