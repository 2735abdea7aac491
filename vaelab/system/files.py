"""Writes that are whole or do not happen."""

import errno
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, TypeVar

from vaelab.system.errors import RunError, SpecError, VaelabError, shortened

FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # 0 on Windows
LONGEST_NAME = 100  # bytes
LARGEST_TEXT = 100_000_000  # bytes of a JSON or TOML file: the largest of ours are a hundred times smaller

T = TypeVar("T")


def user_cache() -> Path:
    """Where what can be had again is kept for this user: data that were fetched, programs that were compiled.

    A user without a home has a folder of this process's own, which goes with it. `XDG_CACHE_HOME` is a whole path, by
    its definition; one that begins in the current folder is passed over.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return Path(named if os.path.isabs(named) else "~/.cache").expanduser() / "vaelab"
    except RuntimeError:
        return own_folder()


def own_folder() -> Path:
    """A folder that this process alone uses, and that goes with it."""
    return Path(_own_folder().name)


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="vaelab-")


def expanded(path: Path | str) -> Path:
    """`path` with `~` or `~name` at its beginning replaced; SpecError where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        found = f"{path}, whose home folder is not known"
        raise SpecError(found=found, expected="a path", do="write it out") from error


def plain(path: Path) -> Path:
    """`path`, unless a device, a socket or a named pipe stands there, which would be waited for or has no end.

    Raises:
        OSError: one does. A path where nothing stands is left to who opens it.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "a device or a pipe, not a file", str(path))
    return path


def is_private(path: Path) -> bool:
    """Whether this user owns the file or folder, and nobody else may change it. Windows does not tell: True there."""
    if not hasattr(os, "geteuid"):
        return True
    found = path.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def small(path: Path) -> Path:
    """`path`, unless its file is larger than any text of ours, or no file at all.

    Raises:
        OSError: it is; as `plain`.
    """
    if path.exists() and plain(path).stat().st_size > LARGEST_TEXT:
        raise OSError(errno.EFBIG, f"more than {LARGEST_TEXT / 1e6:.0f} MB", str(path))
    return path


def parsed(
    path: Path,
    parse: Callable[[str], T],
    *,
    expected: str,
    do: str,
    missing: str = "check the path",
    error: type[VaelabError] = RunError,
) -> T:
    """What `parse` makes of a text file, which is UTF-8 whatever the locale.

    Arguments:
        expected, do: of the error where the file is damaged.
        missing: what to do where there is none.
        error: which error that is.

    Raises:
        VaelabError: no file stands there, or a folder does; it cannot be read, is not UTF-8, or `parse` refuses it.
    """
    try:
        if plain(path).stat().st_size > LARGEST_TEXT:
            raise error(found=f"{path} of more than {LARGEST_TEXT / 1e6:.0f} MB", expected=expected, do=do)
        return parse(path.read_bytes().decode())
    except VaelabError:
        raise
    except (FileNotFoundError, NotADirectoryError) as why:
        raise error(found=f"no {path}", expected=expected, do=missing) from why
    except OSError as why:
        raise error(found=f"{path} cannot be read ({why.strerror})", expected=expected, do=missing) from why
    except RecursionError as why:
        raise error(found=f"{path} is damaged (nested too deeply)", expected=expected, do=do) from why
    except (ValueError, TypeError, AttributeError) as why:
        first = (str(why).splitlines() or [type(why).__name__])[0]
        raise error(found=f"{path} is damaged ({first})", expected=expected, do=do) from why


def name_fault(name: str) -> str:
    """What keeps `name` from being the name of a file or folder of ours, in words; "" for nothing.

    One that holds separators or is `..` leads elsewhere, one with a dot before it is hidden or ours.
    """
    if not name.strip():
        return "empty"
    if any(letter in "/\\" or not letter.isprintable() for letter in name):
        return "with a slash, backslash or character that cannot be printed"
    if name.startswith("."):
        return "with a dot before it"
    return f"of more than {LONGEST_NAME} bytes" if len(name.encode(errors="replace")) > LONGEST_NAME else ""


def check_name(what: str, name: str) -> str:
    """`name`; SpecError where no file or folder of ours may be called so."""
    if fault := name_fault(name):
        raise SpecError(
            found=f"{what} {shortened(name)}, {fault}",
            expected=f"a plain name of at most {LONGEST_NAME} bytes",
            do="choose another",
        )
    return name


def opened(path: Path, flags: int) -> int:
    """A descriptor of the file that stands at `path` itself: never of another that a symbolic link there leads to.

    Raises:
        OSError: ELOOP where a link stands there, EINVAL where a device or a pipe does, else as `os.open`.
    """
    flags |= NO_FOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path if path.is_symlink() else plain(path), flags, 0o666)


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name beside `path`, then rename: a reader sees the old file or the new one, whole.

    A link that stands at `path` is replaced; what it leads to is left alone. What writes that were killed left behind
    is removed.

    Raises:
        RunError: the disk is full, or the folder not to be written to; what stood at `path` before still stands.
    """
    temporary = None
    try:
        _remove_leftovers(path)
        temporary, file = _temporary(path)
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):  # where it could not even be made
            if temporary is not None:
                temporary.unlink()
        raise as_run_error(error, path) from error


def _temporary(path: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `path` under a name that nobody can foresee, locked while it is open."""
    while True:
        temporary = path.with_name(f"{_mark(path)}{secrets.token_hex(8)}.tmp")
        file = os.fdopen(opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb")
        hold(file.fileno())
        if temporary.exists():  # another process may have taken it for a leftover before it was locked
            return temporary, file
        file.close()


def _mark(path: Path) -> str:
    return f".{path.name[:100]}."


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of `path` that no process holds: those of writes that were killed."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if not re.fullmatch(re.escape(_mark(path)) + "[0-9a-f]{16}[.]tmp", entry.name):
                continue
            with suppress(OSError):  # held by a process that writes it, a link, or gone
                left = opened(Path(entry.path), os.O_RDONLY)
                try:
                    if hold(left):
                        os.unlink(entry.path)
                finally:
                    os.close(left)


def hold(file: int) -> bool:
    """Lock an open file until it is closed; False where locks do not exist. BlockingIOError where another has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return False
    return True


def as_run_error(error: OSError, path: Path) -> Exception:
    """A full disk, or a place that may not be written to, as one line for the user; any other error as it is."""
    if error.errno == errno.ELOOP:
        return RunError(
            found=f"{path} is a symbolic link",
            expected="a file of the run's own: nothing is written to where a link leads",
            do="delete the link",
        )
    if error.errno == errno.ENOENT:
        found = f"{path} cannot be written, its folder is gone"
        return RunError(found=found, expected="the folder to stay", do="give the same command again")
    if error.errno == errno.ENAMETOOLONG:
        return RunError(found=f"too long a path, {path}", expected="a shorter one", do="choose another --name or --out")
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


def check_no_link(path: Path) -> None:
    """RunError where a symbolic link stands at `path`: it may lead anywhere."""
    if path.is_symlink():
        raise as_run_error(OSError(errno.ELOOP, "a symbolic link"), path)


def make_folder(path: Path) -> None:
    """Make the folder `path`, and those above it, where they are not there.

    Raises:
        RunError: it cannot be made, or a symbolic link stands there.
    """
    check_no_link(path)
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
        file = opened(folder / ".lock", os.O_RDWR | os.O_CREAT)  # whose content, if any, is left as it is
    except OSError as error:
        raise as_run_error(error, folder / ".lock") from error
    try:
        _hold(file, folder)
        yield
    finally:
        os.close(file)


def _hold(file: int, folder: Path) -> None:
    try:
        hold(file)  # where there are no locks, two writers are the user's to avoid
    except BlockingIOError as error:
        raise RunError(
            found=f"another process is at work in {folder}",
            expected="one writer at a time",
            do="wait for it, or end it",
        ) from error
