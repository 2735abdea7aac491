"""Code for all processes: the task on the command line, the clock, and the line of JSON at the end.

It imports no library, so a process imports only what it needs, and this time is measured.
"""

import argparse
import json
import os
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.workloads import Trainer, Workload, workloads

STARTED = "BENCHMARK_STARTED"  # the time when the driver started this process, in seconds of `time.time`


@dataclass(frozen=True)
class Task:
    """The task of one process."""

    workload: Workload
    precision: str
    seed: int
    folder: Path  # with the arrays, see `benchmarks.arrays`
    rest: tuple[str, ...]

    @property
    def training(self) -> Trainer:
        assert self.workload.training is not None
        return self.workload.training

    @property
    def array(self) -> Path:
        """uint8 images [N, C, H, W] to train on."""
        return self.folder / f"{self.workload.key}.npy"


def read_task() -> Task:
    """The task on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", required=True)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    known, rest = parser.parse_known_args()
    chosen = workloads(known.quick)[known.workload]
    return Task(chosen, known.precision, known.seed, known.folder, tuple(rest))


def since_start() -> float:
    """Seconds since this process was started, including the start of the interpreter and all imports."""
    return time.time() - float(os.environ.get(STARTED) or _BEGAN)


_BEGAN = time.time()  # if there is no driver


@dataclass
class Stopwatch:
    """The seconds of the blocks of a training, warm-up blocks first, and the time when its first step was done."""

    task: Task
    blocks: list[float] = field(default_factory=list)
    to_first_step: float | None = None
    _began: float = 0.0
    _cost: dict[str, float] | None = None

    def first_step(self) -> None:
        """Record that a step is done; only the first call has an effect."""
        if self.to_first_step is None:
            self.to_first_step = since_start()

    def begin(self) -> None:
        self._began = time.perf_counter()

    def end(self) -> None:
        self.blocks.append(time.perf_counter() - self._began)

    def stop(self) -> None:
        """Record that the training is done; later work is not part of the whole process."""
        self._cost = cost()

    def report(self, final_loss: float, loss_se: float | None, **more: Any) -> None:
        """Print the report of a training.

        Arguments:
            final_loss: mean training loss over the last block, nats per image, without the constant of a density.
            loss_se: its standard error over images or batches; None if it is not known.
        """
        training = self.task.training
        steady = sorted(self.blocks[training.warm :])
        middle = len(steady) // 2
        median = steady[middle] if len(steady) % 2 else (steady[middle - 1] + steady[middle]) / 2
        if self._cost is None:
            self.stop()
        report(
            self.task,
            **(self._cost or {}),
            step_ms=1e3 * median / training.steps,
            seconds_to_first_step=self.to_first_step,
            block_seconds=self.blocks,
            final_loss=final_loss,
            loss_se=loss_se,
            **more,
        )


def report(task: Task, **measured: Any) -> None:
    """Print the measurements as one line of JSON; add time and memory up to now unless `measured` has them."""
    common = {"workload": task.workload.key, "precision": task.precision, "seed": task.seed}
    print(json.dumps({**common, **cost(), **measured}), flush=True)


def cost() -> dict[str, float]:
    """Seconds since the start, and the peak of memory."""
    return {"whole_process_seconds": since_start(), "peak_memory_mb": peak_memory_mb()}


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB of 10^6 bytes."""
    try:  # ru_maxrss of a process starts at the value of its parent, so VmHWM is preferred
        lines = Path("/proc/self/status").read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
        return int(peak) * 1024 / 1e6
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
