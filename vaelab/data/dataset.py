"""Images, in memory or on disk, and how they are divided into training, validation and test images."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from vaelab.data.checked import checked_images, checked_numbers
from vaelab.data.stored import Images, Stored, blocks
from vaelab.system.errors import DataError, SpecError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of one source.

    Arguments:
        name: the source it came from, as it was asked for ("mnist", "folder:faces").
        split: "train", "validation" or "test".
        images: uint8 [N, C, H, W], levels 0 (black) to 255; those that are on disk are read when they are
            indexed.
        labels: int64 [N], or None.
        protocol: the name of the `Protocol` by which the levels become pixel values.
        note: what must be said beside every number computed on it ("SVHN slice, 900/183"), or "".
        factors: int64 [N, F], which value each of the F factors that made an image has, or None where they are unknown.
        factor_names: F names, unlike each other; () where the factors are unknown.
        class_names: the name of each label that has one.
        originals: `digests` of these images before the protocol changed their levels; None where it changed none.

    Tensors, images in another order of memory and whole numbers of any integer type are converted.

    Raises:
        DataError: other arrays than these, or an unknown split.
        SpecError: an unknown protocol.
    """

    name: str
    split: str
    images: Images
    labels: np.ndarray | None
    protocol: str
    note: str = ""
    factors: np.ndarray | None = None
    factor_names: tuple[str, ...] = ()
    class_names: Mapping[int, str] = field(default_factory=dict)
    originals: np.ndarray | None = None

    def __post_init__(self) -> None:
        from vaelab.data.protocol import protocol  # here, because protocols are of Datasets

        if self.split not in SPLITS:
            found = f"split {self.split!r}"
            raise DataError(found=found, expected=f"one of {', '.join(SPLITS)}", do="choose one of these")
        protocol(self.protocol)
        object.__setattr__(self, "images", checked_images(self.images))
        object.__setattr__(self, "labels", checked_numbers("labels", self.labels, (len(self),)))
        if (self.factors is None) != (not self.factor_names):
            found = f"{len(self.factor_names)} factor names with{'out' if self.factors is None else ''} factors"
            raise DataError(found=found, expected="a name for each factor", do="give both, or neither")
        factors = checked_numbers("factors", self.factors, (len(self), len(self.factor_names)))
        object.__setattr__(self, "factors", factors)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @cached_property
    def sha256(self) -> str:
        """Digest of the images, labels and factors there are: element type, shape and bytes, hexadecimal."""
        return self._hashes[0]

    @cached_property
    def digests(self) -> np.ndarray:
        """A digest of the pixels of each image, bytes of length 16, [N]: equal images have equal ones."""
        return self._hashes[1]

    @cached_property
    def source_digests(self) -> np.ndarray:
        """`digests` of the images as the source has them, without what the protocol did to their levels."""
        if self.originals is not None:
            return self.originals
        if isinstance(self.images, Stored) and not self.images.unprepared:
            return replace(self, images=self.images.without_preparation()).digests
        return self.digests

    def class_name(self, label: int | np.integer) -> str:
        """What the class of this label is called; the label itself where it has no name."""
        return self.class_names.get(int(label), str(label))

    @cached_property
    def in_memory(self) -> np.ndarray:
        """All images, read once if they are on disk."""
        return np.asarray(self.images)

    @cached_property
    def _hashes(self) -> tuple[str, np.ndarray]:
        """`sha256` and `digests`, for which the images are read but once."""
        whole, each = hashlib.sha256(_header(self.images)), np.empty(len(self), "V16")
        place = 0
        for block in blocks(self.images):
            whole.update(block.data)
            some = b"".join([hashlib.blake2b(image.data, digest_size=16).digest() for image in block])
            each[place : place + len(block)] = np.frombuffer(some, "V16")
            place += len(block)
        for array in (self.labels, self.factors):
            if array is not None:
                whole.update(_header(array))
                whole.update(np.ascontiguousarray(array).data)
        return whole.hexdigest(), each

    @cached_property
    def by_content(self) -> np.ndarray:
        """The indices of the images in the order of their digests, [N]: the same however the data are arranged.

        Whoever draws noise visits the images in it: then what is drawn for an image does not hang on its place. It is
        as good as random, so that its first n are a random n of the images.
        """
        labels = np.zeros(len(self)) if self.labels is None else self.labels
        return np.lexsort((labels, self.digests.view("S16")))

    def take(self, indices: np.ndarray, split: str | None = None) -> "Dataset":
        """The images at `indices`, with their labels and factors, in that order; of the same split, or as `split`."""
        labels, factors, originals = (
            None if of_each is None else of_each[indices] for of_each in (self.labels, self.factors, self.originals)
        )
        images = self.images.take(indices) if isinstance(self.images, Stored) else self.images[indices]
        split = split or self.split
        return replace(self, images=images, labels=labels, factors=factors, originals=originals, split=split)

    def some(self, count: int) -> "Dataset":
        """`count` of the images, all if `count` is 0 or there are no more: a random choice, in `by_content` order."""
        return self.take(self.by_content[: count or len(self)])


@dataclass(frozen=True, eq=False)
class Splits:
    """The three splits of one source; `validation` is None when none was asked for.

    Arguments:
        where: the absolute path of the folder or files that were read; "" where none were.
        said: what the user should know about how they were read, a line each.

    Raises:
        DataError: splits of images that differ in shape or protocol.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset
    where: str = ""
    said: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split in (self.validation, self.test):
            if split is not None and (split.shape, split.protocol) != (self.train.shape, self.train.protocol):
                raise DataError(
                    found=f"training images of shape {self.train.shape} read by {self.train.protocol}, "
                    f"{split.split} images of shape {split.shape} read by {split.protocol}",
                    expected="one shape and one protocol",
                    do="make the splits of one data set",
                )


def seen(train: Dataset, data: Dataset) -> int:
    """How many images of `data` are also among the training images: equal pixels, before any noise of a protocol."""
    return int(np.isin(data.source_digests.view("S16"), train.source_digests.view("S16")).sum())


@dataclass(frozen=True, eq=False)
class Raw:
    """What one file or folder holds, before it is a split of anything; the arrays are those of a `Dataset`."""

    images: Images
    labels: np.ndarray | None
    note: str = ""
    factors: np.ndarray | None = None
    factor_names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Contents:
    """What a source holds: training images, and its own validation and test images where it has them.

    Arguments:
        class_names: the name of each label that has one.
        left_out: what was found beside the images and was not read, in words; "" for nothing.
    """

    train: Raw
    validation: Raw | None = None
    test: Raw | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    left_out: str = ""


def raw(
    where: object,
    images: Images,
    labels: np.ndarray | None = None,
    note: str = "",
    factors: np.ndarray | None = None,
    factor_names: tuple[str, ...] = (),
) -> Raw:
    """The checked contents of `where` (the file or files to name in an error).

    Arguments:
        images: uint8 [N, C, H, W], in any memory order.
        labels: whole numbers [N] or [N, 1], of any integer type.
        factors: whole numbers [N, F], of any integer type.
        factor_names: F names; () for factor1, factor2, ...

    Raises:
        DataError: no images; levels 0 and 1 alone, as if 1 were white; or not one label, one row of factors per image,
            or one name per factor.
    """
    if images.nbytes == 0:
        raise DataError(
            found=f"{where}: no pixels (shape {images.shape})",
            expected="at least one image of at least 1 x 1",
            do="check how the file was written",
        )
    if not isinstance(images, Stored) and images.max() == 1:
        raise DataError(
            found=f"{where}: levels 0 and 1 alone, which are two shades of black",
            expected="levels from 0 (black) to 255 (white)",
            do="save 255 times these images if 1 means white",
        )
    if labels is not None and labels.shape == (len(images), 1):
        labels = labels[:, 0]
    if labels is not None and labels.shape != (len(images),):
        several = labels.ndim == 2 and len(labels) == len(images)
        raise DataError(
            found=f"{where}: {len(images):,} images and labels of shape {labels.shape}",
            expected=f"one label per image, shape ({len(images)},)",
            do="save one number for each image (labels.argmax(1) of one-hot rows), or name the array factors"
            if several
            else "pair the images with their own labels",
        )
    whole = None if labels is None else labels.astype(np.int64)
    if not isinstance(images, Stored):
        images = np.ascontiguousarray(images)
    if factors is None:
        return Raw(images, whole, note)
    if factors.ndim != 2 or len(factors) != len(images) or factors.size == 0:
        raise DataError(
            found=f"{where}: {len(images):,} images and factors of shape {factors.shape}",
            expected=f"one row of factors per image, shape ({len(images)}, F)",
            do="pair the images with their own factors",
        )
    names = factor_names or tuple(f"factor{k + 1}" for k in range(factors.shape[1]))
    if len(set(names)) != factors.shape[1]:
        raise DataError(
            found=f"{where}: {factors.shape[1]} factors named {', '.join(names)}",
            expected="one name per factor, each its own",
            do="correct factor_names, or leave them out",
        )
    return Raw(images, whole, note, factors.astype(np.int64), names)


def _header(array: Images) -> bytes:
    return f"{array.dtype.str}{array.shape}".encode()


def validation_count(total: int, validation: float) -> int:
    """How many of `total` training images are kept for validation.

    Arguments:
        validation: 0 for none, a share of the images if below 1, else a whole number of images.

    Raises:
        SpecError: negative, not whole, or nothing left to train on.
    """
    if not validation >= 0 or (validation >= 1 and not float(validation).is_integer()):
        raise SpecError(
            found=f"validation = {validation}",
            expected="0, a share between 0 and 1, or a whole number of images",
            do="choose one of these",
        )
    count = int(validation) if validation == 0 or validation >= 1 else max(1, round(validation * total))
    if count >= total:
        raise SpecError(
            found=f"validation = {validation} takes {count:,} of {total:,} training images",
            expected="at least one image left to train on",
            do="lower validation or take more data",
        )
    return count


def split_off(data: Dataset, count: int, seed: int, split: str) -> tuple[Dataset, Dataset]:
    """Divides `data` at random into the rest and `count` images named `split`, each in the order of the source.

    A pure function of the number of images, `count` and `seed`: the pixels have no say in it.
    """
    assert 0 < count < len(data)
    order = np.random.default_rng(seed).permutation(len(data))
    return data.take(np.sort(order[count:])), data.take(np.sort(order[:count]), split)
