"""Images, in memory or on disk, and their division into training, validation and test images."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from vaelab.data.checked import checked_images, checked_numbers
from vaelab.data.stored import Images, Stored, blocks
from vaelab.system.errors import DataError

SPLITS = ("train", "validation", "test")
LONGEST_CLASS = 255  # characters of the name of a class: a folder has no longer name


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """One split of one source.

    Arguments:
        name: the source, as the user wrote it ("mnist", "folder:faces").
        split: "train", "validation" or "test".
        images: uint8 [N, C, H, W], levels 0 (black) to 255. Images on disk are read when they are indexed.
        labels: int64 [N], or None.
        protocol: the name of the `Protocol` that turns the levels into pixel values.
        note: a text to show with every number computed on these images ("SVHN slice, 900/183"), or "".
        factors: int64 [N, F], the value of each of the F generative factors of an image; None if they are unknown.
        factor_names: F different names; () if the factors are unknown.
        class_names: the names of the labels, of at most `LONGEST_CLASS` characters; a label may have no name.
        originals: `digests` of the images before the protocol changed their levels; None if it changed none.

    The constructor converts tensors, images in another memory order, and integers of any type.

    Raises:
        DataError: an array does not fit this description, or the split is unknown.
        SpecError: the protocol is unknown.
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
        from vaelab.data.protocol import protocol  # here, because the module of protocols imports this one

        if self.split not in SPLITS:
            found = f"split {self.split!r}"
            raise DataError(found=found, expected=f"one of {', '.join(SPLITS)}", do="choose one of these")
        protocol(self.protocol)
        check_class_names(self.class_names.values())
        object.__setattr__(self, "images", checked_images(self.images))
        object.__setattr__(self, "labels", checked_numbers("labels", self.labels, (len(self),)))
        if (self.factors is None) != (not self.factor_names):
            found = f"{len(self.factor_names)} factor names with{'out' if self.factors is None else ''} factors"
            raise DataError(found=found, expected="a name for each factor", do="give both or neither")
        factors = checked_numbers("factors", self.factors, (len(self), len(self.factor_names)))
        object.__setattr__(self, "factors", factors)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        """What it is, without its pixels."""
        said = [f"{self.split} images of {self.name}: {len(self):,} of {list(self.shape)}", self.protocol]
        said += [what for what in ("labels", "factors") if getattr(self, what) is not None]
        return f"Dataset({', '.join(said)})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @cached_property
    def sha256(self) -> str:
        """Digest of images, labels and factors (element type, shape and bytes), hexadecimal."""
        return self._hashes[0]

    @cached_property
    def digests(self) -> np.ndarray:
        """A digest of the pixels of each image, 16 bytes each, [N]. Equal images have equal digests."""
        return self._hashes[1]

    @cached_property
    def source_digests(self) -> np.ndarray:
        """`digests` of the images as they are in the source, before the protocol changed their levels."""
        if self.originals is not None:
            return self.originals
        if isinstance(self.images, Stored) and not self.images.unprepared:
            return replace(self, images=self.images.without_preparation()).digests
        return self.digests

    def class_name(self, label: int | np.integer) -> str:
        """The name of the class of this label; the label itself if the class has no name."""
        return self.class_names.get(int(label), str(label))

    @cached_property
    def in_memory(self) -> np.ndarray:
        """All images in memory. Images on disk are read once."""
        return np.asarray(self.images)

    @cached_property
    def _hashes(self) -> tuple[str, np.ndarray]:
        """`sha256` and `digests`, computed in one pass over the images."""
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
        """The indices of the images in the order of their digests, [N]. The order does not depend on the order of data.

        Code that draws noise visits the images in this order: then the noise of an image does not depend on its index.
        The order is effectively random, so the first n are a random choice of n images.
        """
        labels = np.zeros(len(self)) if self.labels is None else self.labels
        return np.lexsort((labels, self.digests.view("S16")))

    def take(self, indices: np.ndarray, split: str | None = None) -> "Dataset":
        """The images at `indices` in that order, with their labels and factors; `split` names the result, if given."""
        labels, factors, originals = (
            None if of_each is None else of_each[indices] for of_each in (self.labels, self.factors, self.originals)
        )
        images = self.images.take(indices) if isinstance(self.images, Stored) else self.images[indices]
        split = split or self.split
        return replace(self, images=images, labels=labels, factors=factors, originals=originals, split=split)

    def some(self, count: int) -> "Dataset":
        """A random choice of `count` images, in `by_content` order; all images if `count` is 0 or larger than N."""
        return self.take(self.by_content[: count or len(self)])


@dataclass(frozen=True, eq=False)
class Splits:
    """The three splits of one source; `validation` is None if there is no validation split.

    Arguments:
        where: the absolute path of the folder or files that were read; "" if no file was read.
        said: lines for the user about how the source was read.

    Raises:
        DataError: the splits differ in image shape or protocol.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset
    where: str = ""
    said: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The splits, a line each."""
        return "\n".join(["Splits", *(f"  {split}" for split in (self.train, self.validation, self.test) if split)])

    def __post_init__(self) -> None:
        for split in (self.validation, self.test):
            if split is not None and (split.shape, split.protocol) != (self.train.shape, self.train.protocol):
                raise DataError(
                    found=f"training images of shape {self.train.shape} read by {self.train.protocol}, "
                    f"{split.split} images of shape {split.shape} read by {split.protocol}",
                    expected="one shape and one protocol",
                    do="make all splits from one data set",
                )


def seen(train: Dataset, data: Dataset) -> int:
    """Count the images of `data` that are also training images: equal pixels, before any noise of a protocol."""
    return int(np.isin(data.source_digests.view("S16"), train.source_digests.view("S16")).sum())


@dataclass(frozen=True, eq=False)
class Raw:
    """The contents of one file or folder, before they become a split; the arrays are those of a `Dataset`."""

    images: Images
    labels: np.ndarray | None
    note: str = ""
    factors: np.ndarray | None = None
    factor_names: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # of the files, one for each image; () if the images are not files


@dataclass(frozen=True, eq=False)
class Contents:
    """The contents of a source: training images, and validation and test images if the source has its own.

    Arguments:
        class_names: the names of the labels; a label may have no name.
        left_out: a description of what was found but not read; "" for nothing.
        said: lines for the user about how the source was read.
    """

    train: Raw
    validation: Raw | None = None
    test: Raw | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    left_out: str = ""
    said: tuple[str, ...] = ()


def check_class_names(names: Iterable[str]) -> None:
    """Raise a DataError if the name of a class is too long to be shown, or to be a number."""
    if long := next((name for name in names if len(name) > LONGEST_CLASS), None):
        raise DataError(
            found=f"a name of a class of {len(long):,} characters, {long[:20]}...",
            expected=f"at most {LONGEST_CLASS}",
            do="shorten it",
        )


def raw(
    where: object,
    images: Images,
    labels: np.ndarray | None = None,
    note: str = "",
    factors: np.ndarray | None = None,
    factor_names: tuple[str, ...] = (),
) -> Raw:
    """Check the contents of `where` (the file or files that an error names), and return them.

    Arguments:
        images: uint8 [N, C, H, W], in any memory order.
        labels: integers [N] or [N, 1], of any integer type.
        factors: integers [N, F], of any integer type.
        factor_names: F names; () for factor1, factor2, ...

    Raises:
        DataError: there are no images; all levels are 0 or 1; or the number of labels, rows of factors or names of
            factors is wrong.
    """
    if images.nbytes == 0:
        raise DataError(
            found=f"{where}: no pixels (shape {images.shape})",
            expected="one image or more, of 1 x 1 pixels or more",
            do="check how the file was written",
        )
    if not isinstance(images, Stored) and images.max() == 1:
        raise DataError(
            found=f"{where}: only the levels 0 and 1, which both look black",
            expected="levels from 0 (black) to 255 (white)",
            do="if 1 means white, multiply the images by 255 and save them again",
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
            else "give the labels of these images",
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
            do="give the factors of these images",
        )
    names = factor_names or tuple(f"factor{k + 1}" for k in range(factors.shape[1]))
    if len(set(names)) != factors.shape[1]:
        raise DataError(
            found=f"{where}: {factors.shape[1]} factors named {', '.join(names)}",
            expected="a different name for each factor",
            do="correct factor_names, or leave it out",
        )
    return Raw(images, whole, note, factors.astype(np.int64), names)


def _header(array: Images) -> bytes:
    return f"{array.dtype.str}{array.shape}".encode()
