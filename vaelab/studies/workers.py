"""Worker processes that carry out one job after another, so that each pays the cost of its start only once."""

import json
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from vaelab.system.worker import command


class Worker:
    """A process that runs `vaelab.studies.worker_main`. It starts when it is first needed, and again if it died.

    Only one thread uses it at a time.

    Jobs go to its input, and its reports come from its output, a JSON object in each line. It stops when its input
    ends, so no worker is left if this process dies for any reason.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 see `close`

    def carry_out(self, job: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> str:
        """Carry out `job` and give the worker's reports to `tell`; return the error, or ""."""
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
        except BrokenPipeError:  # the worker died while it was idle
            pass
        return f"its process ended with status {process.wait()}: {self._last_error()}"

    def stop(self) -> None:
        """Tell the worker to save and end its job; does not wait. May be called from any thread."""
        if self._process is not None and self._process.stdin is not None and self._process.poll() is None:
            with suppress(BrokenPipeError):  # the worker died meanwhile
                self._process.stdin.write(json.dumps("stop") + "\n")
                self._process.stdin.flush()

    def close(self) -> None:
        """End the worker after its current job."""
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
            command("vaelab.studies.worker_main", "serve"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            start_new_session=True,  # so that Ctrl-C reaches only this process, which then calls `stop`
        )
        return self._process

    def _last_error(self) -> str:
        self._errors.seek(0)
        return (self._errors.read().strip().splitlines() or ["it printed no error"])[-1]
