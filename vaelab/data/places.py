"""Where the files of a source lie, so that they are found again from another folder or in a project that was moved."""

import os
from collections.abc import Callable
from pathlib import Path

from vaelab.data.sources import parse
from vaelab.system.files import expanded


def taken_from(source: str, folder: Path) -> str:
    """`source` with its relative paths taken from `folder`, absolute: "folder:faces" -> "folder:/home/me/faces".

    A source without paths, such as "mnist", stays what it is.
    """
    return _with_paths(source, lambda path: os.path.abspath(folder / path))


def seen_from(source: str, folder: Path) -> str:
    """`source` with its paths relative to `folder`: "folder:faces" -> "folder:../../faces". `taken_from` undoes it."""
    return _with_paths(source, lambda path: os.path.relpath(path, folder))


def _with_paths(source: str, change: Callable[[Path], str]) -> str:
    name, entry, argument = parse(source)
    if not argument:
        return source
    paths = argument.split(",") if "," in entry.argument else [argument]
    return f"{name}:{','.join(change(expanded(path)) for path in paths)}"
