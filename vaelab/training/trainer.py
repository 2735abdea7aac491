"""One run under way: what it has reached, and the files that it keeps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab.data.dataset import Splits
from vaelab.models import VAE
from vaelab.system.files import write_atomically
from vaelab.training.calibrate import settle
from vaelab.training.callback import Log, Status, Watch
from vaelab.training.checkpoint import Progress, live_tensors, read_checkpoint, write_checkpoint
from vaelab.training.diagnosis.dissection import examine
from vaelab.training.diagnosis.findings import as_row, look, tell_new, timely
from vaelab.training.diagnosis.post_mortem import RECORD, STATE, Autopsy, error, failure, replay
from vaelab.training.initialise import begin
from vaelab.training.setup import Course, bfloat16
from vaelab.training.step.step import State, Step
from vaelab.training.validation import Judge

SETTLED_ON = 10_000  # training images at a validation; at the end all


class Training:
    """A run between two steps: its course, state, progress, best weights, log and checkpoint.

    Goes on from the checkpoint in `folder`, if there is one. Whoever takes the steps tells it so.

    Arguments:
        course: what each step is.
        data: of which the validation images are looked at here, and by some models training images to begin with.
        folder: where checkpoint.safetensors and log.jsonl are kept.
        watch: told what is found amiss.
        fingerprint: what run a checkpoint must belong to.
        name: put before what is said, where several runs speak.

    Raises:
        RunError: a damaged or foreign checkpoint.
        SpecError: a part of the model wants to begin with more training images than there are, or there are too few
            validation images to judge by.
    """

    def __init__(
        self, course: Course, data: Splits, folder: Path, watch: Watch, fingerprint: str = "", name: str = ""
    ) -> None:
        self.course, self.plan, self.data, self.folder = course, course.plan, data, folder
        self.watch, self.fingerprint, self.whose = watch, fingerprint, f"{name}: " if name else ""
        self.judge = None if data.validation is None else Judge(course, data.validation)
        self.checkpoint = folder / "checkpoint.safetensors"
        if not self.checkpoint.exists():
            begin(course.model, data.train, course.plan.seed, course.plan.start)
        self.state = State.start(course.model, course.plan, course.objective)
        self.step: Step = course.step(self.state)  # by which steps are taken again, if it comes to that
        self.initial = {name: tensor.cpu().clone() for name, tensor in self._live().items()}
        self.progress, self.best = self.last_good()
        self.log = Log(folder / "log.jsonl", self.progress.log_bytes, watch.say)
        self.progress = replace(self.progress, log_bytes=self.log.length)

    @property
    def over(self) -> bool:
        """Whether there is no step left to take."""
        return self.progress.step >= self.course.steps or self.out_of_patience

    @property
    def at_rest_since(self) -> int | None:
        """The step since which no schedule of the objective moved, 0 where it has none; None while one moves."""
        return self.course.criterion.ramp.at_rest_since(self.progress.step - 1)

    @property
    def out_of_patience(self) -> bool:
        """Whether no validation was better for `plan.patience` epochs in which no schedule of the objective moved."""
        now, since = self.progress, self.at_rest_since
        if not self.plan.patience or now.best_loss is None or since is None:
            return False
        return now.step - max(now.best_step, since) > self.plan.patience * self.course.epoch

    @property
    def validates(self) -> bool:
        """Whether the step that was taken last ends with a validation."""
        step = self.progress.step
        return step == self.course.steps or crosses_multiple(step, self.plan.validate_every * self.course.epoch)

    @torch.no_grad()
    def last_good(self) -> tuple[Progress, dict[str, Tensor]]:
        """Make model and state those of the checkpoint, or of the start; the progress, and the best weights."""
        if self.checkpoint.exists():
            return read_checkpoint(self.checkpoint, self.course.model, self.state, self.fingerprint)
        for name, tensor in self._live().items():
            tensor.copy_(self.initial[name])
        return Progress(), {}

    def _live(self) -> dict[str, Tensor]:
        return live_tensors(self.course.model, self.state, {})

    def took(self, seconds: float, together: int) -> None:
        """Another step was taken; `seconds` are this run's share of what it took for `together` runs."""
        now = self.progress
        together = max(now.together, together)
        self.progress = replace(now, step=now.step + 1, seconds=now.seconds + seconds, together=together)

    def check(self, stopped: Callable[[], bool]) -> None:
        """Where something is not finite, find out what, write it down and raise it.

        Raises:
            NonFiniteError: that.
            Interrupted: `stopped`, while the steps up to there were taken again.
        """
        course, state, plan = self.course, self.state, self.plan
        if (failed := failure(state, self.progress.step)) is None:
            return
        since, best = self.last_good()
        t = replay(course, self.step, state, since.step, failed, self.watch.say, stopped)
        write_checkpoint(self.folder / STATE, course.model, state, best, replace(since, step=t), self.fingerprint)
        autopsy = Autopsy(failed, since.step, course.device.type, examine(course, state, t))
        write_atomically(self.folder / RECORD, autopsy.as_json())
        raise error(autopsy, plan, self.folder, self.checkpoint if self.checkpoint.exists() else None)

    def save(self, stopped: Callable[[], bool]) -> None:
        """Write the checkpoint, of a state that is finite."""
        self.check(stopped)
        self.log.sync()
        write_checkpoint(self.checkpoint, self.course.model, self.state, self.best, self.progress, self.fingerprint)

    def report(self, seconds_per_step: float, stopped: Callable[[], bool]) -> dict[str, Any]:
        """Validate, and write a line of the log: that line."""
        self.check(stopped)
        course, plan, step = self.course, self.plan, self.progress.step
        row: dict[str, Any] = {"step": step, "epoch": step / course.epoch, "train": self.state.meters.read()}
        row |= {"learning_rate": course.learning_rate(step - 1)}
        row |= {"seconds": self.progress.seconds, "images_per_second": plan.batch / seconds_per_step}
        with averaged(course.model, self.state):
            settle(course.model, self.data.train, plan.seed, SETTLED_ON)
            if self.judge is not None:
                seen, judged, best = self.judge(step), self.at_rest_since is not None, self.progress.best_loss
                row |= {"validation": seen, "criterion": course.criterion.name, "judged": judged}
                if judged and (best is None or seen["loss"] < best):
                    self.best = {name: tensor.clone() for name, tensor in course.model.state_dict().items()}
                    self.progress = replace(self.progress, best_step=step, best_loss=seen["loss"])
            rate = row.get("validation", row["train"])["rate"]
            found = look(course.model, self.data.validation or self.data.train, rate, plan.seed, course.objective)
        row |= as_row(timely(found, step, course.steps, course.epoch))
        tell_new(row, self.log.last, self.watch.say, self.whose)
        self.progress = replace(self.progress, log_bytes=self.log.append(row))
        self.state.meters.reset()
        return row

    def status(self, seconds_per_step: float, row: dict[str, Any] | None, left: float) -> Status:
        """Where the run stands; `row` is the line that was just written, if one was, `left` the seconds ahead."""
        step, epoch = self.progress.step, self.course.epoch
        return Status(
            step=step,
            steps=self.course.steps,
            epoch=step / epoch,
            epochs=self.plan.epochs,
            images_per_second=self.plan.batch / seconds_per_step,
            seconds_left=left,
            terms=row["train"] if row else self.state.meters.read(),
            row=row,
        )

    def finish(self) -> None:
        """Give the model its best weights, or the last ones or their average if none were chosen, and settle it."""
        model, progress = self.course.model, self.progress
        for name in (RECORD, STATE):  # of what has been mended since
            (self.folder / name).unlink(missing_ok=True)
        if progress.step < self.course.steps:
            epoch, name = self.course.epoch, self.course.criterion.name
            self.watch.say(
                f"{self.whose}no lower validation {name} for {self.plan.patience:g} epochs: stopped after "
                f"{progress.step / epoch:.1f}, with the weights of epoch {progress.best_step / epoch:.1f}"
            )
        elif self.judge is not None and progress.best_loss is None:
            self.watch.say(f"{self.whose}the last weights are kept: the objective's schedule had not ended before them")
        for tensor in (*model.parameters(), *model.buffers()):  # runs that were trained with it may go on
            tensor.data = tensor.data.clone()
        if self.best:
            model.load_state_dict(self.best)
        elif self.state.average:
            copy(self.state.average, self.state.parameters)
        with bfloat16(model, False):  # as it is measured
            settle(model, self.data.train, self.plan.seed)


def crosses_multiple(step: int, every: float) -> bool:
    """Whether a multiple of `every` lies in (step - 1, step]."""
    return int(step / every) > int((step - 1) / every)


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
