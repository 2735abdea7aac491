"""The parser of flags: tyro, its help on a page of at most 100 columns, and its errors in one line each."""

import difflib
import functools
import inspect
import io
import itertools
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from vaelab.cli.output import WIDEST, fitting, say
from vaelab.system.errors import SpecError

UNWRAPPED = 100_000  # columns of an error, which is read and not shown
REGISTRY = ConstructorRegistry()
KINDS = {"int()": "a whole number", "to float": "a number"}  # words in Python's errors -> what a flag takes


@REGISTRY.primitive_rule
def _optional(kind: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Text and whole numbers that may be left out are shown as STR and INT, and not as {None}|STR."""
    if kind.type not in (str | None, int | None):
        return None
    of = int if kind.type == int | None else str
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=of.__name__.upper(),
        instance_from_str=lambda words: None if words == ["None"] else of(words[0]),
        is_instance=lambda value: value is None or isinstance(value, of),
        str_from_instance=lambda value: [str(value)],
    )


def parsed(name: str, command: Callable[..., None], flags: Sequence[str]) -> Callable[[], None]:
    """The call of `command` that the flags ask for.

    Arguments:
        name: the command as it is typed, such as "data list".
        command: a function; or a partial one, whose keywords are the defaults of the flags.

    Raises:
        SpecError: an unknown flag, or a value that is missing or of another kind.
    """
    said = io.StringIO()
    try:
        with _columns(UNWRAPPED), redirect_stderr(said):
            call = _cli(name, command, flags)
    except SystemExit as refused:
        raise _explained(said.getvalue(), name, command, flags) from refused
    if warnings := said.getvalue().splitlines():
        say(*warnings, stream=sys.stderr)
    return call


def help_page(name: str, command: Callable[..., None], more: Sequence[str] = ()) -> str:
    """What `vaelab help NAME` prints: usage, the docstring of the command, and its flags.

    Arguments:
        command: as in `parsed`.
        more: lines that follow the docstring.
    """
    width = fitting(shutil.get_terminal_size().columns)
    usage, _, boxes = _printed_help(name, command, width).partition("\n\n")
    about = (inspect.getdoc(getattr(command, "func", command)) or "").split("\n\n")
    paragraphs = [
        textwrap.fill(usage, width, subsequent_indent=" " * 7, break_on_hyphens=False, break_long_words=False),
        *(textwrap.fill(paragraph, width, break_on_hyphens=False) for paragraph in about),
        *(["\n".join(more)] if more else []),
        boxes.rstrip("\n"),
    ]
    return "\n\n".join(paragraphs)


def _printed_help(name: str, command: Callable[..., None], width: int) -> str:
    page = io.TextIOWrapper(
        io.BytesIO(), sys.stdout.encoding or "utf-8", errors="replace"
    )  # tyro draws boxes that this can show
    with _columns(width), redirect_stdout(page), suppress(SystemExit):
        _cli(name, command, ["--help"])
    page.seek(0)
    return page.read()


def _cli(name: str, command: Callable[..., None], flags: Sequence[str]) -> Callable[[], None]:
    """What tyro makes of the flags: a call of the command that is not made yet, since only its errors are tyro's."""
    function, defaults = getattr(command, "func", command), getattr(command, "keywords", {})

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Callable[[], None]:
        return functools.partial(function, *given, **named)

    return tyro.cli(
        functools.partial(call, **defaults),
        prog=f"vaelab {name}",
        description="",
        args=flags,
        config=(tyro.conf.FlagCreatePairsOff,),
        registry=REGISTRY,
    )


@contextmanager
def _columns(width: int) -> Iterator[None]:
    """A terminal of `width` columns, as tyro sees it."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def _explained(box: str, name: str, command: Callable[..., None], flags: Sequence[str]) -> SpecError:
    """The error that tyro printed in a box of several lines, in one line."""
    see, known = f"see `vaelab help {name}`", _known_flags(name, command)
    for word in itertools.takewhile(lambda flag: flag != "--", flags):
        flag = word.partition("=")[0].replace("_", "-")
        if flag.startswith("--") and flag not in known:
            return _unknown_flag(word, name, difflib.get_close_matches(flag, known, n=1))
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line).strip("│| ") for line in box.splitlines()[1:-1]]
    said = " ".join(line for line in lines if line.strip("─-"))
    said = re.sub(r" For full helptext,.*$", "", said)
    if found := re.match(r"Unrecognized options: (.*)", said):
        word = next((flag for flag in flags if found[1].startswith(flag)), found[1])
        if word.startswith("-"):
            return _unknown_flag(word, name)
        return SpecError(found=f"'{word}' without a flag", expected="a flag before each value", do=see)
    if found := re.match(r"Error parsing (\S+): (.*?) Argument helptext:", said):
        flag, why = found[1], found[2].rpartition(">: ")[2]  # of several kinds that it may have, the last is not None
        value, kind = (
            re.search(r"['\"](.*)['\"]$", why),
            next((KINDS[word] for word in KINDS if word in why), "another value"),
        )
        return SpecError(found=f"{flag} '{value[1]}'" if value else f"{flag}: {why}", expected=kind, do="change it")
    if found := re.match(r"Missing value for argument '(.*?)'", said):
        if not found[1].startswith("-"):  # one without a flag, in whose place tyro found something like a flag
            return _unknown_flag(next((flag for flag in flags if flag.startswith("-")), ""), name)
        return SpecError(found=f"{found[1]} without a value", expected="a value after it", do=see)
    if found := re.match(r"Missing from [^:]*: (\S+) (.*?) \(required\)", said):
        if not found[1].startswith("-"):
            return SpecError(found=f"no {found[1]}", expected=found[2], do=f"name it: `vaelab {name} {found[1]}`")
        value, _, what = found[2].partition(" ")
        return SpecError(found=f"no {found[1]}", expected=what, do=f"add {found[1]} {value}")
    if found := re.match(r"invalid choice '(.*)' for argument '(.*?)'\. Expected one of \((.*)\)", said):
        choices = ", ".join(re.findall(r"'(.*?)'", found[3]))
        return SpecError(found=f"{found[2]} '{found[1]}'", expected=f"one of {choices}", do="choose one of these")
    return SpecError(found=said, expected=f"the flags of `vaelab {name}`", do=see)


def _known_flags(name: str, command: Callable[..., None]) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][\w-]*", _printed_help(name, command, WIDEST))


def _unknown_flag(word: str, name: str, close: Sequence[str] = ()) -> SpecError:
    do = f"did you mean {close[0]}?" if close else f"see `vaelab help {name}`"
    return SpecError(found=f"unknown flag {word}", expected=f"a flag of `vaelab {name}`", do=do)
