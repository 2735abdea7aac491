"""Read a folder of image files of one size: its splits, its classes and their names."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.data.formats.picture import SUFFIXES, picture, size
from vaelab.system.errors import DataError
from vaelab.system.files import expanded
from vaelab.system.memory import check_free

# The names of the first-level folders of the splits, in any case; a word such as "set" or "images" may follow.
SPELLINGS = {"train": "train|training", "validation": "val|valid|validation|dev", "test": "test|testing"}
_SPLITS = {
    split: re.compile(rf"({spellings})([ _-]?(set|data|images|split))?", re.IGNORECASE)
    for split, spellings in SPELLINGS.items()
}
_LAYOUT = "DIR/train, DIR/val and DIR/test, each with or without a sub-folder for each class"
DEEPEST, LINKS = 20, 1_000  # levels of nested folders, and the number of links to folders that are followed


@dataclass
class _Tree:
    """The files in and below a directory.

    Arguments:
        images: the files that are read as images, in the order of their paths.
        others: the visible files that are not read, each with its kind, such as ".txt".
        hidden: the kinds of the hidden files and folders.
        empty: folders without visible files.
    """

    images: list[Path] = field(default_factory=list)
    others: list[tuple[Path, str]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    links: int = 0  # number of links to folders that were followed

    def left_out(self, folder: Path) -> str:
        """Count what is not read, by kind, in words; "" for nothing."""
        said = [_counted(kind for _, kind in self.others), _counted(self.hidden)]
        if self.empty:
            names = _listed([str(path.relative_to(folder)) for path in self.empty])
            said.append(f"{len(self.empty):,} empty folder{'s' * (len(self.empty) > 1)} ({names})")
        return ", ".join(part for part in said if part)


def read(where: str) -> Contents:
    """Read all images in and below a directory, in the order of their paths: grey (C = 1) or RGB (C = 3).

    First-level folders with the name of a split (see `SPELLINGS`) are the splits. Without such folders, all images are
    training images. The other first-level folders, in the directory or in its splits, are the classes. If the names of
    all classes are whole numbers, these are the labels. Otherwise the label is the index of the folder among the
    classes of all splits, sorted by name, where 2 comes before 10. Links are followed. Hidden files and folders,
    `__MACOSX`, and files that are not images are left out and counted.

    Palettes become RGB, an opaque alpha channel is dropped, and the orientation that a camera recorded is applied.
    Nothing is resized or clipped.

    Raises:
        DataError: there are no images; they differ in size or colour; only some are in sub-folders; there are both
            splits and classes, or splits without training images; no file of a class is read; or `picture` refuses an
            image.
    """
    folder = expanded(where)
    if not folder.is_dir():
        raise DataError(found=f"{folder}: no such folder", expected="a folder of images", do="check the path")
    tree = _Tree()
    _walk(folder, tree, (os.path.realpath(folder),))
    if not tree.images:
        found = f"{folder}: no images" + (f", but {said}" if (said := tree.left_out(folder)) else "")
        raise DataError(found=found, expected=f"files named {', '.join(SUFFIXES)}", do="check the path")
    parts = _splits(folder, tree)
    classes = {split: _classes(base, images) for split, (base, images) in parts.items()}
    for base, _ in parts.values():
        _refuse_lost(tree, base)
    labels = numbered({name for of_split in classes.values() if of_split for name in of_split})
    first = tree.images[0], picture(tree.images[0])
    raws = {
        split: _raw(base, images, None if of_split is None else [labels[name] for name in of_split], first)
        for (split, (base, images)), of_split in zip(parts.items(), classes.values(), strict=True)
    }
    names = {label: name for name, label in labels.items()}
    return Contents(raws["train"], raws.get("validation"), raws.get("test"), names, tree.left_out(folder))


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


def _walk(folder: Path, tree: _Tree, above: tuple[str, ...]) -> None:
    """Add to `tree` what is in and below `folder`; `above` has the real paths of the folders that contain it."""
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise DataError(
            found=f"{folder}: cannot be read ({error.strerror})",
            expected="a folder that you may read",
            do="change its permissions, or move it elsewhere",
        ) from error
    if odd := next((path for path in entries if not _is_text(path.name)), None):
        raise DataError(
            found=f"{odd.parent}: a name that is not UTF-8, {odd.name!r}",
            expected="names in UTF-8",
            do="rename it",
        )
    visible = [path for path in entries if not (path.name.startswith(".") or path.name == "__MACOSX")]
    hidden = {*entries} - {*visible}
    tree.hidden.extend(f"hidden {'folder' if path.is_dir() else 'file'}" for path in hidden)
    if not visible:
        tree.empty.append(folder)
    for path in visible:
        if path.is_dir():
            if (real := os.path.realpath(path)) in above:
                tree.others.append((path, "circular link"))
            else:
                tree.links += path.is_symlink()
                _check_bounds(path, len(above), tree.links)
                _walk(path, tree, (*above, real))
        elif not path.is_file():
            tree.others.append((path, "broken link"))
        elif path.suffix.lower() in SUFFIXES:
            tree.images.append(path)
        else:
            tree.others.append((path, path.suffix.lower() or "extensionless file"))


def _check_bounds(path: Path, depth: int, links: int) -> None:
    """Raise a DataError if folders are nested too deeply, or too many links to folders were followed."""
    if depth > DEEPEST or links > LINKS:
        found = f"more than {DEEPEST} folders deep" if depth > DEEPEST else f"more than {LINKS:,} links to folders"
        raise DataError(found=f"{path}: {found}", expected="DIR/split/class", do="name the folder that contains them")


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8. Python reads other bytes as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def split_of(name: str) -> str | None:
    """The split that this name of a folder stands for, or None."""
    return next((split for split, spelling in _SPLITS.items() if spelling.fullmatch(name)), None)


def _splits(folder: Path, tree: _Tree) -> dict[str, tuple[Path, list[Path]]]:
    """Map each split to its folder and images. Without folders of splits, the whole folder is "train"."""
    images = tree.images
    firsts = {path: _first(folder, path) for path in images}
    named = {first: split for first in dict.fromkeys(firsts.values()) if (split := split_of(first))}
    if not named:
        _refuse_inner_splits(folder, images)
        return {"train": (folder, images)}
    _refuse_lost(tree, folder, splits=True)
    if others := [first or "images" for first in dict.fromkeys(firsts.values()) if first not in named]:
        raise DataError(
            found=f"{folder}: folders of splits ({' and '.join(named)}) next to {_listed(others)}",
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
    return {split: (folder / first, [p for p in images if firsts[p] == first]) for first, split in named.items()}


def _refuse_inner_splits(folder: Path, images: list[Path]) -> None:
    """Raise a DataError if splits are inside other folders, as in classes: test images would become training images."""
    inner = {path.relative_to(folder).parts[:-1]: path for path in images}
    found = {parts[: at + 1]: split for parts in inner for at, part in enumerate(parts) if (split := split_of(part))}
    if len(set(found.values())) > 1:
        shown = ["/".join(parts) for parts in found]
        raise DataError(
            found=f"{folder}: folders of splits inside other folders: {_listed(shown)}",
            expected=_LAYOUT,
            do=f"name the folder that contains them: folder:{folder.joinpath(*next(iter(found))[:-1])}, "
            "or put the splits above the classes",
        )


def _classes(base: Path, images: list[Path]) -> list[str] | None:
    """The name of the class of each image; None if there are no classes."""
    classes = [_first(base, path) for path in images]
    if set(classes) == {""}:
        return None
    if "" in classes:
        raise DataError(
            found=f"{base}: images both in sub-folders and next to them ({images[classes.index('')].name})",
            expected="either all images in sub-folders, which are the classes, or no image in a sub-folder",
            do="move the images",
        )
    return classes


def _refuse_lost(tree: _Tree, base: Path, splits: bool = False) -> None:
    """Raise a DataError if a folder in `base` has files but no image that is read: its class or split would be missing.

    Arguments:
        splits: check only the folders that are named as splits.
    """
    read = {_first(base, path) for path in tree.images if path.is_relative_to(base)}
    lost = [(_first(base, path), kind) for path, kind in tree.others if path.is_relative_to(base)]
    for name in dict.fromkeys(first for first, _ in lost if first and first not in read):
        if split_of(name) if splits else read != {""}:
            kinds = _counted(kind for first, kind in lost if first == name)
            raise DataError(
                found=f"{base / name}: {kinds}, but no image that can be read",
                expected=f"files named {', '.join(SUFFIXES)}, as in the folders next to it",
                do="convert its files, or move the folder elsewhere",
            )


def _raw(base: Path, paths: list[Path], labels: list[int] | None, first: tuple[Path, np.ndarray]) -> Raw:
    known, like = first
    what = f"{base}: {len(paths):,} images of {size(like)}"
    check_free(what, len(paths) * like.nbytes, "make them smaller, or write them as images.npy, which is read in parts")
    images = np.empty((len(paths), *like.shape), np.uint8)
    for index, image in enumerate(_pictures(paths, first)):
        if image.shape != like.shape:
            raise DataError(
                found=f"{paths[index]}: {size(image)}, but {known}: {size(like)}",
                expected="images of one size, all grey or all RGB",
                do="crop, resize or convert them, or put each kind into its own folder",
            )
        images[index] = image
    found = raw(base, images, None if labels is None else np.array(labels))
    return replace(found, names=tuple(path.relative_to(base).as_posix() for path in paths))


def _pictures(paths: list[Path], first: tuple[Path, np.ndarray]) -> Iterator[np.ndarray]:
    for path in paths:
        yield first[1] if path == first[0] else picture(path)


def _first(folder: Path, path: Path) -> str:
    """The name of the first-level folder of `folder` that contains `path`; "" if `path` is directly in `folder`."""
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else ""


def _counted(kinds: Iterable[str]) -> str:
    """Count each kind, in words, the most frequent first."""
    ordered = sorted(Counter(kinds).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {kind}{'s' * (count > 1 and kind[0] != '.')}" for kind, count in ordered)


def _listed(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
