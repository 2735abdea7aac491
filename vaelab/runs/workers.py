"""What the workers of one training must have in common."""

import json
from importlib.metadata import version

import torch

from vaelab.runs.directory import CHECKPOINT, Run
from vaelab.system.errors import RunError
from vaelab.system.world import Reduce, World
from vaelab.training.checkpoint import step_of
from vaelab.training.step.compiled import Compile


def check_workers(here: World, run: Run, owner: str, compile: Compile, reduce: Reduce, device: torch.device) -> None:
    """Compare what this worker is about to do with what the others are; do nothing if there are no others.

    Arguments:
        owner: identifies the Spec and the images (`fingerprint`).

    Raises:
        RunError: two workers have different Specs, images, software, options or numbers of threads, or do not see the
            same directory.
    """
    if here.size == 1:
        return
    spec, images = owner.split()
    own = {
        "Spec": spec,
        "training images with the digest": images,
        "vaelab": version("vaelab"),
        "torch": torch.__version__,
        "device": device.type,
        "threads": str(torch.get_num_threads()),
        "--compile": compile,
        "--reduce": reduce,
        "a directory whose spec.json is": "there" if (run.path / "spec.json").exists() else "missing",
        "a checkpoint of step": str(step_of(run.path / CHECKPOINT)),
    }
    first, *others = map(json.loads, here.texts(json.dumps(own)))
    for rank, other in enumerate(others, 1):
        for what, value in first.items():
            if other[what] != value:
                raise RunError(
                    found=f"worker 0 has {what} {value}, and worker {rank} has {what} {other[what]}",
                    expected="the same for all workers of a training",
                    do="start all of them with one command, on one version of vaelab, over one shared folder",
                )
