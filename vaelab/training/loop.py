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
from vaelab.training.callback import Callback
from vaelab.training.checkpoint import Progress
from vaelab.training.config import TrainingConfig
from vaelab.training.interrupt import guarded, stop_signals
from vaelab.training.lines import default_callback
from vaelab.training.sampler import lowered
from vaelab.training.setup import TrainingSetup, bfloat16
from vaelab.training.step.compiled import Compile, choose_step
from vaelab.training.step.vmapped import joint_step, take_vmapped
from vaelab.training.trainer import Trainer

CHECKPOINT_SECONDS = 30.0  # at most this much work is lost to a kill
SHOW_SECONDS = 0.5  # from one reading of the meters for the eye to the next


def fit(
    model: VAE,
    objective: Objective,
    data: Splits,
    config: TrainingConfig,
    folder: Path | str,
    callback: Callback | None = None,
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
        NonFiniteError: a number is no real one; where it began is in post_mortem.json, the state before that step in
            post_mortem.safetensors, and the last good checkpoint is kept.
        Interrupted: SIGINT, SIGTERM or SIGHUP; the state is saved.
        RunError: a damaged or foreign checkpoint, or a full disk.
        DataError, SpecError: data that the model does not describe, or parts that do not keep their contract.
    """
    if not isinstance(data, Splits):
        raise DataError(
            found=f"a {type(data).__name__} in the place of splits",
            expected="a Splits: training, validation and test images",
            do="use vl.load(...), or vl.Splits(train, None, test)",
        )
    callback, folder = callback or default_callback(), Path(folder)
    setup = TrainingSetup.of(model, objective, data.train, config)
    if word := lowered(config.batch, len(data.train)):
        callback.say(word)
    make_folder(folder)
    trainer = Trainer(setup, data, folder, callback, fingerprint)
    _say_where(trainer, callback)
    began = trainer.progress.compiled
    trainer.step, compiled = choose_step(trainer.step, setup.work, compile, callback.say, began)
    trainer.progress = replace(trainer.progress, compiled=compiled)
    (error,) = _go_through([trainer], lambda t: setup.take(trainer.step, t), callback)
    if error is not None:
        raise error
    return trainer.progress


def fit_vmapped(
    trainers: Sequence[Trainer], callback: Callback, compile: Compile = "auto"
) -> list[NonFiniteError | None]:
    """Train several runs as one program, each as `fit` would alone, to rounding; the error of each that met one.

    Their steps are taken as one, and all else is done run by run. A run that is over, or that met a number that is not
    finite, is done with, and the others go on.

    Arguments:
        trainings: at the same step, of models of the same shapes, of Plans that differ in nothing but
            `vaelab.training.step.vmapped.FREE`.

    Raises:
        SpecError: the parts of these runs cannot be trained so.
        Interrupted: SIGINT, SIGTERM or SIGHUP; the states are saved.
        RunError: a full disk.
    """
    first = trainers[0]
    _say_where(first, callback)
    setups = [trainer.setup for trainer in trainers]
    joint = joint_step(setups, [trainer.state for trainer in trainers], first.progress.step)
    steps = max(trainer.setup.steps for trainer in trainers)
    alone = first.setup.work
    program = f"{len(trainers)} times {alone.program}"
    work = replace(alone, steps=steps, flops=len(trainers) * alone.flops, program=program)
    step, _ = choose_step(joint, work, compile, callback.say)
    return _go_through(trainers, lambda t: take_vmapped(setups, step, t), callback)


def _say_where(trainer: Trainer, callback: Callback) -> None:
    if trainer.progress.step:
        callback.say(f"going on from step {trainer.progress.step:,} of {trainer.setup.steps:,}")
    if trainer.setup.loader.note:
        callback.say(trainer.setup.loader.note)


def _go_through(
    trainers: Sequence[Trainer], take: Callable[[int], None], callback: Callback
) -> list[NonFiniteError | None]:
    """Take the steps that `trainers` have left by `take`, each for all of them; the error of each that met one."""
    going = list(trainers)
    errors: dict[Trainer, NonFiniteError] = {}
    interrupted: list[Interrupted] = []
    rows: dict[Trainer, dict[str, Any]] = {}

    def each(act: Callable[[Trainer], None]) -> None:
        """Of those that go on; who is over or cannot go on does no longer."""
        for trainer in tuple(going):
            try:
                act(trainer)
            except NonFiniteError as error:
                errors[trainer] = error
                going.remove(trainer)
            except Interrupted as error:
                interrupted.append(error)
                going.remove(trainer)

    def find_findings(trainer: Trainer) -> None:
        if trainer.validates:
            rows[trainer] = trainer.report(clock.pace(trainer.progress.step) / len(going), stop.is_set)
        elif showing and trainer.state.meters.first_bad():  # looked at here too: an epoch can be long
            trainer.check(stop.is_set)

    def keep(trainer: Trainer) -> None:
        if saving or stop.is_set() or trainer.over:
            trainer.save(stop.is_set)

    with ExitStack() as stack:
        stack.enter_context(at_full_speed())
        for trainer in trainers:
            stack.enter_context(closing(trainer.setup.loader))
            stack.enter_context(bfloat16(trainer.setup.model, trainer.config.precision == "bfloat16"))
        stop = stack.enter_context(stop_signals(callback.say))
        callback = guarded(callback, stop)
        for trainer in trainers:
            trainer.callback = guarded(trainer.callback, stop)
        clock = Clock(trainers[0].progress.step)
        while going := _unfinished(going):
            t = going[0].progress.step
            take(t)
            share = clock.lap() / len(going)
            for trainer in going:
                trainer.took(share, len(going))

            rows.clear()
            showing = clock.due("show", SHOW_SECONDS)
            each(find_findings)
            if going and (rows or showing):
                _show(going, rows, clock.pace(t + 1), callback)
            saving = clock.due("save", CHECKPOINT_SECONDS)
            each(keep)
            if stop.is_set():
                longest = max(trainers, key=lambda trainer: trainer.setup.steps)
                raise next(iter(interrupted), None) or Interrupted(
                    found=f"stopped at step {t + 1:,} of {longest.setup.steps:,}",
                    expected=f"{longest.setup.steps:,} steps; the state is saved in {longest.folder}",
                    do="rerun the command to resume",
                )
    return [errors.get(trainer) for trainer in trainers]


def _unfinished(going: list[Trainer]) -> list[Trainer]:
    """Finish those that are over; the others."""
    for trainer in going:
        if trainer.over:
            trainer.finish()
    return [trainer for trainer in going if not trainer.over]


def _show(going: list[Trainer], rows: dict[Trainer, dict[str, Any]], pace: float, callback: Callback) -> None:
    """Tell `callback` where all of them stand, beside the one that has the most steps ahead."""
    statuses = [
        trainer.status(pace / len(going), rows.get(trainer), pace * (trainer.setup.steps - trainer.progress.step))
        for trainer in sorted(going, key=lambda trainer: -trainer.setup.steps)
    ]
    callback.show(replace(statuses[0], beside=tuple(statuses[1:])))


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
