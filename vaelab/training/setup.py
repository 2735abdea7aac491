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
from vaelab.training.config import TrainingConfig
from vaelab.training.loader import Loader, loader_of
from vaelab.training.sampler import Sampler
from vaelab.training.schedules import SCHEDULES
from vaelab.training.step.compiled import Work, step_flops
from vaelab.training.step.step import Step, TrainState, make_step


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """The batches, noise and learning rates of a training, step by step; what changes is in a State."""

    model: VAE
    objective: Objective
    config: TrainingConfig
    device: torch.device
    reading: Protocol
    sampler: Sampler
    loader: Loader
    labels: Tensor | None  # [N], of the training images, where the model is told of them
    schedule: Callable[[float], float]

    def __post_init__(self) -> None:
        self.model.protocol = self.reading.name  # so that it is not measured on pixels of another kind

    @classmethod
    def of(
        cls,
        model: VAE,
        objective: Objective,
        train: Dataset,
        config: TrainingConfig,
        schedule: Callable[[float], float] | None = None,
    ) -> "TrainingSetup":
        """The course of training `model` on `train`, whose images all make one batch where they are fewer than that.

        Arguments:
            schedule: of the learning rate; None: the one that `config` names.

        Raises:
            SpecError: the objective does not admit this model or batch, the model is to be
                told labels that are not there, its likelihood does not describe these pixels, or a part of it does not
                keep its contract.
            DataError: images of another shape than the model's.
        """
        admit_data(model, train)
        admit_likelihood(model, train)
        admit_parts(model, train)
        config = config.model_copy(update={"batch": min(config.batch, len(train))})
        admit(objective, model, config.batch)
        device = next(model.parameters()).device
        sampler = Sampler(len(train), config.batch, config.seed)
        return cls(
            model=model,
            objective=on_device(objective, device),
            config=config,
            device=device,
            reading=protocol(train.protocol),
            sampler=sampler,
            loader=loader_of(train, sampler, device),
            labels=None if model.labels is None else model.labels.known(train.labels),
            schedule=schedule or make("schedule", SCHEDULES, config.schedule),
        )

    def beside(
        self,
        model: VAE,
        objective: Objective,
        config: TrainingConfig,
        schedule: Callable[[float], float] | None = None,
    ) -> "TrainingSetup":
        """The course of another training on the same images, which are held but once."""
        config = config.model_copy(update={"batch": self.config.batch})
        sampler = Sampler(self.sampler.count, config.batch, config.seed)
        schedule = schedule or make("schedule", SCHEDULES, config.schedule)
        loader = self.loader.beside(sampler)
        objective = on_device(objective, self.device)
        return replace(
            self, model=model, objective=objective, config=config, sampler=sampler, loader=loader, schedule=schedule
        )

    @property
    def parameter_names(self) -> list[str]:
        """Of what is trained, in the order of `TrainState.parameters`."""
        own = self.objective.named_parameters() if isinstance(self.objective, nn.Module) else ()
        return [*(name for name, _ in self.model.named_parameters()), *(f"objective.{name}" for name, _ in own)]

    @property
    def criterion(self) -> Criterion:
        """What chooses the best weights on validation images."""
        return criterion_of(self.objective)

    @property
    def epoch(self) -> float:
        """Steps in an epoch, not always whole."""
        return self.sampler.count / self.config.batch

    @property
    def steps(self) -> int:
        return math.ceil(self.config.epochs * self.epoch)

    @property
    def work(self) -> Work:
        """What is ahead; `program` is the same for setups that differ in numbers that a step is given."""
        options = self.config.model_dump(include={"batch", "precision", "clip_norm", "ema_decay"})
        shapes = [(name, tuple(p.shape)) for name, p in self.model.named_parameters()]
        program = (self.model, self.objective, self.reading.name, self.model.image_shape, options, shapes)
        return Work(self.steps, step_flops(self.model, self.config.batch), repr(program), self.device)

    @property
    def key(self) -> Tensor:
        """Of the noise of every step."""
        return key_of(derive(self.config.seed, "noise"), self.device)

    def step(self, state: TrainState) -> Step:
        """The step that changes `state`, and the model, in place; see `make_step`."""
        offset = self.reading.nats_offset(self.model.image_shape)
        return make_step(self.model, self.objective, self.reading.pixels, state, self.config, self.key, offset)

    def learning_rate(self, t: int) -> float:
        return self.config.learning_rate * self.schedule(t / self.steps)

    def batch(self, t: int) -> Tensor:
        """The images of step t, uint8 [B, C, H, W]."""
        return self.loader(t)

    def condition(self, t: int) -> Tensor | None:
        """Of the labels of these images, [B, K], where the model is told of them."""
        if self.labels is None or self.model.labels is None:
            return None
        return self.model.labels.one_hot(self.labels[self.sampler(t).to(self.device)])

    def noise(self, t: int) -> Noise:
        """The noise of step t."""
        return Noise(self.key, torch.tensor(t, device=self.device))

    def seed_generator(self, t: int) -> None:
        """Put torch's own generator, for draws that are not Noise's such as dropout, where step t begins."""
        seed_generator(self.device, derive(self.config.seed, "noise", t))

    def take(self, step: Step, t: int) -> None:
        """Take step t of the training by `step`."""
        self.seed_generator(t)
        alpha = torch.tensor(self.learning_rate(t), device=self.device)
        condition = self.condition(t)
        step(self.batch(t), alpha, torch.tensor(t, device=self.device), *([] if condition is None else [condition]))


@contextmanager
def bfloat16(model: VAE, on: bool) -> Iterator[None]:
    """Run the model's networks in bfloat16 while this lasts, if `on`."""
    round_networks(model, on)
    try:
        yield
    finally:
        round_networks(model, False)
