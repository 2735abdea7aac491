"""Read a folder of image files: its splits, its classes and their names."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.data.decoded_cache import decoded_once
from vaelab.data.formats.decode import Decoded, decode
from vaelab.data.formats.picture import SUFFIXES
from vaelab.data.formats.tree import Tree, counted, listed, walk
from vaelab.data.labelling import class_names
from vaelab.data.reading import AS_FOUND, Reading
from vaelab.system.errors import DataError
from vaelab.system.files import expanded

# The names of the first-level folders of the splits, in any case; a word such as "set" or "images" may follow.
SPELLINGS = {"train": "train|training", "validation": "val|valid|validation|dev", "test": "test|testing"}
_SPLITS = {
    split: re.compile(rf"({spellings})([ _-]?(set|data|images|split))?", re.IGNORECASE)
    for split, spellings in SPELLINGS.items()
}
_LAYOUT = "DIR/train, DIR/val and DIR/test, each with or without a sub-folder for each class"


def read(where: str, reading: Reading = AS_FOUND) -> Contents:
    """Read all images in and below a directory, in the order of their paths: grey (C = 1) or RGB (C = 3).

    First-level folders with the name of a split (see `SPELLINGS`) are the splits. Without such folders, all images are
    training images. The other first-level folders, in the directory or in its splits, are the classes, unless `reading`
    says where the labels are. If the names of all classes are whole numbers, these are the labels. Otherwise the label
    is the index of the class among the classes of all splits, sorted by name, where 2 comes before 10. Links are
    followed. Hidden files and folders, `__MACOSX`, and files that are not images are left out and counted.

    Palettes become RGB, an opaque alpha channel is dropped, and the orientation that a camera recorded is applied.
    Nothing else is converted unless `reading.conversion` says so.

    Raises:
        DataError: there are no images; they differ in size or colour; only some are in sub-folders; there are both
            splits and classes, or splits without training images; no file of a class is read; images cannot be read;
            or their labels cannot be found.
    """
    folder = expanded(where)
    if not folder.is_dir():
        raise DataError(found=f"{folder}: no such folder", expected="a folder of images", do="check the path")
    tree = walk(folder)
    if not tree.images:
        found = f"{folder}: no images" + (f", but {said}" if (said := tree.left_out()) else "")
        raise DataError(found=found, expected=f"files named {', '.join(SUFFIXES)}", do="check the path")
    names = list(tree.images)

    def decoded() -> tuple[Decoded, tuple[str, ...]]:
        return decoded_once(
            folder,
            tree.images,
            reading.conversion,
            make=lambda: decode(folder, names, reading.conversion),
            unchanged=lambda: walk(folder).images == tree.images,
        )

    return of_tree(f"folder:{where}", tree, reading, decoded)


def of_tree(
    source: str, tree: Tree, reading: Reading, decoded: Callable[[], tuple[Decoded, tuple[str, ...]]]
) -> Contents:
    """The images of a tree with one image or more, by the rules of `read`.

    Arguments:
        source: names the tree in the lines for the user.
        decoded: the images in the order of `tree.images`, and lines for the user. It is called after the splits and
            labels were found.

    Raises:
        DataError: as `read`, or as `decoded`.
    """
    names, where = list(tree.images), tree.folder
    parts = _splits(tree, names)
    if reading.labels is None:
        classes = {split: _classes(where / base, base, names[part]) for split, (base, part) in parts.items()}
    else:
        named = class_names(reading.labels, where, names)
        classes = {split: named[part] for split, (_, part) in parts.items()}
    for base, _ in parts.values():
        _refuse_lost(tree, base)
    labels = numbered({name for of_split in classes.values() if of_split for name in of_split})
    found, said = decoded()
    raws = dict[str, Raw]()
    for split, (base, part) in parts.items():
        numbers = None if (of_split := classes[split]) is None else np.array([labels[name] for name in of_split])
        of_part = raw(where / base, found.images[part], numbers)
        raws[split] = replace(of_part, names=tuple(name[len(base) + bool(base) :] for name in names[part]))
    names_of = {label: name for name, label in labels.items()}
    said += found.said(source, reading.conversion)
    return Contents(raws["train"], raws.get("validation"), raws.get("test"), names_of, tree.left_out(), said)


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Return the label of each class by its name, in ascending order of the labels."""
    ordered = sorted(names, key=lambda name: (_natural(name), name))
    whole = [int(name) for name in ordered if re.fullmatch("[0-9]{1,18}", name)]
    if len(set(whole)) == len(ordered):
        return dict(zip(ordered, whole, strict=True))
    return {name: label for label, name in enumerate(ordered)}


def _natural(name: str) -> list[str | int]:
    """A key that sorts numbers in names by their value: 2 before 10."""
    return [int(part) if at % 2 else part for at, part in enumerate(re.split("([0-9]+)", name))]


def split_of(name: str) -> str | None:
    """The split that this name of a folder stands for, or None."""
    return next((split for split, spelling in _SPLITS.items() if spelling.fullmatch(name)), None)


def _splits(tree: Tree, names: list[str]) -> dict[str, tuple[str, slice]]:
    """Map each split to its folder in the tree and its images, which follow each other in `names`.

    Without folders of splits, the whole folder "" is "train".
    """
    folder, firsts = tree.folder, [_first("", name) for name in names]
    named = {first: split for first in dict.fromkeys(firsts) if (split := split_of(first))}
    if not named:
        _refuse_inner_splits(folder, names)
        return {"train": ("", slice(len(names)))}
    _refuse_lost(tree, "", splits=True)
    if others := [first or "images" for first in dict.fromkeys(firsts) if first not in named]:
        raise DataError(
            found=f"{folder}: folders of splits ({' and '.join(named)}) next to {listed(others)}",
            expected=f"only splits ({_LAYOUT}), or only classes",
            do="move the classes into the splits, or rename the folders that are not splits",
        )
    for split in SPELLINGS:
        if len(same := [first for first, of in named.items() if of == split]) > 1:
            found = f"{folder}: {' and '.join(same)}, which are both names of the {split} split"
            raise DataError(found=found, expected="one folder for each split", do="merge them, or rename one")
    if "train" not in named.values():
        raise DataError(
            found=f"{folder}: {' and '.join(named)} without training images",
            expected="DIR/train next to them",
            do=f"add it, or use one of these folders alone: folder:{folder / next(iter(named))}",
        )
    starts = {first: firsts.index(first) for first in named}
    return {split: (first, slice(starts[first], starts[first] + firsts.count(first))) for first, split in named.items()}


def _refuse_inner_splits(folder: Path, names: list[str]) -> None:
    """Raise a DataError if splits are inside other folders, as in classes: test images would become training images."""
    inner = dict.fromkeys(name.rpartition("/")[0] for name in names)
    paths = [tuple(path.split("/")) for path in inner if path]
    found = {parts[: at + 1]: split for parts in paths for at, part in enumerate(parts) if (split := split_of(part))}
    if len(set(found.values())) > 1:
        shown = ["/".join(parts) for parts in found]
        raise DataError(
            found=f"{folder}: folders of splits inside other folders: {listed(shown)}",
            expected=_LAYOUT,
            do=f"name the folder that contains them: folder:{folder.joinpath(*next(iter(found))[:-1])}, "
            "or put the splits above the classes",
        )


def _classes(folder: Path, base: str, names: list[str]) -> list[str] | None:
    """The name of the class of each image in `folder`, which is `base` in the tree; None if there are no classes."""
    classes = [_first(base, name) for name in names]
    if set(classes) == {""}:
        return None
    if "" in classes:
        beside = names[classes.index("")].rpartition("/")[2]
        raise DataError(
            found=f"{folder}: images both in sub-folders and next to them ({beside})",
            expected="either all images in sub-folders, which are the classes, or no image in a sub-folder",
            do="move the images, or use --labels",
        )
    return classes


def _refuse_lost(tree: Tree, base: str, splits: bool = False) -> None:
    """Raise a DataError if a folder in `base` has files but no image that is read: its class or split would be missing.

    Arguments:
        splits: check only the folders that are named as splits.
    """
    inside = f"{base}/" if base else ""
    if not (lost := [(_first(base, name), kind) for name, kind in tree.others if name.startswith(inside)]):
        return
    read = {_first(base, name) for name in tree.images if name.startswith(inside)}
    for name in dict.fromkeys(first for first, _ in lost if first and first not in read):
        if split_of(name) if splits else read != {""}:
            kinds = counted(kind for first, kind in lost if first == name)
            raise DataError(
                found=f"{tree.folder / base / name}: {kinds}, but no image that can be read",
                expected=f"files named {', '.join(SUFFIXES)}, as in the folders next to it",
                do="convert its files, or move the folder elsewhere",
            )


def _first(base: str, name: str) -> str:
    """The first-level folder of `base` that the file `name` is in; "" if it is directly in `base`."""
    first, slash, _ = name[len(base) + 1 if base else 0 :].partition("/")
    return first if slash else ""
