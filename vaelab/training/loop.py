"""The training loop, of one run or of several that are trained as one program."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaelab.data.dataset import Splits
from vaelab.models import VAE
from vaelab.objectives.losses import Objective
from vaelab.system.errors import DataError, Interrupted, NonFiniteError
from vaelab.system.files import make_folder
from vaelab.system.processor import at_full_speed
from vaelab.training.callback import Watch
from vaelab.training.checkpoint import Progress
from vaelab.training.config import Plan
from vaelab.training.interrupt import guarded, stop_signals
from vaelab.training.lines import looked_on
from vaelab.training.sampler import lowered
from vaelab.training.setup import Course, bfloat16
from vaelab.training.step.compiled import Compile, choose_step
from vaelab.training.step.vmapped import joint_step, take_together
from vaelab.training.trainer import Training

CHECKPOINT_SECONDS = 30.0  # at most this much work is lost to a kill
SHOW_SECONDS = 0.5  # from one reading of the meters for the eye to the next


def fit(
    model: VAE,
    objective: Objective,
    data: Splits,
    plan: Plan,
    folder: Path | str,
    watch: Watch | None = None,
    compile: Compile = "auto",
    fingerprint: str = "",
) -> Progress:
    """Train `model` in place, ending with its best weights; goes on from the checkpoint in `folder` if there is one.

    "Best" is by the objective's own value on the validation images, once its schedule has ended (`Criterion`). Where
    that never was, or without validation images, the last weights (or their moving average) are taken.
    A step depends on nothing but its number and what the checkpoint holds, so a run that was stopped and goes on is
    the run that was not: bit for bit on a CPU. Writes checkpoint.safetensors and log.jsonl to `folder`.

    Arguments:
        folder: made if it is not there.
        watch: who looks on; by default lines are printed in a terminal or a notebook, and nothing elsewhere.
        compile: whether to compile the training step; `auto` decides from the work ahead.
        fingerprint: of what the checkpoint belongs to; one of another is refused.

    Raises:
        NonFiniteError: a number is no real one; where it began is in autopsy.json, the state before that step in
            autopsy.safetensors, and the last good checkpoint is kept.
        Interrupted: SIGINT or SIGTERM; the state is saved.
        RunError: a damaged or foreign checkpoint, or a full disk.
        DataError, SpecError: data that the model does not describe, or parts that do not keep their contract.
    """
    if not isinstance(data, Splits):
        raise DataError(
            found=f"a {type(data).__name__} in the place of splits",
            expected="a Splits: training, validation and test images",
            do="use vl.load(...), or vl.Splits(train, None, test)",
        )
    watch, folder = watch or looked_on(), Path(folder)
    course = Course.of(model, objective, data.train, plan)
    if word := lowered(plan.batch, len(data.train)):
        watch.say(word)
    make_folder(folder)
    training = Training(course, data, folder, watch, fingerprint)
    _say_where(training, watch)
    began = training.progress.compiled
    training.step, compiled = choose_step(training.step, course.work, compile, watch.say, began)
    training.progress = replace(training.progress, compiled=compiled)
    (error,) = _go_through([training], lambda t: course.take(training.step, t), watch)
    if error is not None:
        raise error
    return training.progress


def fit_together(trainings: Sequence[Training], watch: Watch, compile: Compile = "auto") -> list[NonFiniteError | None]:
    """Train several runs as one program, each as `fit` would alone, to rounding; the error of each that met one.

    Their steps are taken as one, and all else is done run by run. A run that is over, or that met a number that is not
    finite, is done with, and the others go on.

    Arguments:
        trainings: at the same step, of models of the same shapes, of Plans that differ in nothing but
            `vaelab.training.step.vmapped.FREE`.

    Raises:
        SpecError: the parts of these runs cannot be trained so.
        Interrupted: SIGINT or SIGTERM; the states are saved.
        RunError: a full disk.
    """
    first = trainings[0]
    _say_where(first, watch)
    courses = [training.course for training in trainings]
    joint = joint_step(courses, [training.state for training in trainings], first.progress.step)
    steps = max(training.course.steps for training in trainings)
    alone = first.course.work
    program = f"{len(trainings)} times {alone.program}"
    work = replace(alone, steps=steps, flops=len(trainings) * alone.flops, program=program)
    step, _ = choose_step(joint, work, compile, watch.say)
    return _go_through(trainings, lambda t: take_together(courses, step, t), watch)


def _say_where(training: Training, watch: Watch) -> None:
    if training.progress.step:
        watch.say(f"going on from step {training.progress.step:,} of {training.course.steps:,}")
    if training.course.feed.note:
        watch.say(training.course.feed.note)


def _go_through(
    trainings: Sequence[Training], take: Callable[[int], None], watch: Watch
) -> list[NonFiniteError | None]:
    """Take the steps that `trainings` have left by `take`, each for all of them; the error of each that met one."""
    going = list(trainings)
    errors: dict[Training, NonFiniteError] = {}
    interrupted: list[Interrupted] = []
    rows: dict[Training, dict[str, Any]] = {}

    def each(act: Callable[[Training], None]) -> None:
        """Of those that go on; who is over or cannot go on does no longer."""
        for training in tuple(going):
            try:
                act(training)
            except NonFiniteError as error:
                errors[training] = error
                going.remove(training)
            except Interrupted as error:
                interrupted.append(error)
                going.remove(training)

    def look(training: Training) -> None:
        if training.validates:
            rows[training] = training.report(clock.pace(training.progress.step) / len(going), stop.is_set)
        elif showing and training.state.meters.first_bad():  # looked at here too: an epoch can be long
            training.check(stop.is_set)

    def keep(training: Training) -> None:
        if saving or stop.is_set() or training.over:
            training.save(stop.is_set)

    with ExitStack() as stack:
        stack.enter_context(at_full_speed())
        for training in trainings:
            stack.enter_context(closing(training.course.feed))
            stack.enter_context(bfloat16(training.course.model, training.plan.precision == "bfloat16"))
        stop = stack.enter_context(stop_signals(watch.say))
        watch = guarded(watch, stop)
        for training in trainings:
            training.watch = guarded(training.watch, stop)
        clock = Clock(trainings[0].progress.step)
        while going := _unfinished(going):
            t = going[0].progress.step
            take(t)
            share = clock.lap() / len(going)
            for training in going:
                training.took(share, len(going))

            rows.clear()
            showing = clock.due("show", SHOW_SECONDS)
            each(look)
            if going and (rows or showing):
                _show(going, rows, clock.pace(t + 1), watch)
            saving = clock.due("save", CHECKPOINT_SECONDS)
            each(keep)
            if stop.is_set():
                longest = max(trainings, key=lambda training: training.course.steps)
                raise next(iter(interrupted), None) or Interrupted(
                    found=f"stopped at step {t + 1:,} of {longest.course.steps:,}",
                    expected=f"{longest.course.steps:,} steps; the state is saved in {longest.folder}",
                    do="give the same command again to go on",
                )
    return [errors.get(training) for training in trainings]


def _unfinished(going: list[Training]) -> list[Training]:
    """Finish those that are over; the others."""
    for training in going:
        if training.over:
            training.finish()
    return [training for training in going if not training.over]


def _show(going: list[Training], rows: dict[Training, dict[str, Any]], pace: float, watch: Watch) -> None:
    """Tell `watch` where all of them stand, beside the one that has the most steps ahead."""
    statuses = [
        training.status(pace / len(going), rows.get(training), pace * (training.course.steps - training.progress.step))
        for training in sorted(going, key=lambda training: -training.course.steps)
    ]
    watch.show(replace(statuses[0], beside=tuple(statuses[1:])))


class Clock:
    """The seconds that steps take, since this process took over at step `first`."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.began = self.before = time.perf_counter()
        self.last = {"show": self.began, "save": self.began}

    def lap(self) -> float:
        """Seconds since this was last asked."""
        before, self.before = self.before, time.perf_counter()
        return self.before - before

    def pace(self, step: int) -> float:
        """Seconds a step, with `step` steps taken."""
        return max(time.perf_counter() - self.began, 1e-9) / (step - self.first)  # a clock may stand still

    def due(self, what: str, every: float) -> bool:
        """Whether `every` seconds have passed since this last said so."""
        now = time.perf_counter()
        if now - self.last[what] < every:
            return False
        self.last[what] = now
        return True
