"""The training loop."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset, Splits
from vaelab.errors import Interrupted
from vaelab.evaluation.likelihood import evaluate
from vaelab.files import write_atomically
from vaelab.models import VAE
from vaelab.objectives.bounds import Objective
from vaelab.seeds import derive
from vaelab.training.autopsy import RECORD, STATE, Autopsy, error, failure, replay
from vaelab.training.checkpoint import Progress, read_checkpoint, write_checkpoint
from vaelab.training.compiled import Compile, choose_step, step_flops
from vaelab.training.course import Course, bfloat16
from vaelab.training.examine import examine
from vaelab.training.findings import as_row, look, tell_new, timely
from vaelab.training.interrupt import stop_signals
from vaelab.training.plan import Plan
from vaelab.training.step import State
from vaelab.training.watch import Log, Status, Watch

CHECKPOINT_SECONDS = 30.0  # at most this much work is lost to a kill
SHOW_SECONDS = 0.5  # from one reading of the meters for the eye to the next


def fit(
    model: VAE,
    objective: Objective,
    data: Splits,
    plan: Plan,
    folder: Path,
    watch: Watch,
    compile: Compile = "auto",
    fingerprint: str = "",
) -> Progress:
    """Train `model` in place, ending with its best weights; goes on from the checkpoint in `folder` if there is one.

    "Best" is by the ELBO of the validation images; without any, the last weights (or their moving average) are taken.
    A step depends on nothing but its number and what the checkpoint holds, so a run that was stopped and goes on is
    the run that was not: bit for bit on a CPU. Writes checkpoint.safetensors and log.jsonl to `folder`.

    Raises:
        NonFiniteError: a number is no real one; where it began is in autopsy.json, the state before that step in
            autopsy.safetensors, and the last good checkpoint is kept.
        Interrupted: SIGINT or SIGTERM; the state is saved.
        RunError: a damaged or foreign checkpoint, or a full disk.
    """
    course = Course.of(model, objective, data.train, plan)
    epoch, steps = course.epoch, course.steps
    state = State.start(model, plan)
    initial = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
    checkpoint = folder / "checkpoint.safetensors"

    def last_good() -> tuple[Progress, dict[str, Tensor]]:
        """Make model and state those of the checkpoint, or of the start; the progress, and the best weights."""
        if checkpoint.exists():
            return read_checkpoint(checkpoint, model, state, fingerprint)
        model.load_state_dict(initial)
        state.restart()
        return Progress(), {}

    progress, best = last_good()
    if progress.step:
        watch.say(f"going on from step {progress.step:,} of {steps:,}")
    log = Log(folder / "log.jsonl", progress.log_bytes)
    step = choose_step(course.step(state), steps, step_flops(model, plan.batch), compile, watch.say)

    def check() -> None:
        """Where something is not finite, find out what, write it down and raise it."""
        if (failed := failure(state, progress.step)) is None:
            return
        since, best = last_good()
        t = replay(course, step, state, since.step, failed, watch.say, stop.is_set)
        write_checkpoint(folder / STATE, model, state, best, replace(since, step=t), fingerprint)
        autopsy = Autopsy(failed, since.step, course.images.device.type, examine(course, state, t))
        write_atomically(folder / RECORD, autopsy.as_json())
        raise error(autopsy, plan, folder, checkpoint if checkpoint.exists() else None)

    def save() -> None:
        check()
        write_checkpoint(checkpoint, model, state, best, progress, fingerprint)

    clock = Clock(progress)
    with bfloat16(model, plan.precision == "bfloat16"), stop_signals() as stop:
        while progress.step < steps and not out_of_patience(progress, plan, epoch):
            t = progress.step
            course.take(step, t)
            progress = replace(progress, step=t + 1, seconds=clock.seconds())

            row: dict[str, Any] | None = None
            if t + 1 == steps or crosses_multiple(t + 1, plan.validate_every * epoch):
                check()
                row = {"step": t + 1, "epoch": (t + 1) / epoch, "train": state.meters.read()}
                row |= {"learning_rate": course.learning_rate(t)}
                row |= {"seconds": progress.seconds, "images_per_second": plan.batch / clock.pace(t + 1)}
                with averaged(model, state):
                    if data.validation is not None:
                        row["validation"] = validate(model, data.validation, plan.seed)
                        if progress.best_elbo is None or row["validation"]["elbo"] > progress.best_elbo:
                            best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
                            progress = replace(progress, best_step=t + 1, best_elbo=row["validation"]["elbo"])
                    rate = row.get("validation", row["train"])["rate"]
                    found = look(model, data.validation or data.train, rate, plan.seed)
                row |= as_row(timely(found, t + 1, steps, epoch))
                tell_new(row, log.last, watch.say)
                progress = replace(progress, log_bytes=log.append(row))

            if row is not None or clock.due("show", SHOW_SECONDS):
                if state.meters.first_bad():  # looked at here too: an epoch can be long
                    check()
                watch.show(clock.status(t + 1, steps, epoch, plan, state.meters.read(), row))
            if row is not None:
                state.meters.reset()
            if clock.due("save", CHECKPOINT_SECONDS):
                save()
            if stop.is_set():
                save()
                raise Interrupted(
                    found=f"stopped at step {t + 1:,} of {steps:,}",
                    expected=f"{steps:,} steps; the state is saved in {folder}",
                    do="give the same command again to go on",
                )
        save()

    for name in (RECORD, STATE):  # of what has been mended since
        (folder / name).unlink(missing_ok=True)
    if progress.step < steps:
        watch.say(
            f"no better validation ELBO for {plan.patience:g} epochs: stopped after {progress.step / epoch:.1f}, "
            f"with the weights of epoch {progress.best_step / epoch:.1f}"
        )
    if best:
        model.load_state_dict(best)
    elif state.average:
        copy(state.average, state.parameters)
    return progress


def validate(model: VAE, data: Dataset, seed: int) -> dict[str, float]:
    """Mean ELBO, rate, distortion (nats) and squared error of the validation images, on the same draws each time."""
    evaluation = evaluate(model, data, samples=1, seed=derive(seed, "validation"))
    return {
        "elbo": evaluation.elbo.mean().item(),
        "rate": evaluation.rate.mean().item(),
        "distortion": evaluation.distortion.mean().item(),
        "mse": evaluation.squared_error.mean().item(),
    }


def crosses_multiple(step: int, every: float) -> bool:
    """Whether a multiple of `every` lies in (step - 1, step]."""
    return int(step / every) > int((step - 1) / every)


def out_of_patience(progress: Progress, plan: Plan, epoch: float) -> bool:
    """Whether the validation ELBO has not improved for `plan.patience` epochs of `epoch` steps."""
    return plan.patience > 0 and progress.step - progress.best_step > plan.patience * epoch


@contextmanager
def averaged(model: VAE, state: State) -> Iterator[None]:
    """The moving average in the place of the weights while this lasts; nothing changes where none is kept."""
    if not state.average:
        yield
        return
    weights = [parameter.detach().clone() for parameter in state.parameters]
    copy(state.average, state.parameters)
    try:
        yield
    finally:
        copy(weights, state.parameters)


@torch.no_grad()
def copy(source: list[Tensor], target: list[Tensor]) -> None:
    """Copy values, tensor by tensor."""
    for to, from_ in zip(target, source, strict=True):
        to.copy_(from_)


class Clock:
    """Seconds of training, those before a stop included, and the pace since this process took over."""

    def __init__(self, progress: Progress) -> None:
        self.first_step, self.before = progress.step, progress.seconds
        self.began = time.perf_counter()
        self.last = {"show": self.began, "save": self.began}

    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.began

    def pace(self, step: int) -> float:
        """Seconds a step, with `step` steps taken."""
        return (time.perf_counter() - self.began) / (step - self.first_step)

    def status(
        self, step: int, steps: int, epoch: float, plan: Plan, terms: dict[str, float], row: dict[str, Any] | None
    ) -> Status:
        """Where training stands at `step` of `steps`, `epoch` of them an epoch."""
        pace = self.pace(step)
        return Status(
            step=step,
            steps=steps,
            epoch=step / epoch,
            epochs=plan.epochs,
            images_per_second=plan.batch / pace,
            seconds_left=pace * (steps - step),
            terms=terms,
            row=row,
        )

    def due(self, what: str, every: float) -> bool:
        """Whether `every` seconds have passed since this last said so."""
        now = time.perf_counter()
        if now - self.last[what] < every:
            return False
        self.last[what] = now
        return True
