"""(f): time the start of a training, from the command to the end of the first step, and the loading of data.

vaelab's own command runs in this process: it parses the arguments, reads the data, builds the model and takes one
step, as in `vaelab train`. The callback is called after every step and not only every half second, and ends the process
after the first step.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.peer import Task, read_task, report, since_start
from benchmarks.workloads import THREADS, A


def first_step(task: Task, compile: str) -> None:
    """Run `vaelab train` of (a) on all of MNIST, up to the end of step 1."""
    import vaelab.runs.train
    from vaelab.cli import main as cli
    from vaelab.training.callback import Callback, Status

    said: list[str] = []

    def show(status: Status) -> None:
        assert status.step == 1, f"the first step shown is {status.step}"
        report(task, seconds=since_start(), said=said)
        os._exit(0)  # the rest of the training is not needed

    train: Callable[..., Any] = vaelab.runs.train.train

    def watched(*arguments: Any) -> Any:
        *others, callback = arguments
        assert isinstance(callback, Callback)
        return train(*others, replace(callback, show=show, say=said.append, show_every=0.0))

    vaelab.runs.train.train = watched  # type: ignore[assignment]
    command = ["train", "--data", "mnist", "--protocol", "binary-static", "--validation", "0", "--compile", compile]
    command += ["--latent", str(A.latent), "--network", f"mlp:hidden={A.hidden[0]}", "--batch", str(A.batch)]
    with tempfile.TemporaryDirectory() as out:
        sys.exit(cli.main([*command, "--threads", str(THREADS), "--out", out]))


def loading(task: Task, source: str) -> None:
    """Time `vaelab.load`, without the start of the interpreter and the imports."""
    import time

    from vaelab.data import load_data

    began = time.perf_counter()
    splits = load_data(source, str(task.folder) if source == "svhn" else None)
    report(task, seconds=time.perf_counter() - began, images=len(splits.train), note=splits.train.note)


if __name__ == "__main__":
    chosen = read_task()
    kind, of = chosen.rest[:2]
    {"train": first_step, "load": loading}[kind](chosen, of)
