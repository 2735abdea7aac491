"""The names of arrays in files: which of them are the images, labels and factors of which split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaelab.data.formats.options import Options
from vaelab.system.errors import DataError

KINDS = ("images", "labels", "factors")
# The prefixes of the names of arrays for each split; "" means that the file is not divided into splits.
PREFIXES = {"": ("",), "train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
EXPECTED = (
    "images [and labels], or train_images [and val_images, test_images, their ..._labels], or x_train, y_train, ..."
)
Parts = dict[str, dict[str, str]]  # split -> images, labels or factors -> key


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


@dataclass(frozen=True)
class Published:
    """The names in the files of a published data set, which are read if the file has `needs` and no name of `NAMES`."""

    needs: str
    names: Mapping[str, tuple[str, str]]


PUBLISHED = (
    Published(  # dSprites
        "imgs",
        {"imgs": ("", "images"), "latents_classes": ("", "factors")},
    ),
    Published(  # USPS as HDF5, with groups train and test
        "train/data",
        {f"{split}/{name}": (split, kind) for split in ("train", "test") for name, kind in
         (("data", "images"), ("target", "labels"))},
    ),
    Published(  # Omniglot, 28 x 28, as MATLAB file
        "testdata",
        {"data": ("train", "images"), "target": ("train", "labels"), "testdata": ("test", "images"),
         "testtarget": ("test", "labels")},
    ),
)  # fmt: skip


# The factors of published arrays by the name of the array, if it has as many columns. dSprites names them only in a
# pickled object, which is not read.
FACTORS: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    ("latents_classes", "latents_values"), ("color", "shape", "scale", "orientation", "pos_x", "pos_y")
)


@dataclass(frozen=True)
class Choice:
    """Which arrays of a file are read.

    Arguments:
        parts: the keys by split and kind; the split is "" if the file is not divided into splits.
        others: the keys that are not read.
        factor_names: the names of the factors; () if the file has none.
    """

    parts: Parts
    others: list[str]
    factor_names: tuple[str, ...] = ()

    @property
    def keys(self) -> list[str]:
        """The keys that are read."""
        return [key for part in self.parts.values() for key in part.values()]


def choose(where: str, keys: Sequence[str], options: Options) -> Choice:
    """Choose the arrays that `options` names; without names, those with names of `NAMES` or of `PUBLISHED`.

    Raises:
        DataError: an array is missing, one array has two names, there are no training images, or labels or factors have
            no images.
    """
    if options.names:
        return _named(where, keys, options)
    known: Mapping[str, tuple[str, str]] = NAMES
    if not any(NAMES.get(key.lower(), ("", ""))[1] == "images" for key in keys):
        known = next((one.names for one in PUBLISHED if one.needs in keys), NAMES)
    parts: Parts = {}
    for key in keys:
        if key.lower() in known:
            split, kind = known[key.lower()]
            if (other := parts.setdefault(split, {}).setdefault(kind, key)) != key:
                found = f"{where}: {other} and {key}, which are two names for one array"
                raise DataError(
                    found=found,
                    expected="only one of them",
                    do="remove the other from the file, or name the arrays, as in :images=KEY",
                )
    read = [key for part in parts.values() for key in part.values()]
    others = [key for key in keys if key not in read]
    alone = [key for part in parts.values() if "images" not in part for key in part.values()]
    with_images = [split for split, part in parts.items() if "images" in part]
    if not with_images or alone or ("" in with_images) != (with_images == [""]) or not {"", "train"} & {*with_images}:
        raise DataError(
            found=f"{where}: arrays {', '.join([*read, *others]) or '(none)'}"
            + (f", where {alone[0]} has no images" if with_images and alone else ""),
            expected=EXPECTED,
            do="rename the arrays, or say which they are, as in images=KEY:labels=KEY",
        )
    return Choice(parts, others)


def _named(where: str, keys: Sequence[str], options: Options) -> Choice:
    parts: Parts = {}
    for name, key in options.names.items():
        if key not in keys:
            raise DataError(
                found=f"{where}: no array {key}",
                expected=f"one of {', '.join(keys) or '(none)'}",
                do=f"correct {name}={key}",
            )
        prefix, _, kind = name.rpartition("_")
        split = {"": "", "val": "validation", "test": "test"}[prefix]
        parts.setdefault(split, {})[kind] = key
    if len(parts) > 1:
        parts = {split or "train": part for split, part in parts.items()}
    read = [key for part in parts.values() for key in part.values()]
    return Choice(parts, [key for key in keys if key not in read])
