"""Turn what a user has in hand into images of a model: arrays, tensors and pictures, one or many."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vaelab.data.conversion import AS_STORED, Conversion
from vaelab.data.dataset import Dataset
from vaelab.data.in_hand import array_of, levels_of_values
from vaelab.data.protocol import prepare, protocol
from vaelab.models import VAE
from vaelab.system.errors import DataError, SpecError

NAME = "images"  # the name of a Dataset of images in hand


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
    array = array_of(images, conversion)
    return np.require(levels_of_values(_in_order(array, tuple(shape))), requirements=["C", "W"])


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
