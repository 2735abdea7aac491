"""A folder that is written as a whole or not at all."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vaelab.system.files import WINDOWS, as_run_error, check_no_link, hold, make_folder, mark, opened


@contextmanager
def new_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path`, which gets this name when the context ends. After an error nothing is left.

    Temporary folders of killed writes to `path` are removed.

    Arguments:
        replace: whether `path` exists, and is to be deleted when the new folder is complete.

    Raises:
        RunError: `path` is a symbolic link, the disk is full, or the folder cannot be made.
    """
    check_no_link(path)
    above = [folder for folder in path.parents if not folder.exists()]
    temporary, lock, old = None, None, path.with_name(f"{mark(path)}{secrets.token_hex(8)}.old")
    try:
        make_folder(path.parent)
        _remove_leftovers(path)
        temporary, lock = _temporary(path)
        yield temporary
        if replace:
            os.rename(path, old)
        try:
            os.rename(temporary, path)
        except OSError:
            if replace:
                os.rename(old, path)
            raise
        _remove_leftovers(path)  # that of a write which was killed after it moved the folder at `path` away
    except OSError as error:
        raise as_run_error(error, path) from error
    finally:
        for left in filter(None, (temporary, old if path.exists() else None)):
            shutil.rmtree(left, ignore_errors=True)
        if lock is not None:
            os.close(lock)
        if not path.exists():
            for folder in above:
                with suppress(OSError):
                    folder.rmdir()


def _temporary(path: Path) -> tuple[Path, int | None]:
    """A new folder beside `path`, and an open file that locks it; None where folders cannot be locked."""
    while True:
        temporary = path.with_name(f"{mark(path)}{secrets.token_hex(8)}.tmp")
        temporary.mkdir()
        if WINDOWS:  # which opens no folder
            return temporary, None
        with suppress(FileNotFoundError):  # before it was locked, another process may remove it as left behind
            lock = opened(temporary, os.O_RDONLY)
            with suppress(BlockingIOError):
                hold(lock)
                if temporary.exists():
                    return temporary, lock
            os.close(lock)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary folders of `path` that no process has locked: those of killed writes.

    A folder that was moved away from `path` stays while there is no other at `path`: it is the only one then.
    """
    if WINDOWS:  # nobody knows which are in use
        return
    named = re.compile(re.escape(mark(path)) + "[0-9a-f]{16}[.](tmp|old)")
    for left in [entry for entry in path.parent.iterdir() if named.fullmatch(entry.name)]:
        if left.suffix == ".old" and not path.exists():
            continue
        with suppress(OSError):  # a link, locked by the process that writes it, or already removed
            file = opened(left, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
            try:
                if hold(file):
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(file)
