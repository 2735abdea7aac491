"""Processes that carry out one command of vaelab after another, so that what a start costs is paid once."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence

END = "\x04"  # begins the line behind a command's last, which says its exit status; no command prints it


class Worker:
    """A process of `vaelab.serve`, started when first needed, and anew where it died. For one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def carry_out(self, command: Sequence[str], tell: Callable[[str], None]) -> int:
        """Carry out `command` and hand each line that it prints to `tell`: its exit status, not 0 where it died."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vaelab.serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        orders.write(json.dumps(list(command)) + "\n")
        orders.flush()
        for line in answers:
            if line.startswith(END):
                return int(line.removeprefix(END))
            tell(line)
        return self._process.wait() or 1

    def close(self) -> None:
        """Let it go, behind what it is doing."""
        if self._process is not None:
            self._process.communicate()
