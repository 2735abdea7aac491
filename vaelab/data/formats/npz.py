"""Read images from a NumPy .npz file. Pickled objects are refused."""

import math
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

KINDS = ("images", "labels", "factors")
# The prefixes of the names of arrays for each split; "" means that the file is not divided into splits.
PREFIXES = {"": ("",), "train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}


def _spellings(prefix: str) -> dict[str, str]:
    """Map names of arrays with one prefix to kinds: the names of vaelab and MedMNIST, then those of Keras."""
    if not prefix:
        return {kind: kind for kind in KINDS} | {"x": "images", "y": "labels", "label": "labels"}
    ours = {f"{prefix}_{kind}": kind for kind in KINDS} | {f"{prefix}_label": "labels"}
    return ours | {f"x_{prefix}": "images", f"y_{prefix}": "labels"}


NAMES = {
    name: (split, kind)
    for split, prefixes in PREFIXES.items()
    for prefix in prefixes
    for name, kind in _spellings(prefix).items()
}
LARGEST = np.iinfo(np.int64).max  # the largest label
EXPECTED = (
    "images [and labels], or train_images [and val_images, test_images, their ..._labels], or x_train, y_train, ..."
)


def read(where: str) -> Contents:
    """Read one file: `images` [and `labels`], or `train_images` [and `val_images`, `test_images`, `..._labels`].

    The names of Keras are also read: `x_train`, `y_train`, `x_test`, `y_test`; and so are `x`, `y` and `label`. Upper
    and lower case are the same. `NAMES` has all names.

    Images are [N, H, W], [N, C, H, W] or [N, H, W, C] with C 1 or 3. They are integers 0 to 255, or floats in [0, 1].
    Floats are rounded to the 256 levels, and the note gives the largest change. Labels are integers [N] or [N, 1]. The
    file may also have `factors` (`train_factors`, ...), integers [N, F], with their `factor_names` [F].

    Raises:
        DataError: the file is missing, damaged or pickled, or its keys, shapes or values are other ones.
    """
    path = expanded(where)
    arrays, others = _arrays(path)
    parts = _parts(path, arrays, others)
    factor_names = tuple(map(str, np.atleast_1d(arrays.get("factor_names", ()))))
    raws = {split: _part(path, arrays, of, factor_names) for split, of in parts.items()}
    left_out = f"array{'s' * (len(others) > 1)} {', '.join(others)}" if others else ""
    train = raws.get("") or raws["train"]
    return Contents(train, raws.get("validation"), raws.get("test"), left_out=left_out)


def levels(where: str, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Return `values` as uint8 levels of the same shape, and a note about what changed.

    Raises:
        DataError: the values are neither integers 0 to 255 nor floats in [0, 1].
    """
    if values.dtype.kind in "iu" and values.min() >= 0 and 1 < values.max() <= 255:
        return values.astype(np.uint8), ""
    if values.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1:  # with a NaN both are false
        quantised = np.round(values * 255).astype(np.uint8)
        change = np.abs(quantised / 255 - values).max()
        return quantised, f"floats quantised to 256 levels, largest change {change:.4f}"
    numbers = values.dtype.kind in "iufb"
    finite = values[np.isfinite(values)] if numbers else values
    ends = f" from {finite.min()} to {finite.max()}" if numbers and finite.size else ""
    if numbers and finite.size < values.size:
        ends += f", {values.size - finite.size:,} of them NaN or infinite"
    raise DataError(
        found=f"{where}: {values.dtype} values{ends}",
        expected="whole numbers in the range 0 to 255 and not only 0 and 1, or floats in [0, 1]",
        do=_advice(values.dtype, finite, values.size),
    )


def _advice(dtype: np.dtype, finite: np.ndarray, count: int) -> str:
    """Advice for values that cannot become levels.

    Arguments:
        finite: the values that are finite; all values if they are not real numbers.
        count: the number of values.
    """
    if dtype.kind == "b":
        return "save images.astype(numpy.uint8) * 255 if True is white"
    if dtype.kind not in "iuf":
        return "save real numbers"
    if finite.size < count:
        return "remove or repair the images where numpy.isfinite(images) is false"
    least, most, whole = finite.min(), finite.max(), dtype.kind in "iu"
    if whole and least >= 0 and most <= 1:
        return "save 255 * images if 1 is white"
    if -1 <= least < -0.5 and most <= 1:
        return "save (images + 1) / 2 as floats if -1 is black and 1 is white"
    if least < 0:
        return "save (images - low) / (high - low) as floats, where low is black and high is white"
    if not whole and most < 1.5:
        return "save numpy.clip(images, 0, 1) if 1 is white and larger values are rounding errors"
    if most <= 255:
        return "save numpy.round(images).astype(numpy.uint8) if 255 is white"
    return "save images / white as floats, where white is " + (
        "65535 for 16 bits, 4095 for 12" if whole else "its value"
    )


def _arrays(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read the arrays with known names; also return the names of the others, which are not read."""
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
                known = [key for key in loaded.files if key.lower() in (*NAMES, "factor_names")]
                others = [key for key in loaded.files if key not in known]
                needed = sum(_bytes_of(path, key) for key in known)
                check_free(str(path), 2 * needed, "save a part of it, or write images alone as images.npy")
                return {key: np.asarray(loaded[key]) for key in known}, others
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror or error})"
        raise DataError(found=f"{path}: {why}", expected="an .npz file with key images", do="check the path") from error
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


# What numpy and zipfile raise for a damaged file; RuntimeError is for an archive that seems to be encrypted.
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    SyntaxError,
    OverflowError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)


def _parts(path: Path, arrays: dict[str, np.ndarray], others: list[str]) -> dict[str, dict[str, str]]:
    """Map each split to the names of its arrays by kind.

    Raises:
        DataError: one array has two names, there are no training images, or labels or factors have no images.
    """
    parts: dict[str, dict[str, str]] = {}
    for key in arrays:
        if key != "factor_names":
            split, kind = NAMES[key.lower()]
            if (other := parts.setdefault(split, {}).setdefault(kind, key)) != key:
                found = f"{path}: {other} and {key}, which are two names for one array"
                raise DataError(found=found, expected="one of them", do="remove the other")
    alone = [key for part in parts.values() if "images" not in part for key in part.values()]
    with_images = [split for split, part in parts.items() if "images" in part]
    if not with_images or alone or ("" in with_images) != (with_images == [""]) or not {"", "train"} & {*with_images}:
        raise DataError(
            found=f"{path}: arrays {', '.join([*arrays, *others]) or '(none)'}"
            + (f", where {alone[0]} has no images" if with_images and alone else ""),
            expected=EXPECTED,
            do="rename the arrays",
        )
    return parts


def _part(path: Path, arrays: dict[str, np.ndarray], named: dict[str, str], factor_names: tuple[str, ...]) -> Raw:
    where, images = f"{path}, {named['images']}", arrays[named["images"]]
    if images.size == 0:
        return raw(where, images)  # raises the error for no images
    values, note = levels(where, _channels_first(where, images))
    labels, factors = (_whole(path, arrays, named.get(kind)) for kind in ("labels", "factors"))
    return raw(where, values, labels, note, factors, factor_names)


def _whole(path: Path, arrays: dict[str, np.ndarray], name: str | None) -> np.ndarray | None:
    return None if name is None else whole(f"{path}, {name}", arrays[name])


def whole(where: str, values: np.ndarray) -> np.ndarray:
    """Return `values`; DataError if they are not integers."""
    if values.dtype.kind in "iu":
        if values.size and values.max() > LARGEST:
            raise DataError(
                found=f"{where}: {values.max()}", expected=f"numbers up to {LARGEST}", do="number the classes from 0"
            )
        return values
    one_hot = values.ndim == 2 and values.dtype.kind in "fb" and bool((values.sum(1) == 1).all())
    do = "store labels.argmax(1) if these are one-hot rows" if one_hot else "store integers"
    raise DataError(found=f"{where}: {values.dtype}", expected="whole numbers", do=do)


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
