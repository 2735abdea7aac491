"""A folder of image files of one size: its splits, its classes and their names."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.data.formats.picture import SUFFIXES, picture, size
from vaelab.system.errors import DataError
from vaelab.system.files import expanded
from vaelab.system.memory import check_free

# How the first-level folders of the splits are called, in any case and with a word such as "set" or "images" behind.
SPELLINGS = {"train": "train|training", "validation": "val|valid|validation|dev", "test": "test|testing"}
_SPLITS = {
    split: re.compile(rf"({spellings})([ _-]?(set|data|images|split))?", re.IGNORECASE)
    for split, spellings in SPELLINGS.items()
}
_LAYOUT = "DIR/train, DIR/val and DIR/test, each with or without a sub-folder for each class"
DEEPEST, LINKS = 20, 1_000  # folders below each other, and links to folders that are followed


@dataclass
class _Tree:
    """What stands in and below a directory.

    Arguments:
        images: the files that are read as images, in the order of their paths.
        others: the visible files that are not, each with its kind, such as ".txt".
        hidden: the kinds of what is hidden.
        empty: folders in which nothing visible stands.
    """

    images: list[Path] = field(default_factory=list)
    others: list[tuple[Path, str]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    links: int = 0  # to folders, that were followed

    def left_out(self, folder: Path) -> str:
        """What is not read, counted by kind; "" for nothing."""
        said = [_counted(kind for _, kind in self.others), _counted(self.hidden)]
        if self.empty:
            names = _listed([str(path.relative_to(folder)) for path in self.empty])
            said.append(f"{len(self.empty):,} empty folder{'s' * (len(self.empty) > 1)} ({names})")
        return ", ".join(part for part in said if part)


def read(where: str) -> Contents:
    """All images in and below a directory, in the order of their paths, as they stand: grey (C = 1) or RGB (C = 3).

    First-level folders that are named as splits (see `SPELLINGS`) are the splits. Without them all images are training
    images. The other first-level folders, in the directory or in its splits, are the classes. Folders that are all
    named by whole numbers have these as labels; otherwise the label is the folder's place among the classes of all
    splits, numbers in the names counted as numbers. Links are followed. Hidden files and folders, `__MACOSX` and files
    that are no images are left out and counted.

    Palettes are resolved (to RGB), an opaque alpha channel is dropped, the orientation that a camera notes is applied;
    nothing is resized or clipped.

    Raises:
        DataError: no images, images that differ in size or colour, images only partly in sub-folders, splits beside
            classes or without training images, a class of which no file is read, or an image that `picture` refuses.
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
    """The label of each class, by its name, in ascending order of the labels."""
    ordered = sorted(names, key=lambda name: (_natural(name), name))
    whole = [int(name) for name in ordered if re.fullmatch("[0-9]{1,18}", name)]
    if len(set(whole)) == len(ordered):
        return dict(zip(ordered, whole, strict=True))
    return {name: label for label, name in enumerate(ordered)}


def _natural(name: str) -> list[str | int]:
    """By which names are sorted as people count: 2 before 10."""
    return [int(part) if at % 2 else part for at, part in enumerate(re.split("([0-9]+)", name))]


def _walk(folder: Path, tree: _Tree, above: tuple[str, ...]) -> None:
    """Add to `tree` what is in and below `folder`; `above` are the real paths of the folders that it lies in."""
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise DataError(
            found=f"{folder}: cannot be read ({error.strerror})",
            expected="a folder that you may read",
            do="change its permissions, or move it away",
        ) from error
    if odd := next((path for path in entries if not _is_text(path.name)), None):
        raise DataError(
            found=f"{odd.parent}: a name that is not UTF-8, {odd.name!r}",
            expected="names that can be written down",
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
    """DataError where folders lie too deep, or lead to each other by too many links."""
    if depth > DEEPEST or links > LINKS:
        found = f"more than {DEEPEST} folders deep" if depth > DEEPEST else f"more than {LINKS:,} links to folders"
        raise DataError(found=f"{path}: {found}", expected="DIR/split/class", do="name the folder that they are in")


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8: bytes that are none come as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def split_of(name: str) -> str | None:
    """The split that a folder of this name holds, or None."""
    return next((split for split, spelling in _SPLITS.items() if spelling.fullmatch(name)), None)


def _splits(folder: Path, tree: _Tree) -> dict[str, tuple[Path, list[Path]]]:
    """Of each split its folder and images: the folder itself as "train" where there are no folders of splits."""
    images = tree.images
    firsts = {path: _first(folder, path) for path in images}
    named = {first: split for first in dict.fromkeys(firsts.values()) if (split := split_of(first))}
    if not named:
        _refuse_inner_splits(folder, images)
        return {"train": (folder, images)}
    _refuse_lost(tree, folder, splits=True)
    if others := [first or "images" for first in dict.fromkeys(firsts.values()) if first not in named]:
        raise DataError(
            found=f"{folder}: {' and '.join(named)}, named as splits, beside {_listed(others)}",
            expected=f"splits alone ({_LAYOUT}), or classes alone",
            do="move the classes into the splits, or rename the folders that are not splits",
        )
    for split in SPELLINGS:
        if len(same := [first for first, of in named.items() if of == split]) > 1:
            found = f"{folder}: {' and '.join(same)}, which both name the {split} split"
            raise DataError(found=found, expected="one folder for each split", do="join them, or rename one")
    if "train" not in named.values():
        raise DataError(
            found=f"{folder}: {' and '.join(named)} without training images",
            expected="DIR/train beside them",
            do=f"add it, or name one of them to use it as a whole, as folder:{folder / next(iter(named))}",
        )
    return {split: (folder / first, [p for p in images if firsts[p] == first]) for first, split in named.items()}


def _refuse_inner_splits(folder: Path, images: list[Path]) -> None:
    """DataError where splits stand further down, as within classes: their test images would be trained on."""
    inner = {path.relative_to(folder).parts[:-1]: path for path in images}
    found = {parts[: at + 1]: split for parts in inner for at, part in enumerate(parts) if (split := split_of(part))}
    if len(set(found.values())) > 1:
        shown = ["/".join(parts) for parts in found]
        raise DataError(
            found=f"{folder}: folders named as splits within others: {_listed(shown)}",
            expected=_LAYOUT,
            do=f"name the folder that they are in, as folder:{folder.joinpath(*next(iter(found))[:-1])}, "
            "or put the splits above the classes",
        )


def _classes(base: Path, images: list[Path]) -> list[str] | None:
    """The class of each image, by name; None where there are no classes."""
    classes = [_first(base, path) for path in images]
    if set(classes) == {""}:
        return None
    if "" in classes:
        raise DataError(
            found=f"{base}: images both in sub-folders and beside them ({images[classes.index('')].name})",
            expected="every image in a sub-folder that is its class, or none",
            do="move the images",
        )
    return classes


def _refuse_lost(tree: _Tree, base: Path, splits: bool = False) -> None:
    """DataError where a folder beside others in `base` holds files, but none that is read: it would vanish.

    Arguments:
        splits: whether only of folders that are named as splits.
    """
    read = {_first(base, path) for path in tree.images if path.is_relative_to(base)}
    lost = [(_first(base, path), kind) for path, kind in tree.others if path.is_relative_to(base)]
    for name in dict.fromkeys(first for first, _ in lost if first and first not in read):
        if split_of(name) if splits else read != {""}:
            kinds = _counted(kind for first, kind in lost if first == name)
            raise DataError(
                found=f"{base / name}: {kinds}, and no image that is read",
                expected=f"files named {', '.join(SUFFIXES)}, as in the folders beside it",
                do="convert its files, or move the folder away",
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
                do="crop, resize or convert them, or keep each kind in its own folder",
            )
        images[index] = image
    return raw(base, images, None if labels is None else np.array(labels))


def _pictures(paths: list[Path], first: tuple[Path, np.ndarray]) -> Iterator[np.ndarray]:
    for path in paths:
        yield first[1] if path == first[0] else picture(path)


def _first(folder: Path, path: Path) -> str:
    """The first-level folder of `folder` that `path` lies in; "" where it lies in `folder` itself."""
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else ""


def _counted(kinds: Iterable[str]) -> str:
    """How many there are of each kind, the most frequent first."""
    ordered = sorted(Counter(kinds).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {kind}{'s' * (count > 1 and kind[0] != '.')}" for kind, count in ordered)


def _listed(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
