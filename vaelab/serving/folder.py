"""A folder that is written as a whole or not at all."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vaelab.system.errors import RunError
from vaelab.system.files import WINDOWS, as_run_error, check_no_link, exists, hold, make_folder, mark, opened

Foreign = Callable[[Path], str]  # what a folder has that this kind of output has not, in words; "" for nothing


def check_new_folder(path: Path, foreign: Foreign, overwrite: bool) -> None:
    """Raise RunError if `path` exists, unless `overwrite` may replace it: a folder in which nothing is foreign."""
    if path.name in ("", "..") or "\0" in str(path):
        raise RunError(found=f"--out {path}", expected="a folder with a name", do="choose another --out")
    check_no_link(path)
    if not path.exists():
        return
    if not overwrite:
        raise exists(path)
    if not path.is_dir():
        raise RunError(found=f"{path} is a file", expected="a folder that vaelab wrote", do="choose another --out")
    try:
        found = foreign(path)
    except OSError as error:
        raise as_run_error(error, path) from error
    if found:
        do = "move that file, or choose another --out"
        raise RunError(found=f"{path} has {found}", expected="a folder with files of vaelab only", do=do)


@contextmanager
def new_folder(path: Path, foreign: Foreign, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path`, which gets this name when the context ends. After an error nothing is left.

    What is at `path` is checked when the context begins and again when it ends: a user may have put files there. An old
    folder is deleted after the new one has its name, and gets its own name back otherwise.

    Temporary folders of killed writes to `path` are removed.

    Arguments:
        foreign, overwrite: what may be replaced, as in `check_new_folder`.

    Raises:
        RunError: as `check_new_folder`; or the disk is full, or the folder cannot be made.
    """
    check_new_folder(path, foreign, overwrite)
    above = [folder for folder in path.parents if not folder.exists()]
    temporary, lock, old = None, None, path.with_name(f"{mark(path)}{secrets.token_hex(8)}.old")
    replaced = False
    try:
        make_folder(path.parent)
        _remove_leftovers(path)
        temporary, lock = _temporary(path)
        yield temporary
        check_new_folder(path, foreign, overwrite)
        replaced = _renamed(temporary, path, old)
        _remove_leftovers(path)  # that of a write which was killed after it moved the folder at `path` away
    except OSError as error:
        raise as_run_error(error, path) from error
    finally:
        for left in filter(None, (temporary, old if replaced else None)):
            shutil.rmtree(left, ignore_errors=True)
        if lock is not None:
            os.close(lock)
        if not path.exists():
            for folder in above:
                with suppress(OSError):
                    folder.rmdir()


def _renamed(temporary: Path, path: Path, old: Path) -> bool:
    """Move what is at `path` to `old`, and the new folder to `path`; whether there was something at `path`."""
    replaced = path.exists()
    try:
        if replaced:
            os.rename(path, old)
        os.rename(temporary, path)
    except BaseException as error:  # also an interrupt: the old folder is the user's only one
        if old.exists() and not path.exists():
            os.rename(old, path)
        if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise exists(path) from error  # it appeared at the last moment
        raise
    return replaced


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
