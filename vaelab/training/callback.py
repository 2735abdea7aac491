"""What training tells: lines of log.jsonl for good, and a Status for whoever looks on."""

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
    """What a person who waits wants to know. Terms are means over the images since the last validation, in nats."""

    step: int
    steps: int
    epoch: float
    epochs: float
    images_per_second: float
    seconds_left: float
    terms: dict[str, float]
    row: dict[str, Any] | None  # the line that was just written to log.jsonl, if one was
    beside: tuple["Status", ...] = ()  # of the other runs that are trained as one program with this one


@dataclass(frozen=True)
class Callback:
    """Who looks on: `say` takes a line of text, `show` a Status every so often."""

    say: Callable[[str], None]
    show: Callable[[Status], None]


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
    """A line of log.jsonl: what must stand in it, and of which types."""

    step: Count
    epoch: Finite
    train: Terms
    validation: NotRequired[Terms]
    criterion: NotRequired[str]
    judged: NotRequired[bool]
    findings: NotRequired[list[FindingRow]]


def _judged_by_something(row: LogRow) -> LogRow:
    if row.get("judged") and not ("criterion" in row and "loss" in row.get("validation", {})):
        raise ValueError("judged by nothing")
    return row


SCHEMA = TypeAdapter(Annotated[LogRow, AfterValidator(_judged_by_something)])


class Log:
    """log.jsonl: one JSON object a line.

    Lines behind `length` belong to steps that will be taken again. Lines before it that are damaged are left out.

    Arguments:
        path: of the file.
        length: bytes of it that the checkpoint counts.
        say: told where some of those are lost.
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
                own = found.st_nlink == 1  # and no hard link, by which it would be a file of somebody else's too
                if own and self.length == length:
                    file.truncate(length)
        except OSError as error:
            raise as_run_error(error, path) from error
        self.last = rows[-1][1] if rows else None  # the line written last
        if not own or self.length < length:
            write_atomically(path, b"".join(line for line, _ in rows))
        if self.length < length:
            say(f"{path} lost lines since the checkpoint was written: {len(rows)} are left, and the training goes on")

    def append(self, row: dict[str, Any]) -> int:
        """Write a line; the file's length behind it. RunError where the disk is full."""
        try:
            with self._open() as file:
                file.write(json.dumps(row).encode() + b"\n")
                file.flush()
                self.last, self.length = row, file.tell()
                return self.length
        except OSError as error:
            raise as_run_error(error, self.path) from error

    def sync(self) -> None:
        """Have all lines on the disk: before the checkpoint that counts them. RunError where the disk is full."""
        try:
            with self._open() as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise as_run_error(error, self.path) from error

    def _open(self) -> BinaryIO:
        return os.fdopen(opened(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "ab+")


def row_of(line: bytes) -> dict[str, Any] | None:
    """What a line of a log says, None where it is not whole."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
        SCHEMA.validate_python(row)
    except (ValueError, RecursionError):  # pydantic's are of the first kind
        return None
    return row
