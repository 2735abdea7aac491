"""Processes that carry out one job after another, so that what a start costs is paid once."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

# Not `-m`, and with -P: nothing in the current folder is imported in the place of Python's own modules. The folder of
# vaelab itself stands last on the path, for a vaelab that was not installed.
START = "import sys; sys.path.append(sys.argv[1]); from vaelab.studies.worker_main import serve; serve()"
HOME = str(Path(__file__).parents[2])


class Worker:
    """A process of `vaelab.studies.worker_main`. It starts when it is first needed, and again if it died.

    Only one thread uses it at a time.

    Orders go to its input, and what it says comes from its output, a JSON object a line. It stops when its input ends,
    so that none is left where this process dies, however it dies.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 see `close`

    def carry_out(self, job: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> str:
        """Carry out `job` and hand what the worker says to `tell`; return what went wrong, or ""."""
        process = self._started()
        orders, answers = process.stdin, process.stdout
        assert orders is not None
        assert answers is not None
        try:
            orders.write(json.dumps(job) + "\n")
            orders.flush()
            for line in answers:
                said = json.loads(line)
                if "end" in said:
                    return said["end"]
                tell(said)
        except BrokenPipeError:  # it died while it was idle
            pass
        return f"its process ended with status {process.wait()}: {self._last_error()}"

    def stop(self) -> None:
        """Ask for what it is doing to be saved and ended; does not wait. From any thread."""
        if self._process is not None and self._process.stdin is not None and self._process.poll() is None:
            with suppress(BrokenPipeError):  # it died meanwhile
                self._process.stdin.write(json.dumps("stop") + "\n")
                self._process.stdin.flush()

    def close(self) -> None:
        """Let it go, behind what it is doing."""
        if self._process is not None:
            self._process.communicate()
            self._process = None
        self._errors.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        if self._process is not None:
            self._process.communicate()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, HOME],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for this process, which then says `stop`
        )
        return self._process

    def _last_error(self) -> str:
        self._errors.seek(0)
        return (self._errors.read().strip().splitlines() or ["nothing was said"])[-1]
