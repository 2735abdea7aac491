"""Writes that are whole or do not happen."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaelab.errors import RunError


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name beside `path`, then rename: a reader sees the old file or the new one, whole.

    Raises:
        RunError: the disk is full; what stood at `path` before still stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise as_run_error(error, path) from error


def as_run_error(error: OSError, path: Path) -> Exception:
    """A full disk as one line for the user; any other error as it is."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    return RunError(
        found=f"no room to write {path} ({error.strerror})",
        expected="space on the disk",
        do="free some and give the same command again: what was finished is kept and it goes on from there",
    )


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the system lets go of it when the process ends, however it ends.

    Raises:
        RunError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows, where two writers are the user's to avoid
        yield
        return
    with open(folder / ".lock", "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                found=f"another process is at work in {folder}",
                expected="one writer at a time",
                do="wait for it, or end it",
            ) from error
        yield
