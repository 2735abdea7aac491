"""What training tells: lines of log.jsonl for good, and a Status for whoever looks on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaelab.files import as_run_error


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
class Watch:
    """Who looks on: `say` takes a line of text, `show` a Status every so often."""

    say: Callable[[str], None]
    show: Callable[[Status], None]


SILENT = Watch(say=lambda line: None, show=lambda status: None)


class Log:
    """log.jsonl: one JSON object a line, flushed as it is written.

    Arguments:
        path: of the file.
        length: bytes to keep of what stands there; lines behind it belong to steps that will be taken again.
    """

    def __init__(self, path: Path, length: int) -> None:
        self.path = path
        with open(path, "ab") as file:
            file.truncate(length)
        lines = path.read_bytes().splitlines()
        self.last: dict[str, Any] | None = json.loads(lines[-1]) if lines else None  # the line written last

    def append(self, row: dict[str, Any]) -> int:
        """Write a line; the file's length behind it. RunError where the disk is full."""
        try:
            with open(self.path, "ab") as file:
                file.write(json.dumps(row).encode() + b"\n")
                file.flush()
                self.last = row
                return file.tell()
        except OSError as error:
            raise as_run_error(error, self.path) from error
