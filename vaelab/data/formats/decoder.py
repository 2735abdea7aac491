"""A process that decodes image files. Python runs one thread at a time, and small files are mostly work of Python.

The process gets a JSON object in each line of its input: first the folder and the conversion, then names of files. It
answers each line of names with a line that says what it decoded, and the levels, in the order of the files. It ends
when its input ends, so none is left if the process that started it dies for any reason.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from vaelab.data.conversion import Conversion, Converted, Resize
from vaelab.data.formats.picture import LARGE_BYTES, decoded, without_warnings
from vaelab.system.errors import DataError
from vaelab.system.worker import command

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # NumPy starts threads that nothing here uses
ALONE = -1  # the kind of a file that is left to the other process


class Decoder:
    """The process, as seen by the one that started it. It does not see Ctrl-C, which comes to the latter only.

    Only one thread uses it at a time, but any thread may close it.
    """

    def __init__(self, folder: str, conversion: Conversion) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):  # no process can be started
            self._process = subprocess.Popen(
                command("vaelab.data.formats.decoder", "serve"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, **ONE_THREAD},
            )
            self._send({"folder": folder, **asdict(conversion)})

    def decode(self, names: Sequence[str]) -> list[Converted | None]:
        """Decode files of the folder; None for each that the process left: a damaged or very large one, or if it died.

        What it leaves is for the caller to decode, so a process that fails changes the time and nothing else.
        """
        try:
            self._send(names)
            return self._answer()
        except (OSError, ValueError, EOFError):
            return [None] * len(names)

    def close(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):  # what was not sent yet is dropped
                    if pipe is not None:
                        pipe.close()

    def _send(self, said: Any) -> None:
        if self._process is None:
            raise EOFError
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(said).encode() + b"\n")
        self._process.stdin.flush()

    def _answer(self) -> list[Converted | None]:
        assert self._process is not None
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        sizes = [math.prod(shape) for shape, _, _ in said["kinds"]]
        content = self._process.stdout.read(sum(sizes[kind] for kind in said["files"] if kind != ALONE))
        at, found = 0, list[Converted | None]()
        kinds = [(tuple(shape), tuple(size), tuple(changes)) for shape, size, changes in said["kinds"]]
        for kind in said["files"]:
            if kind == ALONE:
                found.append(None)
                continue
            shape, size, changes = kinds[kind]
            levels = np.frombuffer(content, np.uint8, sizes[kind], at).reshape(shape)  # ValueError if it is too short
            found.append(Converted(levels, size, changes))
            at += sizes[kind]
        return found


def serve() -> None:
    """Decode the files that the input names, until it ends."""
    told = json.loads(sys.stdin.buffer.readline())
    folder, resize = told.pop("folder"), told.pop("resize")
    conversion = Conversion(resize and Resize(**resize), **told)
    with without_warnings(), suppress(BrokenPipeError):  # the other process died
        for line in sys.stdin.buffer:
            said, levels = _block(folder, json.loads(line), conversion)
            sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
            sys.stdout.buffer.writelines(levels)
            sys.stdout.buffer.flush()


def _block(folder: str, names: Sequence[str], conversion: Conversion) -> tuple[dict[str, Any], list[bytes]]:
    """What was decoded, and the levels.

    What was decoded: for each file the number of its kind, and the shape, size and changes of each kind (`Converted`).
    """
    kinds, files, levels = dict[Any, int](), list[int](), list[bytes]()
    for name in names:
        try:
            found = decoded(f"{folder}/{name}", conversion, most_bytes=LARGE_BYTES)
        except DataError:
            files.append(ALONE)
            continue
        files.append(kinds.setdefault((found.levels.shape, found.size, found.changes), len(kinds)))
        levels.append(found.levels.tobytes())
    return {"kinds": list(kinds), "files": files}, levels
