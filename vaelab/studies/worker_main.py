"""The program of a worker process: it trains and evaluates runs, one job per line of input, and reports progress."""

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from vaelab.runs.evaluate import evaluate
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import VaelabError, in_one_line
from vaelab.training.callback import Callback, Status
from vaelab.training.lines import measured_lines

GRACE_SECONDS = 3.0  # for a worker to save its state after its parent died


def serve() -> None:
    """Carry out the jobs from the input until it ends. Anything else that is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(said: dict[str, Any]) -> None:
        print(json.dumps(said), file=answers, flush=True)

    jobs, busy = SimpleQueue[dict[str, Any] | None](), threading.Event()
    threading.Thread(target=_listen, args=(jobs, busy), daemon=True).start()
    while (job := jobs.get()) is not None:
        busy.set()
        end = _carried_out(job, tell)
        busy.clear()
        with suppress(BrokenPipeError):  # the parent process has ended
            tell({"end": end})


def _listen(jobs: "SimpleQueue[dict[str, Any] | None]", busy: threading.Event) -> None:
    """Put the jobs from the input into the queue. If the input ends during a job, the parent died: save and exit."""
    for line in sys.stdin:
        order = json.loads(line)
        if order != "stop":
            jobs.put(order)
        elif busy.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
    jobs.put(None)
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)  # the group includes the compilers that this process started
        os._exit(1)


def _carried_out(job: dict[str, Any], tell: Any) -> str:
    """Train and evaluate the run of a job; return the error, or "" for success.

    Arguments:
        job: spec, folder, metrics, root, compile, threads, keep.
    """

    def show(status: Status) -> None:
        tell({"status": {**asdict(status), "beside": ()}})

    def say(line: str) -> None:
        tell({"say": line})

    callback = Callback(say=say, show=show, measured=measured_lines(say))
    torch.set_num_threads(job["threads"])
    folder = Path(job["folder"])
    try:
        spec, where = Spec(**job["spec"]), (folder.parent, folder.name, job["root"], job["compile"])
        run = train(spec, *where, callback=callback, **job["keep"])
        if job["metrics"]:
            evaluate(run, job["metrics"], job["root"], callback=callback)
    except VaelabError as error:
        return str(error)
    except Exception as error:  # a fault in vaelab or in the user's own part
        return in_one_line(error)
    return ""
