"""The training loop, for one run or several vmapped runs."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaelab.data.dataset import Splits
from vaelab.models import VAE
from vaelab.objectives.losses import Objective
from vaelab.system.errors import DataError, Interrupted, NonFiniteError, SpecError
from vaelab.system.files import make_folder
from vaelab.system.processor import at_full_speed
from vaelab.system.world import Reduce
from vaelab.training.callback import Callback
from vaelab.training.checkpoint import Progress
from vaelab.training.config import TrainingConfig
from vaelab.training.interrupt import guarded, stop_signals
from vaelab.training.lines import default_callback
from vaelab.training.sampler import lowered
from vaelab.training.setup import TrainingSetup, bfloat16
from vaelab.training.step.compiled import Compile, choose_step
from vaelab.training.step.sharded import Asked, ShardedStep
from vaelab.training.step.vmapped import joint_step, take_vmapped
from vaelab.training.trainer import Trainer

CHECKPOINT_SECONDS = 30.0  # a killed run loses at most this much work
CONFIG = TrainingConfig()


def fit(
    model: VAE,
    objective: Objective,
    data: Splits,
    config: TrainingConfig = CONFIG,
    folder: Path | str | None = None,
    callback: Callback | None = None,
    compile: Compile = "auto",
    fingerprint: str = "",
    schedule: Callable[[float], float] | None = None,
    reduce: Reduce = "ordered",
) -> Progress:
    """Train `model` in place and give it its best weights; resume from the checkpoint in `folder` if there is one.

    The best weights are those with the lowest value of the objective on the validation images, after its schedule has
    ended (`Criterion`). If it never ended, or there are no validation images, the last weights (or their moving
    average) are used. A step depends only on its number and on what the checkpoint holds. So a run that was stopped and
    resumed equals one that was not: bit for bit on a CPU. It writes checkpoint.safetensors and log.jsonl.

    Arguments:
        config: by default that of a Spec without options: `TrainingConfig()`.
        folder: created if it does not exist. None: a temporary folder, which is removed when the training has ended;
            if it was interrupted or failed, the folder stays, and the error names it.
        callback: receives progress; by default lines are printed in a terminal or a notebook, and nothing elsewhere.
        compile: whether to compile the training step; `auto` decides from the remaining work.
        fingerprint: identifies the run; a checkpoint with another fingerprint is refused.
        schedule: of the learning rate; None: the one that `config` names.
        reduce: how several workers add their gradients; see `vaelab.system.world.World.sum`.

    Raises:
        NonFiniteError: a value became NaN or infinite. post_mortem.json says where, post_mortem.safetensors holds the
            state before that step, and the last good checkpoint is kept.
        Interrupted: SIGINT, SIGTERM or SIGHUP; the state is saved.
        RunError: the checkpoint is damaged or belongs to another run, or the disk is full.
        DataError, SpecError: the model does not describe the data, or a part does not meet its contract.
    """
    if not isinstance(data, Splits):
        raise DataError(
            found=f"a {type(data).__name__} in the place of splits",
            expected="a Splits: training, validation and test images",
            do="use vl.load_data(...), or vl.Splits(train, None, test)",
        )
    if folder is None:
        own = Path(tempfile.mkdtemp(prefix="vaelab-fit-"))
        try:
            progress = fit(model, objective, data, config, own, callback, compile, fingerprint, schedule, reduce)
        except BaseException:
            with suppress(OSError):
                own.rmdir()  # if it is empty
            raise
        shutil.rmtree(own)
        return progress
    callback, folder = callback or default_callback(), Path(folder)
    setup = TrainingSetup.of(model, objective, data.train, config, schedule, reduce)
    setup.refuse_changed()
    if word := lowered(config.batch, len(data.train)):
        callback.say(word)
    make_folder(folder)
    trainer = Trainer(setup, data, folder, callback, fingerprint)
    _say_where(trainer, callback)
    began = trainer.progress.compiled
    trainer.step, compiled = choose_step(trainer.step, setup.work, compile, callback.say, began)
    trainer.progress = replace(_shared(trainer), compiled=compiled)
    (error,) = _run_steps([trainer], lambda t: setup.take(trainer.step, t), callback)
    if error is not None:
        raise error
    return trainer.progress


def _shared(trainer: Trainer) -> Progress:
    """The progress of a trainer, with the workers that take part from now on.

    Raises:
        SpecError: the training began with another way to add the shards, so that its rounding would change.
    """
    now, setup = trainer.progress, trainer.setup
    if now.reduce not in (None, setup.reduce) and setup.config.shards > 1:
        raise SpecError(
            found=f"--reduce {setup.reduce} for a training that began with --reduce {now.reduce}",
            expected="the same in all of a training",
            do=f"use --reduce {now.reduce}",
        )
    reduce = setup.reduce if setup.config.shards > 1 else None
    return replace(now, workers=max(now.workers, setup.world.size), reduce=reduce)


def fit_vmapped(
    trainers: Sequence[Trainer], callback: Callback, compile: Compile = "auto"
) -> list[NonFiniteError | None]:
    """Train several runs as one program; return the error of each run, or None.

    Results match separate runs up to rounding. The steps are taken jointly, everything else run by run. A run that is
    finished or has a non-finite number is dropped, and the others continue.

    Arguments:
        trainers: at the same step, with models of the same shapes, and TrainingConfigs that differ only in
            `vaelab.training.step.vmapped.FREE`.

    Raises:
        SpecError: these runs have a part that cannot be vmapped.
        Interrupted: SIGINT, SIGTERM or SIGHUP; the states are saved.
        RunError: the disk is full.
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
    return _run_steps(trainers, lambda t: take_vmapped(setups, step, t), callback)


def _say_where(trainer: Trainer, callback: Callback) -> None:
    if trainer.progress.step:
        callback.say(f"resuming from step {trainer.progress.step:,} of {trainer.setup.steps:,}")
    if trainer.setup.loader.note:
        callback.say(trainer.setup.loader.note)


def _run_steps(
    trainers: Sequence[Trainer], take: Callable[[int], None], callback: Callback
) -> list[NonFiniteError | None]:
    """Take the remaining steps of `trainers` with `take`, jointly; return the error of each trainer, or None."""
    active = list(trainers)
    errors: dict[Trainer, NonFiniteError] = {}
    interrupted: list[Interrupted] = []
    rows: dict[Trainer, dict[str, Any]] = {}

    def each(act: Callable[[Trainer], None]) -> None:
        """Apply `act` to each active run; drop those that raise."""
        for trainer in tuple(active):
            try:
                act(trainer)
            except NonFiniteError as error:
                errors[trainer] = error
                active.remove(trainer)
            except Interrupted as error:
                interrupted.append(error)
                active.remove(trainer)

    def find_findings(trainer: Trainer) -> None:
        if trainer.validates:
            rows[trainer] = trainer.report(clock.pace(trainer.progress.step) / len(active), due.stop)
        elif showing and trainer.state.meters.first_bad():  # check between validations too: an epoch can be long
            trainer.check(due.stop)

    def keep(trainer: Trainer) -> None:
        if saving or due.stop() or trainer.over:
            trainer.save(due.stop)

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
        due = _due(trainers[0], clock, stop, callback.show_every)
        while active := _unfinished(active):
            t = active[0].progress.step
            due.ask()
            take(t)
            share = clock.lap() / len(active)
            for trainer in active:
                trainer.took(share, len(active))

            rows.clear()
            showing = due.show()
            each(find_findings)
            if active and (rows or showing):
                _show(active, rows, clock.pace(t + 1), callback)
            saving = due.save()
            each(keep)
            if due.stop():
                longest = max(trainers, key=lambda trainer: trainer.setup.steps)
                raise next(iter(interrupted), None) or Interrupted(
                    found=f"stopped at step {t + 1:,} of {longest.setup.steps:,}",
                    expected=f"{longest.setup.steps:,} steps; the state is saved in {longest.folder}",
                    do="rerun the command to resume",
                )
    return [errors.get(trainer) for trainer in trainers]


def _unfinished(active: list[Trainer]) -> list[Trainer]:
    """Finish the runs that are over; return the others."""
    for trainer in active:
        if trainer.over:
            trainer.finish()
    return [trainer for trainer in active if not trainer.over]


def _show(active: list[Trainer], rows: dict[Trainer, dict[str, Any]], pace: float, callback: Callback) -> None:
    """Show the progress of all runs; the first Status is that of the run with the most steps."""
    statuses = [
        trainer.status(pace / len(active), rows.get(trainer), pace * (trainer.setup.steps - trainer.progress.step))
        for trainer in sorted(active, key=lambda trainer: -trainer.setup.steps)
    ]
    callback.show(replace(statuses[0], beside=tuple(statuses[1:])))


class Due:
    """What is to be done after a step, by the clock and the signals of this process."""

    def __init__(self, clock: "Clock", stop: threading.Event, show_every: float) -> None:
        self.clock, self.stopped, self.show_every = clock, stop, show_every

    def ask(self) -> None:
        """Do nothing: no other process takes part."""

    def stop(self) -> bool:
        return self.stopped.is_set()

    def show(self) -> bool:
        return self.clock.due("show", self.show_every)

    def save(self) -> bool:
        return self.clock.due("save", CHECKPOINT_SECONDS)


class DueToAll(Due):
    """What is to be done after a step by all workers: a validation or a stop needs each of them.

    The step itself carries what they ask for. So they ask before it, and agree after it.
    """

    def __init__(self, step: ShardedStep, clock: "Clock", stop: threading.Event, show_every: float) -> None:
        super().__init__(clock, stop, show_every)
        self.step = step

    def ask(self) -> None:
        self.step.ask(Asked(super().stop(), super().show(), super().save()))

    def stop(self) -> bool:
        return self.step.agreed.stop

    def show(self) -> bool:
        return self.step.agreed.show

    def save(self) -> bool:
        return self.step.agreed.save


def _due(trainer: Trainer, clock: "Clock", stop: threading.Event, show_every: float) -> Due:
    if trainer.setup.world.size == 1:
        return Due(clock, stop, show_every)
    assert isinstance(trainer.step, ShardedStep)  # several workers have several shards
    return DueToAll(trainer.step, clock, stop, show_every)


class Clock:
    """The time per step, from step `first`, at which this process started."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.began = self.before = time.perf_counter()
        self.last = {"show": self.began, "save": self.began}

    def lap(self) -> float:
        """Return the seconds since the last call."""
        before, self.before = self.before, time.perf_counter()
        return self.before - before

    def pace(self, step: int) -> float:
        """Return the seconds per step after step `step`."""
        return max(time.perf_counter() - self.began, 1e-9) / (step - self.first)  # a clock may not advance

    def due(self, what: str, every: float) -> bool:
        """Return whether `every` seconds have passed since it last returned True for `what`."""
        now = time.perf_counter()
        if now - self.last[what] < every:
            return False
        self.last[what] = now
        return True
