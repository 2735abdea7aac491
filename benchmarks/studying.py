"""(g): time a study of 16 small models with `vaelab study`, one run after another, or as the flags say."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.peer import Task, read_task, report
from benchmarks.workloads import THREADS

STUDY = Path(__file__).with_name("study.toml")


def study(task: Task) -> None:
    """Time the whole command, including its report."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "vaelab", "study", str(STUDY), "--out", out, *task.rest]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        if done.returncode:
            words = " ".join((done.stderr.strip() or done.stdout.strip()).split())
            raise SystemExit(f"vaelab study {' '.join(task.rest)}: {words[-200:]}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6  # of the largest process
    report(task, seconds=seconds, peak_memory_mb=peak, threads=THREADS)


if __name__ == "__main__":
    study(read_task())
