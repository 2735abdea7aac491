"""Check the arrays of a Dataset: convert them if their meaning is certain, otherwise raise an error of one line."""

from typing import Any

import numpy as np

from vaelab.data.stored import Images, Stored
from vaelab.system.errors import DataError

# Numbers of channels: a last axis of one of them is read as channels if the second axis is of none.
CHANNELS = (1, 3), (1, 2, 3, 4)


def checked_images(images: Any) -> Images:
    """Return `images` as uint8 [N, C, H, W], C-contiguous. A tensor becomes an array; images on disk are unchanged.

    Raises:
        DataError: the type, element type or order of axes is another one, or there are no pixels.
    """
    if isinstance(images, Stored):
        return images
    array = _array("images", images)
    if array.dtype != np.uint8:
        raise DataError(
            found=f"images of {array.dtype}{_ends(array)}",
            expected="uint8 levels from 0 (black) to 255 (white)",
            do=_towards_levels(array),
        )
    if array.ndim != 4:
        raise DataError(
            found=f"images of shape {array.shape}",
            expected="four axes, [N, C, H, W]",
            do="add the axis of channels: images[:, None]" if array.ndim == 3 else "reshape the images",
        )
    if array.nbytes == 0:
        raise DataError(found=f"no pixels (shape {array.shape})", expected="one image or more", do="add images")
    if any(array.shape[3] in channels and array.shape[1] not in channels for channels in CHANNELS):
        raise DataError(
            found=f"images of shape {array.shape}, with channels last",
            expected="channels second, [N, C, H, W]",
            do="transpose them: images.transpose(0, 3, 1, 2) of an array, images.permute(0, 3, 1, 2) of a tensor",
        )
    return np.ascontiguousarray(array)


def checked_numbers(what: str, numbers: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return `numbers` as int64 of this shape; None for None. They may have any integer type.

    Raises:
        DataError: the shape is another one, or the numbers are not integers.
    """
    if numbers is None:
        return None
    array = _array(what, numbers)
    if array.shape != shape:
        found = f"{what} of shape {array.shape}"
        raise DataError(found=found, expected=f"shape {shape}", do=f"give the {what} of these images")
    if array.dtype.kind not in "iu":
        found = f"{what} of {array.dtype}"
        raise DataError(
            found=found, expected="whole numbers", do="number the classes: numpy.unique(..., return_inverse=True)"
        )
    return array.astype(np.int64, copy=False)


def _array(what: str, values: Any) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    if not hasattr(values, "numpy"):
        raise DataError(
            found=f"{what} of type {type(values).__name__}",
            expected="a NumPy array or a tensor",
            do=f"convert them: numpy.asarray({what})",
        )
    return values.numpy(force=True)  # force: the tensor may be on a GPU or require gradients


def _ends(array: np.ndarray) -> str:
    if array.size == 0 or array.dtype.kind not in "iuf":
        return ""
    return " with NaN" if np.isnan(array).any() else f" from {array.min():g} to {array.max():g}"


def _towards_levels(array: np.ndarray) -> str:
    """Advice: how values of another type become levels."""
    if array.dtype.kind == "b":
        return "multiply them by 255: images.astype(numpy.uint8) * 255"
    if array.dtype.kind not in "iuf" or array.size == 0:
        return "convert them to levels"
    if np.isnan(array).any():
        return "remove the NaN values"
    if array.min() < 0 or array.max() > 255:
        return "scale them to that range, and round them"
    if array.max() <= 1:
        return "multiply them by 255: (images * 255).round().astype(numpy.uint8)"
    return "round them: images.round().astype(numpy.uint8)"
