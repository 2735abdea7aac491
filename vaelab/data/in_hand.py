"""Images that are given in Python, as a source of data that is named by the digest of the images."""

import hashlib
from typing import Any

import numpy as np
from torch import Tensor

from vaelab.data.dataset import Contents, Dataset, Raw, Splits, raw
from vaelab.data.sources import ARRAY, ParsedSource, SourceEntry
from vaelab.system.errors import DataError

InHand = np.ndarray | Tensor | Dataset | Splits
DIGITS = 16  # of the digest in the name


def in_hand(images: Any) -> ParsedSource:
    """The source array:DIGEST of these images.

    A `Dataset` is divided into splits as those of other sources are; its own split is ignored. `Splits` stay as they
    are, except that a validation split may be held out of the training images.

    Arguments:
        images: uint8 [N, C, H, W] or [N, H, W], an array or a tensor; a `Dataset`; or `Splits`.

    Raises:
        DataError: they are none of these, or an array does not fit a `Dataset`.
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


def _dataset(images: Any) -> Dataset:
    if getattr(images, "ndim", None) == 3:
        images = images[:, None]
    if not hasattr(images, "shape"):
        raise DataError(
            found=f"data of type {type(images).__name__}",
            expected="an array uint8 [N, C, H, W] or [N, H, W], a vl.Dataset or vl.Splits",
            do="convert them, or name a source, such as 'folder:photos'",
        )
    return Dataset(ARRAY, "train", images, None, "8bit")


def _raw(data: Dataset) -> Raw:
    return raw(data.name, data.images, data.labels, data.note, data.factors, data.factor_names)
