"""The command line: finds the command, and prints a user's mistake in one line.

Nothing slow is imported before a command is chosen, so that `vaelab --help` answers at once.
"""

import errno
import functools
import importlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, chdir, nullcontext
from typing import Any, TextIO

from vaelab.cli.commands import COMMANDS
from vaelab.cli.output import say
from vaelab.cli.overview import overview
from vaelab.system.errors import Interrupted, SpecError, VaelabError, unknown
from vaelab.system.files import NO_ROOM

NO_MEMORY = ("not enough memory", "out of memory", "allocate memory")  # in messages of torch and of the system
CLOSED = 141  # 128 + SIGPIPE: what a shell gives for a program that SIGPIPE ends
HELP = ("help", "-h", "--help")
GROUPS = {name.split()[0] for name in COMMANDS if " " in name}  # first words of commands of two


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0; 2 for a user's mistake; 130 if it was interrupted; `CLOSED` if nobody reads the output.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None or sys.stderr is None:  # closed by the program that started this one
        sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for terminals that cannot show every letter
    try:
        try:
            _answer(argv)
        finally:
            sys.stdout.flush()  # here, so that its errors are handled below
    except Interrupted as error:
        return _failed(str(error), 130)
    except KeyboardInterrupt:
        return _failed(f"interrupted; rerun the command to {'resume' if _resumes(argv) else 'start again'}", 130)
    except VaelabError as error:
        full = isinstance(error.__cause__, OSError) and error.__cause__.errno in NO_ROOM
        return _failed(f"{error}{' to resume: finished work is kept' * (full and _resumes(argv))}", 2)
    except (MemoryError, RuntimeError) as error:
        if (why := _memory(error)) is None:
            raise
        return _failed(why, 2)
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of the output has seen enough, as `head` has
            return _failed("", CLOSED)
        if error.filename is None and not _can_print():
            found = f"the output cannot be written ({error.strerror or error})"
            return _failed(f"{found}; expected a file or pipe that takes it; free some space, or choose another", 2)
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}; expected a path that can be used; choose another", 2)
    return 0


def _answer(argv: list[str]) -> None:
    if not argv or argv[0] in HELP:
        _help(argv[1:])
    elif argv[0] == "--version":
        from importlib.metadata import version

        say(f"vaelab {version('vaelab')}")
    else:
        name, flags = _named(argv)
        if name in GROUPS or {"-h", "--help"} & {*flags}:
            _help(name.split())
        else:
            _run(name, flags)


def _resumes(argv: Sequence[str]) -> bool:
    """Whether the command goes on where it stopped if it is run again."""
    return any(name in COMMANDS and COMMANDS[name].resumes for name in (" ".join(argv[:1]), " ".join(argv[:2])))


def _named(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command, or the first word of several, and the flags that follow it.

    Raises:
        SpecError: there is no such command, or a flag is before it.
    """
    count = 2 if words[0] in GROUPS and {*words[1:]} - {*HELP} else 1
    name, flags = " ".join(words[:count]), list(words[count:])
    if words[count - 1].startswith("-"):
        raise SpecError(
            found=f"the flag {words[count - 1]} before a command",
            expected="the command first, then its flags",
            do="see `vaelab --help`",
        )
    if name not in (*COMMANDS, *GROUPS):
        raise unknown("command", name, COMMANDS)
    return name, flags


def _help(words: Sequence[str]) -> None:
    """Print the help of a command, or the overview."""
    name = _named(words)[0] if words else ""
    if name not in COMMANDS:
        say(*overview(name).split("\n"))
        return
    from vaelab.cli.parser import help_page

    more = COMMANDS[name].more_help
    say(*help_page(name, _function(name), _of_file(name, more)() if more else ()).split("\n"))


def _run(name: str, flags: list[str]) -> None:
    from vaelab.cli.parser import parsed

    os.environ["MPLBACKEND"] = "Agg"  # for files; one that a notebook or an editor named may not exist here
    _load_matplotlib_elsewhere()
    command = _function(name)
    if defaults := COMMANDS[name].defaults:
        command = functools.partial(command, **_of_file(name, defaults)(flags))
    with _workers(name):
        parsed(name, command, flags)()


def _workers(name: str) -> AbstractContextManager[object]:
    """A context in which this process works together with those that torchrun started beside it, if it did.

    Raises:
        SpecError: the command cannot be shared.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size == "1":
        return nullcontext()
    if COMMANDS[name].shared:
        from vaelab.system.world import joined

        return joined()
    if os.environ.get("RANK", "0") != "0":  # the first worker says it
        raise SystemExit(2)
    raise SpecError(
        found=f"`vaelab {name}` with {size} workers (WORLD_SIZE)",
        expected=f"one process: only {', '.join(each for each in COMMANDS if COMMANDS[each].shared)} can be shared",
        do="start it without torchrun, or unset WORLD_SIZE",
    )


def _function(name: str) -> Callable[..., None]:
    return _of_file(name, name.replace(" ", "_"))


def _of_file(name: str, function: str) -> Callable[..., Any]:
    """A function of the file of a command, which is imported."""
    return getattr(importlib.import_module(f"vaelab.cli.commands.{name.split()[0]}"), function)


def _memory(error: Exception) -> str | None:
    """What to say about an error of too little memory, of this machine or its GPU; None for any other error."""
    said = str(error).lower()
    if not isinstance(error, MemoryError) and not any(words in said for words in NO_MEMORY):
        return None
    size = re.search(r"allocate ([\d.]+ ?\w+)", said)
    needs = (
        f"needs {size[1].replace('gib', 'GiB').replace('mib', 'MiB')} of memory at once" if size else "no memory left"
    )
    return f"{needs}; expected less than is free; use smaller or fewer layers, a smaller batch or fewer samples"


def _failed(why: str, status: int) -> int:
    """Print why; the status. Output that cannot be written is dropped, or Python prints an error when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop(sys.stdout)
    if why:
        try:
            say(f"vaelab: {why}", stream=sys.stderr, now=True)
        except OSError:
            _drop(sys.stderr)
    return status


def _can_print() -> bool:
    """Whether an empty line can be written to the output: an error of the output does not name it."""
    try:
        say(now=True)
    except OSError:
        return False
    return True


def _drop(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _load_matplotlib_elsewhere() -> None:
    """Import matplotlib in an empty folder, if the current folder has a file matplotlibrc.

    matplotlib reads that file when it is imported, and some versions run code in it.
    """
    if not os.path.lexists("matplotlibrc"):
        return
    with tempfile.TemporaryDirectory() as empty, chdir(empty):
        import matplotlib as matplotlib
