"""Go on with a finished run: its last state becomes the first of a longer run, in a directory of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vaelab.data.dataset import Splits
from vaelab.data.in_hand import InHand
from vaelab.models import VAE
from vaelab.objectives.losses import Objective, on_device
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.compatibility import check
from vaelab.runs.directory import CHECKPOINT, Run
from vaelab.runs.keep import Keep, KeepCheckpoint
from vaelab.runs.provenance import environment, fingerprint
from vaelab.runs.spec import Spec
from vaelab.runs.train import default_name, train_blueprint
from vaelab.system.device import Device, find_device
from vaelab.system.errors import RunError, SpecError
from vaelab.system.files import as_argument, check_name, small, write_atomically
from vaelab.training.callback import Callback, row_of
from vaelab.training.checkpoint import Origin, Progress, read_checkpoint, write_checkpoint
from vaelab.training.continuation import log_of_longer, why_not
from vaelab.training.lines import default_callback
from vaelab.training.step.compiled import Compile
from vaelab.training.step.step import TrainState

ROUNDING = ("vaelab", "torch", "device", "threads")  # of the environment, on which the rounding may depend


def resume(
    run: Run | Path | str,
    epochs: float,
    out: Path | str | None = None,
    name: str | None = None,
    root: str | None = None,
    compile: Compile = "auto",
    device: Device = "auto",
    callback: Callback | None = None,
    source: str | InHand | None = None,
    keep_checkpoint: KeepCheckpoint = "auto",
    keep_examples: bool = True,
) -> Run:
    """Go on with a finished run until it has `epochs` epochs, and return the longer run, in a directory of its own.

    The longer run is the one of its Spec: bit for bit what a training of all its epochs gives on this machine. A run
    for which this is not possible is refused, because two different trainings would have one Spec. `run` itself does
    not change. If it was stopped, the same call resumes it. A prior that is fitted after training is fitted again.

    Arguments:
        run: a finished run that keeps its checkpoint, or its directory.
        epochs: of the longer run, counted from the beginning.
        out: the directory of the longer run's directory; by default that of `run`.
        name, compile, device, callback, keep_checkpoint, keep_examples: as in `train`.
        root, source: where the run's images are now; see `Run.data`.

    Raises:
        RunError: `run` is not finished, keeps no checkpoint, or its checkpoint, log or images are not its own.
        SpecError: `epochs` is not larger than before; or the schedule of the learning rate depends on the number of
            epochs, so that the longer run would have taken other steps.
        VaelabError: as `train`.
    """
    run, callback = Run.of(run), callback or default_callback()
    result, before = run.result, run.spec
    if name is not None:
        check_name("--name", name)
    spec = Spec(**{**before.model_dump(), "epochs": epochs})
    if spec.epochs <= before.epochs:
        raise SpecError(
            found=f"epochs = {spec.epochs:g} for {run.path}, which has {before.epochs:g}",
            expected="more epochs than it has, counted from its beginning",
            do="raise --epochs",
        )
    blueprint = replace(blueprint_of(spec), source=run.blueprint.source)
    check(blueprint)
    path = as_argument(run.path / "spec.json")
    scratch = f"train all epochs from the beginning: vaelab train --spec {path} --epochs {epochs:g}"
    images = result["data"]["train"]["images"]
    if why := why_not(before, spec, blueprint.schedule, images, result["steps"]):
        expected = "a run whose last state is also one of the longer run"
        raise SpecError(found=f"{run.path}: {why}", expected=expected, do=scratch)
    folder = run.path.parent if out is None else Path(out)
    longer = Run.planned(folder / (name or default_name(blueprint.spec)), blueprint)
    if not (longer.done or any((each.path / CHECKPOINT).exists() for each in (longer, run))):
        raise RunError(
            found=f"no {run.path / CHECKPOINT}",
            expected="the last state of the run, which --keep-checkpoint yes keeps",
            do=scratch,
        )

    def start(model: VAE, objective: Objective, data: Splits) -> Callable[[], None]:
        if (longer.path / CHECKPOINT).exists():  # it was started and stopped
            return lambda: None
        state = TrainState.start(model, spec, on_device(objective, next(model.parameters()).device))
        try:
            progress, best = read_checkpoint(run.path / CHECKPOINT, model, state, fingerprint(before, data))
            log = log_of_longer(_log_of(run, progress, result["steps"]), spec, images)
        except RunError as error:
            raise RunError(found=error.found, expected=error.expected, do=scratch) from error
        origin = Origin(run.path.absolute().name, before.hash, progress.step)
        progress = replace(progress, log_bytes=len(log), origin=origin)

        def write() -> None:
            write_atomically(longer.path / "log.jsonl", log)
            owner = fingerprint(blueprint.spec, data)
            write_checkpoint(longer.path / CHECKPOINT, model, state, best, progress, owner)

        return write

    then, now = result["environment"], environment(find_device(device))
    if other := [f"{key} {then[key]} then, {now[key]} now" for key in ROUNDING if then[key] != now[key]]:
        callback.say(f"its last digits may differ from those of a training of all epochs: {'; '.join(other)}")
    keep = Keep(keep_checkpoint, keep_examples)
    train_blueprint(longer, blueprint, lambda: run.data(root, source), compile, device, callback, keep, start=start)
    return longer


def _log_of(run: Run, progress: Progress, steps: int) -> bytes:
    """The lines of the log that the checkpoint counts; RunError if they are not all there, or it is not the last."""
    path = run.path / "log.jsonl"
    if progress.step != steps:
        found = f"{run.path / CHECKPOINT}, which is of step {progress.step:,}"
        raise RunError(found=found, expected=f"the last step of the run, {steps:,}", do="")
    log = small(path).read_bytes()[: progress.log_bytes] if path.exists() else b""
    if len(log) < progress.log_bytes or any(row_of(line) is None for line in log.splitlines(keepends=True)):
        raise RunError(found=f"{path} is damaged", expected="the log that the run wrote", do="")
    return log
