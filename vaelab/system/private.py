"""Files and folders that other users of the computer cannot change: those that hold programs, or that are trusted."""

import os
import stat
import tempfile
from functools import cache
from pathlib import Path

from vaelab.system.errors import RunError
from vaelab.system.files import as_argument

WRITABLE = stat.S_IWGRP | stat.S_IWOTH  # by others
OTHERS = stat.S_IRWXG | stat.S_IRWXO  # all that others may do


def user_cache() -> Path:
    """The user's folder for what can be made again: downloaded data and compiled programs.

    `XDG_CACHE_HOME` is an absolute path by its definition; a relative one is ignored. A user without a home folder gets
    the temporary folder of this process.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return Path(named if os.path.isabs(named) else "~/.cache").expanduser() / "vaelab"
    except RuntimeError:
        return own_folder()


def own_folder() -> Path:
    """A temporary folder that only this process uses. It is deleted when the process ends."""
    return Path(_own_folder().name)


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="vaelab-")


def is_private(path: Path) -> bool:
    """Whether this user owns the file or folder and nobody else may change it. Always True on Windows."""
    if not hasattr(os, "geteuid"):
        return True
    found = path.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & WRITABLE


def open_to_others(folder: Path) -> Path | None:
    """The folder through which other users can change what is in `folder`, a folder of the cache, or None.

    It is `folder` itself if others may enter it: a compiler makes folders in it that are as open as the umask says. It
    is the cache if others may write to it. Or it is a folder above: who may write to that one can put other folders in
    place of these, unless it has the sticky bit, as /tmp has. The owners of those above are not looked at: in a
    container they may be any number. Always None on Windows.

    Raises:
        OSError: there is no such folder.
    """
    if not hasattr(os, "geteuid"):
        return None
    if not is_private(folder) or folder.stat().st_mode & OTHERS:
        return folder
    if not is_private(folder.parent):
        return folder.parent
    for at in dict.fromkeys([*folder.absolute().parents, *folder.resolve().parents]):  # of a link, and where it leads
        mode = at.stat().st_mode
        if mode & WRITABLE and not mode & stat.S_ISVTX:
            return at
    return None


def make_private(folder: Path) -> None:
    """Make `folder`, and those above it that are missing, for this user only.

    A folder that exists is left as it is. If others could write to it, it may have files of theirs by now, and to close
    it would not make them trustworthy.

    Raises:
        OSError: a folder cannot be made.
    """
    missing = [at for at in (folder, *folder.parents) if not at.exists()]
    for at in reversed(missing):  # not `parents=True`, which makes those above as the umask says
        at.mkdir(mode=0o700, exist_ok=True)


def make_trusted(folder: Path) -> None:
    """As `make_private`, for a folder whose content is trusted.

    Raises:
        RunError: it is open to other users (`open_to_others`).
        OSError: a folder cannot be made.
    """
    make_private(folder)
    at = open_to_others(folder)
    if at is None:
        return
    ours = at in (folder, folder.parent)
    raise RunError(
        found=f"{at}, which is open to other users",
        expected="a folder that only you can change",
        do="move it away; the next command makes a new one" if ours else f"run `chmod go-w {as_argument(at)}`",
    )
