"""Paths, names, locks, and writes that either happen as a whole or not at all."""

import errno
import os
import re
import secrets
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from vaelab.system.errors import RunError, SpecError, VaelabError, shortened

FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # 0 on Windows
WINDOWS = os.name == "nt"
LONGEST_NAME = 100  # bytes
LARGEST_TEXT = (
    100_000_000  # bytes of a JSON or TOML file; those that vaelab writes are at least a hundred times smaller
)

T = TypeVar("T")


def expanded(path: Path | str) -> Path:
    """`path` with `~` or `~name` at its beginning replaced; SpecError if there is no such home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        found = f"{path}, whose home folder is not known"
        raise SpecError(found=found, expected="a path", do="write the whole path") from error


def as_argument(path: Path | str) -> str:
    """`path` as a word of a command that the user may paste into a shell: quoted, and never an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def plain(path: Path) -> Path:
    """`path`, unless it is a device, a socket or a named pipe: to read one may block or never end.

    Raises:
        OSError: it is one. A path that does not exist is returned; opening it raises the error.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "a device or a pipe, not a file", str(path))
    return path


def small(path: Path) -> Path:
    """`path`, unless its file is larger than any text file of vaelab, or is not a file.

    Raises:
        OSError: it is larger, or as `plain`.
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
    """What `parse` returns for the text of a file. The text is UTF-8, whatever the locale.

    Arguments:
        expected, do: fields of the error for a damaged file.
        missing: what to do if there is no file.
        error: the type of the error.

    Raises:
        VaelabError: there is no file, it is a folder, cannot be read or is not UTF-8, or `parse` refuses it.
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
    """Why vaelab gives no file or folder the name `name`, in words; "" if the name is fine.

    A name with separators or `..` leads to another folder. A name that starts with a dot is hidden, or one of vaelab's.
    """
    if not name.strip():
        return "empty"
    if any(letter in "/\\" or not letter.isprintable() for letter in name):
        return "with a slash, backslash or character that cannot be printed"
    if name.startswith("."):
        return "with a dot before it"
    return f"of more than {LONGEST_NAME} bytes" if len(name.encode(errors="replace")) > LONGEST_NAME else ""


def check_name(what: str, name: str) -> str:
    """`name`; SpecError if vaelab gives no file or folder that name (`name_fault`)."""
    if fault := name_fault(name):
        raise SpecError(
            found=f"{what} {shortened(name)}, {fault}",
            expected=f"a plain name of at most {LONGEST_NAME} bytes",
            do="choose another name",
        )
    return name


def opened(path: Path, flags: int, mode: int = 0o666) -> int:
    """Open the file at `path` and return its descriptor. A symbolic link is not followed.

    Arguments:
        mode: the permissions of a new file, before the umask.

    Raises:
        OSError: ELOOP if `path` is a symbolic link, EINVAL if it is a device or a pipe, otherwise as `os.open`.
    """
    flags |= NO_FOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path if path.is_symlink() else plain(path), flags, mode)


def write_atomically(path: Path, *content: bytes | memoryview, replace: bool = True, mode: int = 0o666) -> None:
    """Write the pieces of `content`, one after another, into a file that appears as a whole; see `new_file`."""
    with new_file(path, replace, mode) as file:
        for piece in content:
            file.write(piece)


@contextmanager
def new_file(path: Path, replace: bool = True, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A temporary file in the same folder, which gets the name `path` when the context ends: a reader sees the whole
    old file or the whole new one. After an error nothing is left.

    A symbolic link at `path` is replaced, and its target is left alone. Temporary files of killed writes are removed.

    Arguments:
        replace: whether a file at `path` is replaced. Otherwise it stays, even if it appears at the last moment (on a
            file system without hard links, at the last but one).
        mode: the permissions of the file, before the umask.

    Raises:
        RunError: the disk is full, the folder cannot be written to, or there is a file that is not to be replaced. The
            old file is unchanged.
    """
    temporary = None
    try:
        remove_leftovers(path)
        temporary, file = _temporary(path, mode)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not WINDOWS:  # it stays locked until it has its name
                _give_name(temporary, path, replace)
        if WINDOWS:  # which renames no open file
            _give_name(temporary, path, replace)
    except BaseException as error:
        with suppress(OSError):
            if temporary is not None:
                temporary.unlink()
        if not isinstance(error, OSError):
            raise
        there = isinstance(error, FileExistsError) and not replace
        raise (exists(path) if there else as_run_error(error, path)) from error


def _give_name(temporary: Path, path: Path, replace: bool) -> None:
    """Rename a file; FileExistsError if `path` exists and is not to be replaced."""
    if replace:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except OSError:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "File exists", str(path)) from None
        os.replace(temporary, path)  # a file system without hard links
    else:
        temporary.unlink()


def exists(path: Path) -> RunError:
    """The error for an output that is there already."""
    return RunError(
        found=f"{path} exists",
        expected="a path that does not exist yet",
        do="add --overwrite (in Python, overwrite=True), or choose another path",
    )


def _temporary(path: Path, mode: int) -> tuple[Path, BinaryIO]:
    """A new file in the folder of `path`, with a name that nobody can guess, locked while it is open."""
    while True:
        temporary = path.with_name(f"{mark(path)}{secrets.token_hex(8)}.tmp")
        file = os.fdopen(opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")
        hold(file.fileno())
        if temporary.exists():  # before it was locked, another process may have removed it as left behind
            return temporary, file
        file.close()


def mark(path: Path) -> str:
    """How the names of the temporary files of `path` begin."""
    return f".{os.fsencode(path.name)[:100].decode(errors='ignore')}."


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `path` that no process has locked: those of killed writes."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if not re.fullmatch(re.escape(mark(path)) + "[0-9a-f]{16}[.]tmp", entry.name):
                continue
            with suppress(OSError):  # locked by the process that writes it, a link, or already removed
                left = opened(Path(entry.path), os.O_RDONLY)
                try:
                    locked = hold(left)
                    if locked and not WINDOWS:
                        os.unlink(entry.path)
                finally:
                    os.close(left)
                if locked and WINDOWS:  # which removes no open file
                    os.unlink(entry.path)


def hold(file: int) -> bool:
    """Lock an open file until it is closed or the process ends, however it ends.

    The file is neither truncated nor opened again, so its content and what it is stay as they are.

    Returns:
        False if the file system has no locks.

    Raises:
        BlockingIOError: another process, or another descriptor of this one, has locked it.
    """
    from filelock import lock_descriptor  # here, so that no command waits for it that writes nothing

    try:
        locked = lock_descriptor(file, blocking=False)
    except OSError:  # a file system without locks
        return False
    if not locked:
        raise BlockingIOError(errno.EAGAIN, "locked by another process")
    return True


def as_run_error(error: OSError, path: Path) -> Exception:
    """A RunError for a full disk or a place that cannot be written to; any other error is returned as it is."""
    if error.errno == errno.ELOOP:
        return RunError(
            found=f"{path} is a symbolic link",
            expected="a plain file, because vaelab does not write through links",
            do="delete the link",
        )
    if error.errno == errno.ENOENT:
        found = f"{path} cannot be written: its folder was deleted or moved"
        return RunError(found=found, expected="the folder to stay where it is", do="rerun the command")
    if error.errno == errno.ENAMETOOLONG:
        return RunError(
            found=f"a path that is too long, {path}", expected="a shorter path", do="choose another --name or --out"
        )
    if error.errno in FORBIDDEN:
        return RunError(
            found=f"{path} cannot be written ({error.strerror})",
            expected="a folder that you may write to",
            do="change its permissions, or choose another --out",
        )
    if error.errno not in NO_ROOM:
        return error
    return RunError(
        found=f"no room to write {path} ({error.strerror})",
        expected="space on the disk",
        do="free some space and rerun the command",
    )


def check_no_link(path: Path) -> None:
    """Raise a RunError if `path` is a symbolic link, which may lead anywhere."""
    if path.is_symlink():
        raise as_run_error(OSError(errno.ELOOP, "a symbolic link"), path)


def make_folder(path: Path) -> None:
    """Make the folder `path` and those above it, unless they exist.

    Raises:
        RunError: it cannot be made, or `path` is a symbolic link.
    """
    if "\0" in str(path):
        raise RunError(found=f"the path {path}", expected="a path without NUL", do="choose another --out")
    check_no_link(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_run_error(error, path) from error


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Lock `folder` for this process. The system releases the lock when the process ends, however it ends.

    Raises:
        RunError: another process has locked it, or it cannot be written to.
    """
    try:
        file = opened(folder / ".lock", os.O_RDWR | os.O_CREAT)  # without O_TRUNC: it may be a user's file
    except OSError as error:
        raise as_run_error(error, folder / ".lock") from error
    try:
        _hold(file, folder)
        yield
    finally:
        os.close(file)


def _hold(file: int, folder: Path) -> None:
    try:
        hold(file)  # on a file system without locks the user has to avoid two writers
    except BlockingIOError as error:
        raise RunError(
            found=f"another process is at work in {folder}",
            expected="one writer at a time",
            do="wait until it ends, or stop it",
        ) from error
