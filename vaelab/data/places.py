"""Paths in a source's name: absolute or relative, so that a project that was moved still finds its files."""

import os
from collections.abc import Callable
from pathlib import Path

from vaelab.data.sources import parse
from vaelab.system.files import expanded


def taken_from(source: str, folder: Path) -> str:
    """Make the paths of `source`, relative to `folder`, absolute: "folder:faces" -> "folder:/home/me/faces".

    A source without paths, such as "mnist", is unchanged.
    """
    return _with_paths(source, lambda path: os.path.abspath(folder / path))


def seen_from(source: str, folder: Path) -> str:
    """Make the paths of `source` relative to `folder`, e.g. "folder:../../faces". The inverse of `taken_from`."""
    return _with_paths(source, lambda path: os.path.relpath(path, folder))


def _with_paths(source: str, change: Callable[[Path], str]) -> str:
    found = parse(source)
    if not found.argument:
        return source
    paths = found.argument.split(",") if "," in found.entry.argument else [found.argument]
    return f"{found.name}:{','.join(change(expanded(path)) for path in paths)}"
