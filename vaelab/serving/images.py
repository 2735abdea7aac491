"""Turn what a user has in hand into images of a model: arrays, tensors and pictures, one or many."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vaelab.data.conversion import AS_STORED, Conversion, convert_image
from vaelab.data.dataset import Dataset
from vaelab.data.protocol import prepare, protocol
from vaelab.models import VAE
from vaelab.system.errors import DataError, SpecError

NAME = "images"  # the name of a Dataset of images in hand
ROUNDING = 1e-4  # of values in [0, 1]: what float32 arithmetic may leave outside


def dataset_of(
    model: VAE, images: Any, labels: Any = None, conversion: Conversion = AS_STORED, name: str = NAME
) -> Dataset:
    """Return images in hand as a Dataset of the model's shape and protocol.

    Arguments:
        images: a Dataset; or one image or many, as PIL images, an array or a tensor: uint8 levels, bools, or floats in
            [0, 1], which are rounded to levels; [C, H, W] or [H, W, C], with or without a batch axis, and without an
            axis of channels if they are grey.
        labels: one label or name of a class, or one for each image. Only a conditional model needs them.
        conversion: how PIL images become levels, such as their size.

    Raises:
        DataError: the images have another shape, type or range of values.
        SpecError: a label is missing or unknown, or the images were read by another protocol.
    """
    if isinstance(images, Dataset):
        if labels is None:
            return images
        return replace(images, labels=labels_of(model, labels, len(images)), class_names=names_of(model))
    levels = levels_of(images, model.image_shape, conversion)
    numbers = None if labels is None else labels_of(model, labels, len(levels))
    if model.protocol is None:
        raise SpecError(
            found="a model without a protocol",
            expected="one that vaelab trained, which says how pixels are read",
            do="give a vl.Dataset, which names its protocol",
        )
    return as_read(Dataset(name, "test", levels, numbers, model.protocol, class_names=names_of(model)), model.protocol)


def as_read(data: Dataset, name: str) -> Dataset:
    """Prepare levels as stored for protocol `name`. The noise of an image depends on its pixels only."""
    chosen = protocol(name)
    if not chosen.draws:
        return prepare(data, name)
    seeds = [int.from_bytes(digest.tobytes()[:8]) for digest in data.digests]
    each = [chosen.prepare(image[None], seed) for image, seed in zip(np.asarray(data.images), seeds, strict=True)]
    return replace(data, images=np.concatenate(each), protocol=name, originals=data.digests)


def names_of(model: VAE) -> Mapping[int, str]:
    """The names of the classes that the model is conditioned on."""
    return {} if model.labels is None else model.labels.names


def labels_of(model: VAE, labels: Any, count: int) -> np.ndarray:
    """Return one label for each of `count` images, int64 [count]; a single label is repeated.

    Raises:
        SpecError: the model has no labels or does not know one of these, or their number is another.
    """
    if model.labels is None:
        raise SpecError(
            found="labels for a model that is not conditioned on labels",
            expected="no labels",
            do="leave them out, or train with --condition labels",
        )
    known = model.labels.known(labels).cpu().numpy()
    if known.shape not in ((), (1,), (count,)):
        found = f"{known.size:,} labels for {count:,} images"
        raise SpecError(found=found, expected="one for all, or one for each", do="change their number")
    return np.broadcast_to(known, (count,)).astype(np.int64)


def levels_of(images: Any, shape: tuple[int, ...], conversion: Conversion = AS_STORED) -> np.ndarray:
    """Return images in hand as uint8 levels [N, C, H, W], where `shape` is (C, H, W); see `dataset_of`."""
    if isinstance(images, list | tuple) and images:
        return np.concatenate([levels_of(image, shape, conversion) for image in images])
    array = _array(images, conversion)
    return np.require(_levels(_in_order(array, tuple(shape))), requirements=["C", "W"])


def _array(images: Any, conversion: Conversion) -> np.ndarray:
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


def _in_order(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array as [N, C, H, W]. Channels first are tried before channels last."""
    c, h, w = shape
    if array.shape[-3:] == shape and array.ndim in (3, 4):
        return array.reshape(-1, *shape)
    if array.shape[-3:] == (h, w, c) and array.ndim in (3, 4):
        return np.moveaxis(array.reshape(-1, h, w, c), -1, 1)
    if c == 1 and array.shape[-2:] == (h, w) and array.ndim in (2, 3):
        return array.reshape(-1, 1, h, w)
    raise DataError(
        found=f"images of shape {array.shape}",
        expected=f"{_listed(_shapes(c, h, w))}: this model's images are {h} x {w} with {c} channel{'s' * (c > 1)}",
        do="resize or crop them, or reorder the axes",
    )


def _shapes(c: int, h: int, w: int) -> list[str]:
    return [f"[N, {c}, {h}, {w}]", f"[N, {h}, {w}, {c}]", *([f"[N, {h}, {w}]"] if c == 1 else [])]


def _listed(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _levels(array: np.ndarray) -> np.ndarray:
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
