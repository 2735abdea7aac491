"""Writes that are whole or do not happen."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vaelab.errors import RunError

FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


def user_cache() -> Path:
    """Where what can be had again is kept for this user: data that were fetched, programs that were compiled."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vaelab"


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name beside `path`, then rename: a reader sees the old file or the new one, whole.

    Raises:
        RunError: the disk is full, or the folder not to be written to; what stood at `path` before still stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):  # where it could not even be made
            temporary.unlink()
        raise as_run_error(error, path) from error


def as_run_error(error: OSError, path: Path) -> Exception:
    """A full disk, or a place that may not be written to, as one line for the user; any other error as it is."""
    if error.errno in FORBIDDEN:
        return RunError(
            found=f"{path} cannot be written ({error.strerror})",
            expected="a folder that you may write to",
            do="change its permissions, or choose another --out",
        )
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    return RunError(
        found=f"no room to write {path} ({error.strerror})",
        expected="space on the disk",
        do="free some and give the same command again: what was finished is kept and it goes on from there",
    )


def make_folder(path: Path) -> None:
    """Make `path` and what is above it, where they are not there; RunError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_run_error(error, path) from error


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the system lets go of it when the process ends, however it ends.

    Raises:
        RunError: another process holds it, or it may not be written to.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows, where two writers are the user's to avoid
        yield
        return
    try:
        file = open(folder / ".lock", "wb")  # noqa: SIM115
    except OSError as error:
        raise as_run_error(error, folder) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                found=f"another process is at work in {folder}",
                expected="one writer at a time",
                do="wait for it, or end it",
            ) from error
        yield
