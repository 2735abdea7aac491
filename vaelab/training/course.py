"""What each step of a training is: a pure function of its number, so that any step can be taken again."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import Protocol, protocol
from vaelab.models import VAE, Conditional
from vaelab.objectives.bounds import Objective
from vaelab.parts import make
from vaelab.seeds import derive
from vaelab.training.batches import Batches
from vaelab.training.plan import Plan
from vaelab.training.schedules import SCHEDULES
from vaelab.training.step import State, Step, make_step


@dataclass(frozen=True, eq=False)
class Course:
    """The batches, noise and learning rates of a training, step by step; what changes is in a State."""

    model: VAE
    objective: Objective
    plan: Plan
    images: Tensor  # uint8 [N, C, H, W], on the model's device
    reading: Protocol
    batches: Batches
    schedule: Callable[[float], float]

    @classmethod
    def of(cls, model: VAE, objective: Objective, train: Dataset, plan: Plan) -> "Course":
        """The course of training `model` on `train`. Raises SpecError where a batch is larger than it."""
        return cls(
            model=model,
            objective=objective,
            plan=plan,
            images=torch.from_numpy(train.images).to(next(model.parameters()).device),
            reading=protocol(train.protocol),
            batches=Batches(len(train), plan.batch, plan.seed),
            schedule=make("schedule", SCHEDULES, plan.schedule),
        )

    @property
    def epoch(self) -> float:
        """Steps in an epoch, not always whole."""
        return len(self.images) / self.plan.batch

    @property
    def steps(self) -> int:
        return math.ceil(self.plan.epochs * self.epoch)

    def step(self, state: State) -> Step:
        """The step that changes `state`, and the model, in place; see `make_step`."""
        offset = self.reading.nats_offset(self.model.image_shape)
        return make_step(self.model, self.objective, self.images, self.reading.pixels, state, self.plan, offset)

    def learning_rate(self, t: int) -> float:
        return self.plan.learning_rate * self.schedule(t / self.steps)

    def seed_noise(self, t: int) -> None:
        """Put the generator that step t draws from where that step begins."""
        # torch.manual_seed would seed every device there is, for a hundred times the price
        device = self.images.device
        default = torch.default_generator if device.type == "cpu" else torch.cuda.default_generators[device.index or 0]
        default.manual_seed(derive(self.plan.seed, "noise", t))

    def take(self, step: Step, t: int) -> None:
        """Take step t of the training by `step`."""
        device = self.images.device
        alpha = torch.tensor(self.learning_rate(t), device=device)
        self.seed_noise(t)
        step(self.batches(t).to(device), alpha, torch.tensor(t, device=device))


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
