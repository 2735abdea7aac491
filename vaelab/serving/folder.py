"""A folder that is written as a whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vaelab.system.files import as_run_error, check_no_link, make_folder


@contextmanager
def new_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path`, which gets this name when the context ends. After an error nothing is left.

    Arguments:
        replace: whether `path` exists, and is to be deleted when the new folder is complete.

    Raises:
        RunError: `path` is a symbolic link, the disk is full, or the folder cannot be made.
    """
    check_no_link(path)
    above = [folder for folder in path.parents if not folder.exists()]
    temporary, old = (path.with_name(f".{path.name}.{secrets.token_hex(8)}.{end}") for end in ("tmp", "old"))
    try:
        make_folder(path.parent)
        temporary.mkdir()
        yield temporary
        if replace:
            os.rename(path, old)
        try:
            os.rename(temporary, path)
        except OSError:
            if replace:
                os.rename(old, path)
            raise
    except OSError as error:
        raise as_run_error(error, path) from error
    finally:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)
        if not path.exists():
            for folder in above:
                with suppress(OSError):
                    folder.rmdir()
