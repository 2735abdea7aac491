"""Images that are given in Python, as a source of data that is named by the digest of the images."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from vaelab.data.conversion import AS_STORED, Conversion, convert_image
from vaelab.data.dataset import Contents, Dataset, Raw, Splits, raw
from vaelab.data.formats.folder import numbered
from vaelab.data.formats.layout import layout_of
from vaelab.data.formats.levels import largest_change
from vaelab.data.formats.options import Options
from vaelab.data.sources import ARRAY, ParsedSource, SourceEntry
from vaelab.system.errors import DataError

InHand = np.ndarray | Tensor | Dataset | Splits | list[Any] | tuple[Any, Any]
DIGITS = 16  # of the digest in the name
ROUNDING = 1e-4  # of values in [0, 1]: what float32 arithmetic may leave outside


def in_hand(images: Any) -> ParsedSource:
    """The source array:DIGEST of these images.

    A `Dataset` is divided into splits as those of other sources are; its own split is ignored. `Splits` stay as they
    are, except that a validation split may be held out of the training images.

    Arguments:
        images: an array or a tensor [N, H, W], [N, C, H, W] or [N, H, W, C] of uint8 levels, bools, or floats in
            [0, 1]; a list of such images or of PIL images; a tuple of two, (images, labels), where labels are whole
            numbers or names of classes [N]; a `Dataset`; or `Splits`. Of four axes, the channels are found as in a file
            (see `vaelab.data.formats.layout`).

    Raises:
        DataError: they are none of these, or the labels do not fit the images.
    """
    if isinstance(images, Splits):
        splits: dict[str, Dataset | None] = {
            "train": images.train, "validation": images.validation, "test": images.test,
        }  # fmt: skip
    else:
        splits = {"train": images if isinstance(images, Dataset) else _dataset(images)}
    train = splits["train"]
    assert train is not None
    held = {split: data for split, data in splits.items() if data is not None}
    digest = hashlib.sha256(" ".join(f"{split} {data.sha256}" for split, data in held.items()).encode())
    validation, test = (None if data is None else _raw(data) for data in map(splits.get, ("validation", "test")))
    contents = Contents(_raw(train), validation, test, train.class_names)
    entry = SourceEntry("images given in Python", train.protocol, lambda _: contents)
    return ParsedSource(f"{ARRAY}:{digest.hexdigest()[:DIGITS]}", entry, "")


def _dataset(given: Any) -> Dataset:
    images, labels = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    if isinstance(images, Dataset | Splits):
        raise DataError(
            found=f"a {type(images).__name__} with other labels",
            expected="(images, labels), where images are an array",
            do="give the labels to vl.Dataset",
        )
    array = _stacked(images) if isinstance(images, list | tuple) and images else array_of(images)
    levels, note = levels_of_values(array), ""
    if array.dtype.kind == "f" and array.size:
        note = f"floats quantised to 256 levels, largest change {largest_change(array, levels):.4f}"
    numbers, names = (None, {}) if labels is None else _labels(labels, len(array))
    return Dataset(ARRAY, "train", _with_axes(levels), numbers, "8bit", note, class_names=names)


def _stacked(images: Sequence[Any]) -> np.ndarray:
    arrays = [array_of(image) for image in images]
    if len(kinds := {(array.shape, array.dtype): None for array in arrays}) > 1:
        (one, of_one), (other, of_other) = list(kinds)[:2]
        raise DataError(
            found=f"images of shape {one} of {of_one}, and of shape {other} of {of_other}",
            expected="images of one shape and one type",
            do="resize or convert them; pairs of images and labels are a tuple, (images, labels)",
        )
    return np.stack(arrays)


def _with_axes(levels: np.ndarray) -> np.ndarray:
    """The images as [N, C, H, W]."""
    if levels.size == 0:
        raise DataError(found=f"no pixels (shape {levels.shape})", expected="one image or more", do="add images")
    try:
        return layout_of("images", levels.shape, Options({})).images(levels)
    except DataError as error:
        raise DataError(
            found=f"images of shape {levels.shape}"
            + ", where the axis of the channels is not certain" * (levels.ndim == 4),
            expected="[N, H, W], [N, C, H, W] or [N, H, W, C]",
            do="give a vl.Dataset, whose images are [N, C, H, W]" if levels.ndim == 4 else "reshape the images",
        ) from error


def _labels(labels: Any, count: int) -> tuple[np.ndarray, dict[int, str]]:
    """A whole number for each of `count` images, and the names of the classes if the labels are text."""
    array = labels.numpy(force=True) if hasattr(labels, "numpy") else np.asarray(labels)
    if array.shape != (count,):
        found = f"{count:,} images and labels of shape {array.shape}"
        raise DataError(found=found, expected=f"one label per image, shape ({count},)", do="give one for each image")
    if array.dtype.kind in "iu":
        return array, {}
    if array.dtype.kind not in "UO" or not all(isinstance(label, str) for label in array):
        raise DataError(
            found=f"labels of {array.dtype}",
            expected="whole numbers, or text: the names of the classes",
            do="convert them: labels.astype(int) or labels.astype(str)",
        )
    numbers = numbered({*array.tolist()})
    return np.array([numbers[name] for name in array.tolist()]), {label: name for name, label in numbers.items()}


def array_of(images: Any, conversion: Conversion = AS_STORED) -> np.ndarray:
    """Images in hand as an array: an array or a tensor as it is, an image of PIL as [C, H, W].

    Raises:
        DataError: they are something else, or the image cannot be converted.
    """
    if isinstance(images, np.ndarray):
        return images
    if hasattr(images, "numpy"):  # a tensor
        return images.numpy(force=True)
    if hasattr(images, "getbands"):  # an image of PIL
        return convert_image(images, conversion, "a PIL image")
    raise DataError(
        found=f"images of type {type(images).__name__}",
        expected="a path, PIL images, a NumPy array or a tensor",
        do="convert them: numpy.asarray(images)",
    )


def levels_of_values(array: np.ndarray) -> np.ndarray:
    """The values of images as uint8 levels: of levels, bools, or floats in [0, 1], which are rounded to levels.

    Raises:
        DataError: they are something else.
    """
    if array.dtype == np.uint8:
        if array.size and array.max() == 1:
            raise DataError(
                found="uint8 images with only the levels 0 and 1, which both look black",
                expected="levels from 0 (black) to 255 (white)",
                do="if 1 means white, multiply the images by 255",
            )
        return array
    if array.dtype == np.bool_:
        return array * np.uint8(255)
    if array.dtype.kind != "f":
        found, do = f"images of {array.dtype}", "convert levels to uint8: images.astype(numpy.uint8)"
        raise DataError(found=found, expected="uint8 levels, bools, or floats in [0, 1]", do=do)
    if not np.isfinite(array).all():
        found = "images with NaN or infinite values"
        raise DataError(found=found, expected="values in [0, 1]", do="remove or replace these images")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise DataError(
            found=f"float images from {low:g} to {high:g}",
            expected="floats in [0, 1], or uint8 levels",
            do="divide them by 255" if low >= 0 and high <= 255 else "scale them to [0, 1]",
        )
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def _raw(data: Dataset) -> Raw:
    return raw(data.name, data.images, data.labels, data.note, data.factors, data.factor_names)
