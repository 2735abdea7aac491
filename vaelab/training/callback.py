"""Progress of a training run: the lines of log.jsonl, and a Status that is shown while it runs."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NotRequired

from pydantic import AfterValidator, TypeAdapter, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from vaelab.system.files import as_run_error, opened, write_atomically
from vaelab.system.json_types import Count, FindingRow, Finite


@dataclass(frozen=True)
class Status:
    """The progress of a run, for display. Terms are means over the images since the last validation, in nats."""

    step: int
    steps: int
    epoch: float
    epochs: float
    images_per_second: float
    seconds_left: float
    terms: dict[str, float]
    row: dict[str, Any] | None  # the line just written to log.jsonl, or None
    beside: tuple["Status", ...] = ()  # of the other runs in the same vmapped program


def _ignore(measure: str, share: float) -> None:
    pass


@dataclass(frozen=True)
class Callback:
    """Receives progress.

    Arguments:
        say: gets a line of text.
        show: gets a Status every `show_every` seconds, or less often.
        show_every: seconds; 0: after each step, which waits for the device.
        measured: gets the name of a measure, such as "likelihood", and the completed proportion of its work.
    """

    say: Callable[[str], None]
    show: Callable[[Status], None]
    show_every: float = 0.5
    measured: Callable[[str, float], None] = _ignore


SILENT = Callback(say=lambda line: None, show=lambda status: None)


@with_config({"extra": "allow"})
class Terms(TypedDict):
    """Means over images, in nats."""

    elbo: Finite
    rate: Finite
    distortion: Finite
    loss: NotRequired[Finite]


@with_config({"extra": "allow"})
class LogRow(TypedDict):
    """A line of log.jsonl: its required keys and their types."""

    step: Count
    epoch: Finite
    train: Terms
    validation: NotRequired[Terms]
    criterion: NotRequired[str]
    judged: NotRequired[bool]
    findings: NotRequired[list[FindingRow]]


def _judged_by_something(row: LogRow) -> LogRow:
    if row.get("judged") and not ("criterion" in row and "loss" in row.get("validation", {})):
        raise ValueError("judged without a criterion")
    return row


SCHEMA = TypeAdapter(Annotated[LogRow, AfterValidator(_judged_by_something)])


class Log:
    """log.jsonl: one JSON object per line.

    Bytes after `length` belong to steps that will be taken again, and are removed. Damaged lines before it are removed.

    Arguments:
        path: of the file.
        length: length of the file in bytes, according to the checkpoint.
        say: is called if lines are lost.
    """

    def __init__(self, path: Path, length: int, say: Callable[[str], None]) -> None:
        self.path = path
        try:
            with self._open() as file:
                found = os.fstat(file.fileno())
                file.seek(0)
                counted = file.read(min(length, found.st_size))
                rows = [(line, row) for line in counted.splitlines(keepends=True) if (row := row_of(line))]
                self.length = sum(len(line) for line, _ in rows)
                own = found.st_nlink == 1  # a file with hard links may also belong to somebody else; do not truncate it
                if own and self.length == length:
                    file.truncate(length)
        except OSError as error:
            raise as_run_error(error, path) from error
        self.last = rows[-1][1] if rows else None  # the last line
        if not own or self.length < length:
            write_atomically(path, b"".join(line for line, _ in rows))
        if self.length < length:
            say(f"{path} lost lines since the checkpoint was written: {len(rows)} are left; training continues")

    def append(self, row: dict[str, Any]) -> int:
        """Write a line and return the new length of the file. Raise RunError if the disk is full."""
        try:
            with self._open() as file:
                file.write(json.dumps(row).encode() + b"\n")
                file.flush()
                self.last, self.length = row, file.tell()
                return self.length
        except OSError as error:
            raise as_run_error(error, self.path) from error

    def sync(self) -> None:
        """Flush all lines to the disk, before the checkpoint that counts them. Raise RunError if the disk is full."""
        try:
            with self._open() as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise as_run_error(error, self.path) from error

    def _open(self) -> BinaryIO:
        return os.fdopen(opened(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "ab+")


class NoLog:
    """The log of a worker that writes no files."""

    length, last = 0, None

    def append(self, row: dict[str, Any]) -> int:
        return 0

    def sync(self) -> None:
        pass


NO_LOG = NoLog()


def row_of(line: bytes) -> dict[str, Any] | None:
    """Return the content of a line of a log, or None if the line is incomplete or invalid."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
        SCHEMA.validate_python(row)
    except (ValueError, RecursionError):  # pydantic's errors are ValueErrors
        return None
    return row
