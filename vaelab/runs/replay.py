"""Replay the step that stopped a run."""

from dataclasses import replace

import torch

from vaelab.runs.build import build_model, build_objective
from vaelab.runs.directory import Run
from vaelab.runs.provenance import fingerprint
from vaelab.system.errors import RunError, shortened
from vaelab.system.processor import at_full_speed
from vaelab.training.checkpoint import read_checkpoint
from vaelab.training.diagnosis.post_mortem import RECORD, STATE, PostMortem
from vaelab.training.diagnosis.replay import replay_step
from vaelab.training.setup import TrainingSetup, bfloat16
from vaelab.training.step.step import TrainState


def replay(run: Run, root: str | None = None, source: str | None = None) -> PostMortem:
    """Repeat the failed step of `run` from the state before it, and return the post-mortem with the new report.

    Arguments:
        root, source: where the run's images are now; see `Run.data`.

    Raises:
        RunError: `run` has no post-mortem, or this machine does not have its device.
    """
    spec, blueprint, found = run.spec, run.blueprint, PostMortem.read(run.path)
    if found.device not in ("cpu", "cuda"):
        raise RunError(
            found=f"a post-mortem that was made on a device {shortened(found.device)}, in {run.path}",
            expected="cpu or cuda",
            do="train the run again",
        )
    if found.device == "cuda" and not torch.cuda.is_available():
        raise RunError(
            found=f"a post-mortem that was made on a CUDA device, in {run.path}; this machine has no CUDA device",
            expected="a CUDA device, because its noise differs from that of the CPU",
            do=f"replay it where it was trained, or read {run.path / RECORD}",
        )
    data = run.data(root, source)
    model = build_model(blueprint, data.train.shape, data.train.labels).to(found.device)
    objective = build_objective(blueprint, len(data.train))
    setup = TrainingSetup.of(model, objective, data.train, spec, blueprint.schedule)
    state = TrainState.start(model, spec, setup.objective)
    progress, _ = read_checkpoint(run.path / STATE, model, state, fingerprint(spec, data))
    with at_full_speed(), bfloat16(model, spec.precision == "bfloat16"):
        return replace(found, report=replay_step(setup, state, progress.step))
