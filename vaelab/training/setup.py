"""The definition of each training step as a function of its number, so that any step can be taken again."""

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
from vaelab.system.world import ALONE, Reduce, World, world
from vaelab.training.config import TrainingConfig
from vaelab.training.loader import Loader, loader_of
from vaelab.training.sampler import Sampler
from vaelab.training.schedules import SCHEDULES
from vaelab.training.step.compiled import Work, step_flops
from vaelab.training.step.sharded import ShardedStep, admit_shards, make_sharded_step, refuse_changed
from vaelab.training.step.step import Step, TrainState, make_step


def steps_per_epoch(config: TrainingConfig, images: int) -> float:
    """Steps in an epoch of `images` training images, not always a whole number."""
    return images / min(config.batch, images)


def steps_of(config: TrainingConfig, images: int) -> int:
    """Steps of a whole training on `images` training images."""
    return math.ceil(config.epochs * steps_per_epoch(config, images))


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """The batches, noise and learning rates of a training run, for each step; what changes is in a TrainState."""

    model: VAE
    objective: Objective
    config: TrainingConfig
    device: torch.device
    reading: Protocol
    sampler: Sampler
    loader: Loader
    labels: Tensor | None  # [N], of the training images, if the model is conditioned on labels
    schedule: Callable[[float], float]
    world: World = ALONE  # the workers, each of which takes some shards of each batch
    reduce: Reduce = "ordered"  # how they add their gradients

    def __post_init__(self) -> None:
        self.model.protocol = self.reading.name  # so that it is not evaluated with another pixel protocol

    @classmethod
    def of(
        cls,
        model: VAE,
        objective: Objective,
        train: Dataset,
        config: TrainingConfig,
        schedule: Callable[[float], float] | None = None,
        reduce: Reduce = "ordered",
    ) -> "TrainingSetup":
        """Return the setup for training `model` on `train`; if a batch is larger than `train`, it is all images.

        Arguments:
            schedule: of the learning rate; None: the one that `config` names.
            reduce: how the workers add their gradients; see `World.sum`.

        Raises:
            SpecError: the objective does not admit this model or batch size; the model is conditioned on labels and
                there are none; its likelihood does not describe these pixels; or a part does not meet its contract.
            DataError: the images have another shape than the model's.
        """
        admit_data(model, train)
        admit_likelihood(model, train)
        admit_parts(model, train)
        config = config.model_copy(update={"batch": min(config.batch, len(train))})
        admit(objective, model, config.batch)
        here = world()
        admit_shards(model, objective, config, here)
        device = next(model.parameters()).device
        sampler = Sampler(len(train), config.batch, config.seed, _own_rows(config, here))
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
            world=here,
            reduce=reduce,
        )

    @property
    def of_whole_batch(self) -> "TrainingSetup":
        """The setup of a single worker, which takes all shards of each batch."""
        sampler = Sampler(self.sampler.count, self.config.batch, self.config.seed)
        return replace(self, world=ALONE, sampler=sampler, loader=self.loader.beside(sampler))

    def beside(
        self,
        model: VAE,
        objective: Objective,
        config: TrainingConfig,
        schedule: Callable[[float], float] | None = None,
    ) -> "TrainingSetup":
        """Return the setup of another run on the same images, which are held once."""
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
        """Names of the trained parameters, in the order of `TrainState.parameters`."""
        own = self.objective.named_parameters() if isinstance(self.objective, nn.Module) else ()
        return [*(name for name, _ in self.model.named_parameters()), *(f"objective.{name}" for name, _ in own)]

    @property
    def criterion(self) -> Criterion:
        """The criterion that selects the best weights on validation images."""
        return criterion_of(self.objective)

    @property
    def epoch(self) -> float:
        """Steps in an epoch, not always a whole number."""
        return steps_per_epoch(self.config, self.sampler.count)

    @property
    def steps(self) -> int:
        return steps_of(self.config, self.sampler.count)

    @property
    def work(self) -> Work:
        """The work of this run; `program` is equal for setups that differ only in inputs of the step."""
        options = self.config.model_dump(include={"batch", "shards", "precision", "clip_norm", "ema_decay"})
        shapes = [(name, tuple(p.shape)) for name, p in self.model.named_parameters()]
        program = (self.model, self.objective, self.reading.name, self.model.image_shape, options, shapes)
        return Work(self.steps, step_flops(self.model, self.config.batch), repr(program), self.device)

    @property
    def keys(self) -> tuple[Tensor, ...]:
        """The keys of the noise of all steps, one for each of this worker's shards."""
        seed, shards = self.config.seed, self.config.shards
        if shards == 1:
            return (key_of(derive(seed, "noise"), self.device),)
        return tuple(key_of(derive(seed, "shards", shard), self.device) for shard in self.world.part(shards))

    def step(self, state: TrainState) -> Step | ShardedStep:
        """Return the step that changes `state` and the model in place; see `make_step` and `make_sharded_step`.

        Raises:
            SpecError: a part learns in the forward pass, and the batch is cut into shards.
        """
        offset, keys = self.reading.nats_offset(self.model.image_shape), self.keys
        parts = self.model, self.objective, self.reading.pixels, state, self.config
        if self.config.shards == 1:
            return make_step(*parts, keys[0], offset)
        return make_sharded_step(*parts, keys, offset, self.world, self.reduce)

    def refuse_changed(self) -> None:
        """Raise SpecError if the batch is cut into shards, and a part learns in the forward pass."""
        if self.config.shards == 1:
            return
        images, condition, number = self.batch(0), self.condition(0), torch.tensor(0, device=self.device)
        size = self.config.batch // self.config.shards
        given = self.model.conditioned(None if condition is None else condition[:size])

        def look() -> None:
            with Noise(self.keys[0], number):
                self.objective(given, self.reading.pixels(images[:size]), number)

        refuse_changed(self.model, self.objective, self.config.shards, look)

    def learning_rate(self, t: int) -> float:
        return self.config.learning_rate * self.schedule(t / self.steps)

    def batch(self, t: int) -> Tensor:
        """Return the images of this worker's shards of step t, uint8 [B, C, H, W]."""
        return self.loader(t)

    def condition(self, t: int) -> Tensor | None:
        """Return the one-hot labels of these images, [B, K], or None if the model is not conditioned on labels."""
        if self.labels is None or self.model.labels is None:
            return None
        return self.model.labels.one_hot(self.labels[self.sampler(t).to(self.device)])

    def noise(self, t: int, shard: int = 0) -> Noise:
        """Return the noise of one of this worker's shards of step t."""
        return Noise(self.keys[shard], torch.tensor(t, device=self.device))

    def seed_generator(self, t: int, shard: int = 0) -> None:
        """Seed torch's own generator for a shard of step t, for draws that do not use Noise, such as dropout."""
        seed_generator(self.device, derive(self.config.seed, "noise", t, shard))

    def take(self, step: Step | ShardedStep, t: int) -> None:
        """Take step t of the training run with `step`."""
        alpha = torch.tensor(self.learning_rate(t), device=self.device)
        number, condition = torch.tensor(t, device=self.device), self.condition(t)
        if isinstance(step, ShardedStep):
            step(self.batch(t), alpha, number, condition, lambda shard: self.seed_generator(t, shard))
            return
        self.seed_generator(t)
        step(self.batch(t), alpha, number, *([] if condition is None else [condition]))


def _own_rows(config: TrainingConfig, here: World) -> range:
    """The places in each batch that belong to this worker's shards."""
    size, shards = config.batch // config.shards, here.part(config.shards)
    return range(shards.start * size, shards.stop * size)


@contextmanager
def bfloat16(model: VAE, on: bool) -> Iterator[None]:
    """Run the model's networks in bfloat16 in this context, if `on`."""
    round_networks(model, on)
    try:
        yield
    finally:
        round_networks(model, False)
