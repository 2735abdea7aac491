"""The files in and below a folder: which are images, which are left out, and when they last changed."""

import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vaelab.data.formats.picture import SUFFIXES
from vaelab.system.errors import DataError

DEEPEST, LINKS = 20, 1_000  # levels of nested folders, and the number of links to folders that are followed


class Stamp(NamedTuple):
    """What the file system knows of a file: another size, time or place means another content."""

    size: int  # bytes
    modified_ns: int
    changed_ns: int  # when the file or what is known of it changed; no program can set it
    device: int
    inode: int  # its number on the device, which it keeps when its folder gets another name


def stamp(status: os.stat_result) -> Stamp:
    """The stamp of a file; that of its target if it is a link."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)


@dataclass
class Tree:
    """The files in and below a directory. Names are relative to it, with "/" between folders.

    Arguments:
        folder: the directory.
        images: the files that are read as images, in the order of their paths, each with its stamp.
        others: the visible files that are not read, each with its kind, such as ".txt".
        hidden: the kinds of the hidden files and folders.
        empty: folders without visible files.
    """

    folder: Path
    images: dict[str, Stamp] = field(default_factory=dict)
    others: list[tuple[str, str]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    links: int = 0  # number of links to folders that were followed

    def left_out(self) -> str:
        """Count what is not read, by kind, in words; "" for nothing."""
        said = [counted(kind for _, kind in self.others), counted(self.hidden)]
        if self.empty:
            said.append(f"{len(self.empty):,} empty folder{'s' * (len(self.empty) > 1)} ({listed(self.empty)})")
        return ", ".join(part for part in said if part)


def walk(folder: Path) -> Tree:
    """Find the files in and below a folder. Links are followed.

    Raises:
        DataError: a folder cannot be read, is nested too deeply, or has a name that is not UTF-8.
    """
    tree = Tree(folder)
    _walk("", tree, (os.path.realpath(folder),))
    return tree


def _walk(inside: str, tree: Tree, above: tuple[str, ...]) -> None:
    """Add to `tree` what is in and below its folder `inside`; `above` has the real paths of the folders around it."""
    folder = tree.folder / inside
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            found=f"{folder}: cannot be read ({error.strerror})",
            expected="a folder that you may read",
            do="change its permissions, or move it elsewhere",
        ) from error
    if not is_text("".join([entry.name for entry in entries])):
        odd = next(entry.name for entry in entries if not is_text(entry.name))
        raise DataError(
            found=f"{folder}: a name that is not UTF-8, {odd!r}",
            expected="names in UTF-8",
            do="rename it",
        )
    hidden = {entry for entry in entries if entry.name.startswith(".") or entry.name == "__MACOSX"}
    tree.hidden += [f"hidden {'folder' if _is_folder(entry) else 'file'}" for entry in hidden]
    visible = [entry for entry in entries if entry not in hidden] if hidden else entries
    if not visible:
        tree.empty.append(inside.removesuffix("/") or ".")
    for entry in visible:
        name = inside + entry.name
        if not _is_folder(entry):
            _add(name, entry, tree)
        elif (real := os.path.realpath(entry.path)) in above:
            tree.others.append((name, "circular link"))
        else:
            tree.links += entry.is_symlink()
            _check_bounds(entry.path, len(above), tree.links)
            _walk(f"{name}/", tree, (*above, real))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _add(name: str, entry: "os.DirEntry[str]", tree: Tree) -> None:
    """Add a file that is visible and no folder."""
    dot = entry.name.rfind(".")  # not the first letter
    suffix = entry.name[dot:].lower() if dot > 0 else ""
    try:
        status = entry.stat()
    except OSError:
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        tree.others.append((name, "broken link"))
    elif suffix in SUFFIXES:
        tree.images[name] = stamp(status)
    else:
        tree.others.append((name, suffix if len(suffix) > 1 else "extensionless file"))


def _check_bounds(path: str, depth: int, links: int) -> None:
    """Raise a DataError if folders are nested too deeply, or too many links to folders were followed."""
    if depth > DEEPEST or links > LINKS:
        found = f"more than {DEEPEST} folders deep" if depth > DEEPEST else f"more than {LINKS:,} links to folders"
        raise DataError(
            found=f"{path}: {found}",
            expected="images at most in DIR/SPLIT/CLASS",
            do="name the folder that has the splits or classes",
        )


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8. Python reads other bytes as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def counted(kinds: Iterable[str]) -> str:
    """Count each kind, in words, the most frequent first."""
    ordered = sorted(Counter(kinds).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {kind}{'s' * (count > 1 and kind[0] != '.')}" for kind, count in ordered)


def listed(names: list[str], most: int = 4) -> str:
    """The first of these names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
