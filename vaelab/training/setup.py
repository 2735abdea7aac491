"""What each step of a training is: a pure function of its number, so that any step can be taken again."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import Protocol, protocol
from vaelab.evaluation.admission import admit_data, admit_likelihood, admit_parts
from vaelab.models import VAE, round_networks
from vaelab.objectives.criterion import Criterion, criterion_of
from vaelab.objectives.losses import Objective, admit, on_device
from vaelab.parts.names import make
from vaelab.randomness.noise import Noise, key_of
from vaelab.randomness.seeds import derive, seed_generator
from vaelab.training.config import Plan
from vaelab.training.loader import Feed, feed_of
from vaelab.training.sampler import Batches
from vaelab.training.schedules import SCHEDULES
from vaelab.training.step.compiled import Work, step_flops
from vaelab.training.step.step import State, Step, make_step


@dataclass(frozen=True, eq=False)
class Course:
    """The batches, noise and learning rates of a training, step by step; what changes is in a State."""

    model: VAE
    objective: Objective
    plan: Plan
    device: torch.device
    reading: Protocol
    batches: Batches
    feed: Feed
    labels: Tensor | None  # [N], of the training images, where the model is told of them
    schedule: Callable[[float], float]

    def __post_init__(self) -> None:
        self.model.protocol = self.reading.name  # so that it is not measured on pixels of another kind

    @classmethod
    def of(cls, model: VAE, objective: Objective, train: Dataset, plan: Plan) -> "Course":
        """The course of training `model` on `train`, whose images all make one batch where they are fewer than that.

        Raises:
            SpecError: the objective does not admit this model or batch, the model is to be
                told labels that are not there, its likelihood does not describe these pixels, or a part of it does not
                keep its contract.
            DataError: images of another shape than the model's.
        """
        admit_data(model, train)
        admit_likelihood(model, train)
        admit_parts(model, train)
        plan = plan.model_copy(update={"batch": min(plan.batch, len(train))})
        admit(objective, model, plan.batch)
        device = next(model.parameters()).device
        batches = Batches(len(train), plan.batch, plan.seed)
        return cls(
            model=model,
            objective=on_device(objective, device),
            plan=plan,
            device=device,
            reading=protocol(train.protocol),
            batches=batches,
            feed=feed_of(train, batches, device),
            labels=None if model.labels is None else model.labels.known(train.labels),
            schedule=make("schedule", SCHEDULES, plan.schedule),
        )

    def beside(self, model: VAE, objective: Objective, plan: Plan) -> "Course":
        """The course of another training on the same images, which are held but once."""
        plan = plan.model_copy(update={"batch": self.plan.batch})
        batches, schedule = (
            Batches(self.batches.count, plan.batch, plan.seed),
            make("schedule", SCHEDULES, plan.schedule),
        )
        feed = self.feed.beside(batches)
        objective = on_device(objective, self.device)
        return replace(self, model=model, objective=objective, plan=plan, batches=batches, feed=feed, schedule=schedule)

    @property
    def parameter_names(self) -> list[str]:
        """Of what is trained, in the order of `State.parameters`."""
        own = self.objective.named_parameters() if isinstance(self.objective, nn.Module) else ()
        return [*(name for name, _ in self.model.named_parameters()), *(f"objective.{name}" for name, _ in own)]

    @property
    def criterion(self) -> Criterion:
        """What chooses the best weights on validation images."""
        return criterion_of(self.objective)

    @property
    def epoch(self) -> float:
        """Steps in an epoch, not always whole."""
        return self.batches.count / self.plan.batch

    @property
    def steps(self) -> int:
        return math.ceil(self.plan.epochs * self.epoch)

    @property
    def work(self) -> Work:
        """What is ahead; `program` is the same for courses that differ in numbers that a step is given."""
        options = self.plan.model_dump(include={"batch", "precision", "clip_norm", "ema_decay"})
        shapes = [(name, tuple(p.shape)) for name, p in self.model.named_parameters()]
        program = (self.model, self.objective, self.reading.name, self.model.image_shape, options, shapes)
        return Work(self.steps, step_flops(self.model, self.plan.batch), repr(program), self.device)

    @property
    def key(self) -> Tensor:
        """Of the noise of every step."""
        return key_of(derive(self.plan.seed, "noise"), self.device)

    def step(self, state: State) -> Step:
        """The step that changes `state`, and the model, in place; see `make_step`."""
        offset = self.reading.nats_offset(self.model.image_shape)
        return make_step(self.model, self.objective, self.reading.pixels, state, self.plan, self.key, offset)

    def learning_rate(self, t: int) -> float:
        return self.plan.learning_rate * self.schedule(t / self.steps)

    def batch(self, t: int) -> Tensor:
        """The images of step t, uint8 [B, C, H, W]."""
        return self.feed(t)

    def code(self, t: int) -> Tensor | None:
        """Of the labels of these images, [B, K], where the model is told of them."""
        if self.labels is None or self.model.labels is None:
            return None
        return self.model.labels.code(self.labels[self.batches(t).to(self.device)])

    def noise(self, t: int) -> Noise:
        """The noise of step t."""
        return Noise(self.key, torch.tensor(t, device=self.device))

    def seed_generator(self, t: int) -> None:
        """Put torch's own generator, for draws that are not Noise's such as dropout, where step t begins."""
        seed_generator(self.device, derive(self.plan.seed, "noise", t))

    def take(self, step: Step, t: int) -> None:
        """Take step t of the training by `step`."""
        self.seed_generator(t)
        alpha = torch.tensor(self.learning_rate(t), device=self.device)
        code = self.code(t)
        step(self.batch(t), alpha, torch.tensor(t, device=self.device), *([] if code is None else [code]))


@contextmanager
def bfloat16(model: VAE, on: bool) -> Iterator[None]:
    """Run the model's networks in bfloat16 while this lasts, if `on`."""
    round_networks(model, on)
    try:
        yield
    finally:
        round_networks(model, False)
