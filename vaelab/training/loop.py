"""The training loop."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset, Splits
from vaelab.data.protocol import protocol
from vaelab.errors import Interrupted, NonFiniteError
from vaelab.evaluation.likelihood import evaluate
from vaelab.models import VAE, Conditional
from vaelab.parts import make
from vaelab.seeds import derive
from vaelab.training.batches import Batches
from vaelab.training.checkpoint import Progress, read_checkpoint, write_checkpoint
from vaelab.training.compiled import Compile, choose_step, step_flops
from vaelab.training.interrupt import stop_signals
from vaelab.training.plan import Plan
from vaelab.training.schedules import SCHEDULES
from vaelab.training.step import Objective, State, make_step
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
        NonFiniteError: a term left the real numbers; the last good checkpoint is kept.
        Interrupted: SIGINT or SIGTERM; the state is saved.
        RunError: a damaged or foreign checkpoint, or a full disk.
    """
    device = next(model.parameters()).device
    # torch.manual_seed would seed every device there is, for a hundred times the price
    generator = torch.default_generator if device.type == "cpu" else torch.cuda.default_generators[device.index or 0]
    reading = protocol(data.train.protocol)
    images = torch.from_numpy(data.train.images).to(device)
    batches = Batches(len(images), plan.batch, plan.seed)
    schedule = make("schedule", SCHEDULES, plan.schedule)
    epoch = len(images) / plan.batch  # steps in an epoch, not always whole
    steps = math.ceil(plan.epochs * epoch)

    state = State.start(model, plan)
    progress, best = Progress(), dict[str, Tensor]()
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.exists():
        progress, best = read_checkpoint(checkpoint, model, state, fingerprint)
        watch.say(f"going on from step {progress.step:,} of {steps:,}")
    log = Log(folder / "log.jsonl", progress.log_bytes)
    offset = reading.nats_offset(model.image_shape)
    plain = make_step(model, objective, images, reading.pixels, state, plan, offset)
    step = choose_step(plain, steps, step_flops(model, plan.batch), compile, watch.say)

    def save() -> None:
        check_finite(state, progress.step, checkpoint)
        write_checkpoint(checkpoint, model, state, best, progress, fingerprint)

    clock = Clock(progress)
    with bfloat16(model, plan.precision == "bfloat16"), stop_signals() as stop:
        while progress.step < steps and not out_of_patience(progress, plan, epoch):
            t = progress.step
            alpha = plan.learning_rate * schedule(t / steps)
            generator.manual_seed(derive(plan.seed, "noise", t))
            step(batches(t).to(device), torch.tensor(alpha, device=device), torch.tensor(t, device=device))
            progress = replace(progress, step=t + 1, seconds=clock.seconds())

            row: dict[str, Any] | None = None
            if t + 1 == steps or crosses_multiple(t + 1, plan.validate_every * epoch):
                check_finite(state, t + 1, checkpoint)
                row = {"step": t + 1, "epoch": (t + 1) / epoch, "train": state.meters.read(), "learning_rate": alpha}
                row |= {"seconds": progress.seconds, "images_per_second": plan.batch / clock.pace(t + 1)}
                if data.validation is not None:
                    with averaged(model, state):
                        row["validation"] = validate(model, data.validation, plan.seed)
                        if progress.best_elbo is None or row["validation"]["elbo"] > progress.best_elbo:
                            best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
                            progress = replace(progress, best_step=t + 1, best_elbo=row["validation"]["elbo"])
                progress = replace(progress, log_bytes=log.append(row))

            if row is not None or clock.due("show", SHOW_SECONDS):
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


def check_finite(state: State, taken: int, checkpoint: Path) -> None:
    """NonFiniteError naming the first step and the terms that were not finite, if any of `taken` steps had such.

    A gradient can be so where every term is finite; then the weights are, and the step is the last one looked at.
    """
    bad = state.meters.first_bad()
    if bad is None and all(parameter.isfinite().all() for parameter in state.parameters):
        return
    step, terms = bad or (taken - 1, "weights")
    kept = f"; the last good state is kept in {checkpoint}" if checkpoint.exists() else ""
    raise NonFiniteError(
        found=f"{terms} not finite at step {step:,}",
        expected="finite numbers",
        do=f"lower --learning-rate, or set --clip-norm 100{kept}",
    )


def crosses_multiple(step: int, every: float) -> bool:
    """Whether a multiple of `every` lies in (step - 1, step]."""
    return int(step / every) > int((step - 1) / every)


def out_of_patience(progress: Progress, plan: Plan, epoch: float) -> bool:
    """Whether the validation ELBO has not improved for `plan.patience` epochs of `epoch` steps."""
    return plan.patience > 0 and progress.step - progress.best_step > plan.patience * epoch


@contextmanager
def bfloat16(model: VAE, on: bool) -> Iterator[None]:
    """Run the model's networks in bfloat16 while this lasts, if `on`."""
    conditionals = [module for module in model.modules() if isinstance(module, Conditional)]
    for conditional in conditionals:
        conditional.use_bfloat16 = on
    try:
        yield
    finally:
        for conditional in conditionals:
            conditional.use_bfloat16 = False


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
