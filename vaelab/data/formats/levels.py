"""How the values of an array become levels 0 to 255, and how its labels become classes."""

from typing import Literal

import numpy as np

from vaelab.system.errors import DataError

Kind = Literal["levels", "black and white", "floats"]
LARGEST = np.iinfo(np.int64).max  # the largest label
MOST_CHANGED = 1 / 510  # by rounding to the nearest of 256 levels


def kind_of(where: str, values: np.ndarray) -> Kind:
    """Say what the values are: levels 0 to 255; whole numbers that are all 0 or 1; or floats in [0, 1].

    Raises:
        DataError: they are something else.
    """
    if values.dtype.kind == "b":
        return "black and white"
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 255:
        return "levels" if values.max() > 1 else "black and white"
    if values.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1:  # with a NaN both are false
        return "floats"
    raise _no_levels(where, values)


def as_levels(where: str, values: np.ndarray, kind: Kind) -> np.ndarray:
    """Return values of one kind as uint8 levels of the same shape. 1 of "black and white" becomes 255.

    Raises:
        DataError: the values are of another kind.
    """
    if values.size == 0:
        return values.astype(np.uint8)
    if kind == "levels" and values.dtype == np.uint8:
        return values
    found = kind_of(where, values)
    if found != kind and (found, kind) != ("black and white", "levels"):
        raise _no_levels(where, values, f", where other images are {kind}")
    if kind == "levels":
        return values.astype(np.uint8)
    if kind == "floats":
        return np.round(values * 255).astype(np.uint8)
    integers = values.view(np.uint8) if values.dtype.kind == "b" else values.astype(np.uint8, copy=False)
    return integers * np.uint8(255)


def largest_change(values: np.ndarray, levels: np.ndarray) -> float:
    """The largest change of floats in [0, 1] when they became these levels."""
    return float(np.abs(levels / 255 - values).max())


def whole(where: str, values: np.ndarray) -> np.ndarray:
    """Return `values` as integers; floats that are whole numbers, which MATLAB writes, are converted.

    Raises:
        DataError: they are not whole numbers, or too large.
    """
    if values.dtype.kind == "f" and values.ndim < 3 and values.size:
        one_hot = is_one_hot(values)
        if (
            not one_hot
            and np.isfinite(values).all()
            and (values == np.floor(values)).all()
            and abs(values).max() < 2**53
        ):
            return values.astype(np.int64)
    if values.dtype.kind in "iu":
        if values.size and values.max() > LARGEST:
            raise DataError(
                found=f"{where}: a label {values.max()}",
                expected=f"numbers up to {LARGEST}",
                do="number the classes from 0",
            )
        return values
    raise DataError(found=f"{where}: {values.dtype} values", expected="whole numbers", do="store integers")


def is_one_hot(values: np.ndarray) -> bool:
    """Whether each row of `values` has a single 1 among zeros, for two classes or more."""
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "biuf":
        return False
    return bool(((values == 1).sum(1) == 1).all() and ((values == 0).sum(1) == values.shape[1] - 1).all())


def _no_levels(where: str, values: np.ndarray, why: str = "") -> DataError:
    numbers = values.dtype.kind in "iufb"
    finite = values[np.isfinite(values)] if numbers else values
    ends = f" from {finite.min()} to {finite.max()}" if numbers and finite.size else ""
    if numbers and finite.size < values.size:
        ends += f", {values.size - finite.size:,} of them NaN or infinite"
    return DataError(
        found=f"{where}: {values.dtype} values{ends}{why}",
        expected="whole numbers in the range 0 to 255, or 0 and 1, or floats in [0, 1]",
        do="save all images in one way" if why else _advice(values.dtype, finite, values.size),
    )


def _advice(dtype: np.dtype, finite: np.ndarray, count: int) -> str:
    """Advice for values that cannot become levels.

    Arguments:
        finite: the values that are finite; all values if they are not real numbers.
        count: the number of values.
    """
    if dtype.kind not in "iuf":
        return "save real numbers"
    if finite.size < count:
        return "remove or repair the images where numpy.isfinite(images) is false"
    least, most, integers = finite.min(), finite.max(), dtype.kind in "iu"
    if -1 <= least < -0.5 and most <= 1:
        return "save (images + 1) / 2 as floats if -1 is black and 1 is white"
    if least < 0:
        return "save (images - low) / (high - low) as floats, where low is black and high is white"
    if not integers and most < 1.5:
        return "save numpy.clip(images, 0, 1) if 1 is white and larger values are rounding errors"
    if most <= 255:
        return "save numpy.round(images).astype(numpy.uint8) if 255 is white"
    return "save images / white as floats, where white is " + (
        "65535 for 16 bits, 4095 for 12" if integers else "its value"
    )
