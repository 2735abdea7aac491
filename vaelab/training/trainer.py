"""A training run: its progress, and the files that it writes."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab.data.dataset import Splits
from vaelab.models import VAE
from vaelab.system.files import write_atomically
from vaelab.training.calibrate import calibrate
from vaelab.training.callback import NO_LOG, Callback, Log, Status
from vaelab.training.checkpoint import Progress, live_tensors, read_checkpoint, write_checkpoint
from vaelab.training.diagnosis.findings import as_row, find_findings, tell_new, timely
from vaelab.training.diagnosis.post_mortem import RECORD, STATE, PostMortem, error, failure, replay
from vaelab.training.diagnosis.replay import replay_step
from vaelab.training.initialise import initialise
from vaelab.training.setup import TrainingSetup, bfloat16
from vaelab.training.step.sharded import ShardedStep
from vaelab.training.step.step import Step, TrainState
from vaelab.training.validation import Judge

CALIBRATED_ON = 10_000  # training images for calibration at a validation; at the end all are used


class Trainer:
    """A run between two steps: its setup, state, progress, best weights, log and checkpoint.

    It resumes from the checkpoint in `folder`, if there is one. The caller takes the steps and calls `took`.

    Arguments:
        setup: defines each step.
        data: validation images for the criterion; some models are initialised with training images.
        folder: of checkpoint.safetensors and log.jsonl.
        callback: receives the findings.
        fingerprint: identifies the run that a checkpoint must belong to.
        name: put before each message, if there are several runs.

    Raises:
        RunError: the checkpoint is damaged or belongs to another run.
        SpecError: a part of the model needs more training images for its initialisation than there are, or there are
            too few validation images for the criterion.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        data: Splits,
        folder: Path,
        callback: Callback,
        fingerprint: str = "",
        name: str = "",
    ) -> None:
        self.setup, self.config, self.data, self.folder = setup, setup.config, data, folder
        self.callback, self.fingerprint, self.whose = callback, fingerprint, f"{name}: " if name else ""
        self.judge = None if data.validation is None else Judge(setup, data.validation)
        self.checkpoint = folder / "checkpoint.safetensors"
        if not self.checkpoint.exists():
            initialise(setup.model, data.train, setup.config.seed, setup.config.start)
        self.state = TrainState.start(setup.model, setup.config, setup.objective)
        self.step: Step | ShardedStep = setup.step(self.state)  # also replays steps, if one fails
        self.leads = setup.world.leads  # the one that writes files
        self.initial = {name: tensor.cpu().clone() for name, tensor in self._live().items()}
        self.progress, self.best = self.last_good()
        self.log = Log(folder / "log.jsonl", self.progress.log_bytes, callback.say) if self.leads else NO_LOG
        self.progress = replace(self.progress, log_bytes=self.log.length)

    @property
    def over(self) -> bool:
        """Whether no step is left to take."""
        return self.progress.step >= self.setup.steps or self.out_of_patience

    @property
    def at_rest_since(self) -> int | None:
        """The step since which the objective's schedule is constant (0 without a schedule); None while it changes."""
        return self.setup.criterion.ramp.at_rest_since(self.progress.step - 1)

    @property
    def out_of_patience(self) -> bool:
        """Whether no validation was better for `config.patience` epochs with a constant schedule of the objective."""
        now, since = self.progress, self.at_rest_since
        if not self.config.patience or now.best_loss is None or since is None:
            return False
        return now.step - max(now.best_step, since) > self.config.patience * self.setup.epoch

    @property
    def validates(self) -> bool:
        """Whether a validation follows the last step."""
        step = self.progress.step
        return step == self.setup.steps or crosses_multiple(step, self.config.validate_every * self.setup.epoch)

    @torch.no_grad()
    def last_good(self) -> tuple[Progress, dict[str, Tensor]]:
        """Restore model and state from the checkpoint, or from the start; return the progress and the best weights."""
        if self.checkpoint.exists():
            return read_checkpoint(self.checkpoint, self.setup.model, self.state, self.fingerprint)
        for name, tensor in self._live().items():
            tensor.copy_(self.initial[name])
        return Progress(), {}

    def _live(self) -> dict[str, Tensor]:
        return live_tensors(self.setup.model, self.state, {})

    def took(self, seconds: float, vmapped: int) -> None:
        """Record another step; `seconds` are this run's part of the time for `vmapped` runs."""
        now = self.progress
        vmapped = max(now.vmapped, vmapped)
        self.progress = replace(now, step=now.step + 1, seconds=now.seconds + seconds, vmapped=vmapped)

    def check(self, stopped: Callable[[], bool]) -> None:
        """If something is not finite, find the cause, write the post-mortem and raise it.

        Raises:
            NonFiniteError: something is not finite.
            Interrupted: `stopped` returned True while steps were taken again.
        """
        setup, state, config = self.setup, self.state, self.config
        if (failed := failure(state, self.progress.step)) is None:
            return
        since, best = self.last_good()
        t = replay(setup, self.step, state, since.step, failed, self.callback.say, stopped)
        if self.leads:
            write_checkpoint(self.folder / STATE, setup.model, state, best, replace(since, step=t), self.fingerprint)
        whole = setup.of_whole_batch
        with closing(whole.loader):
            post_mortem = PostMortem(failed, since.step, setup.device.type, replay_step(whole, state, t))
        if self.leads:
            write_atomically(self.folder / RECORD, post_mortem.as_json())
        raise error(post_mortem, config, self.folder, self.checkpoint if self.checkpoint.exists() else None)

    def save(self, stopped: Callable[[], bool]) -> None:
        """Write the checkpoint, if the state is finite; see `check`."""
        self.check(stopped)
        if not self.leads:
            return
        self.log.sync()
        write_checkpoint(self.checkpoint, self.setup.model, self.state, self.best, self.progress, self.fingerprint)

    def report(self, seconds_per_step: float, stopped: Callable[[], bool]) -> dict[str, Any]:
        """Validate, write a line of the log, and return it."""
        self.check(stopped)
        setup, config, step = self.setup, self.config, self.progress.step
        row: dict[str, Any] = {"step": step, "epoch": step / setup.epoch, "train": self.state.meters.read()}
        row |= {"learning_rate": setup.learning_rate(step - 1)}
        row |= {"seconds": self.progress.seconds, "images_per_second": config.batch / seconds_per_step}
        with averaged(setup.model, self.state):
            calibrate(setup.model, self.data.train, config.seed, CALIBRATED_ON)
            if self.judge is not None:
                seen, judged, best = self.judge(step), self.at_rest_since is not None, self.progress.best_loss
                row |= {"validation": seen, "criterion": setup.criterion.name, "judged": judged}
                if judged and (best is None or seen["loss"] < best):
                    self.best = {name: tensor.clone() for name, tensor in setup.model.state_dict().items()}
                    self.progress = replace(self.progress, best_step=step, best_loss=seen["loss"])
            rate = row.get("validation", row["train"])["rate"]
            found = find_findings(
                setup.model, self.data.validation or self.data.train, rate, config.seed, setup.objective
            )
        row |= as_row(timely(found, step, setup.steps, setup.epoch))
        tell_new(row, self.log.last, self.callback.say, self.whose)
        self.progress = replace(self.progress, log_bytes=self.log.append(row))
        self.state.meters.reset()
        return row

    def status(self, seconds_per_step: float, row: dict[str, Any] | None, left: float) -> Status:
        """Return the progress; `row` is the line just written, or None, `left` the remaining seconds."""
        step, epoch = self.progress.step, self.setup.epoch
        return Status(
            step=step,
            steps=self.setup.steps,
            epoch=step / epoch,
            epochs=self.config.epochs,
            images_per_second=self.config.batch / seconds_per_step,
            seconds_left=left,
            terms=row["train"] if row else self.state.meters.read(),
            row=row,
        )

    def finish(self) -> None:
        """Give the model its best weights, or else the last weights or their average, and calibrate it."""
        model, progress = self.setup.model, self.progress
        for name in (RECORD, STATE) if self.leads else ():  # of a failure that was corrected since
            (self.folder / name).unlink(missing_ok=True)
        if progress.step < self.setup.steps:
            epoch, name = self.setup.epoch, self.setup.criterion.name
            self.callback.say(
                f"{self.whose}no lower validation {name} for {self.config.patience:g} epochs: stopped after "
                f"{progress.step / epoch:.1f}, with the weights of epoch {progress.best_step / epoch:.1f}"
            )
        elif self.judge is not None and progress.best_loss is None:
            self.callback.say(
                f"{self.whose}the last weights are kept: the objective's schedule had not ended before them"
            )
        for tensor in (*model.parameters(), *model.buffers()):  # its vmapped tensors may be changed by other runs
            tensor.data = tensor.data.clone()
        if self.best:
            model.load_state_dict(self.best)
        elif self.state.average:
            copy(self.state.average, self.state.parameters)
        with bfloat16(model, False):  # as in evaluation
            calibrate(model, self.data.train, self.config.seed)


def crosses_multiple(step: int, every: float) -> bool:
    """Return whether a multiple of `every` is in (step - 1, step]."""
    return int(step / every) > int((step - 1) / every)


@contextmanager
def averaged(model: VAE, state: TrainState) -> Iterator[None]:
    """Replace the weights by their moving average in this context; do nothing if there is no average."""
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
    """Copy the values of each tensor."""
    for to, from_ in zip(target, source, strict=True):
        to.copy_(from_)
