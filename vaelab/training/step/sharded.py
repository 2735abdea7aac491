"""A training step on a batch that is cut into shards, by any number of workers.

Each shard gives the gradient of its own images, by noise of its own. The gradients are summed as a tree of pairs, in
the order of the shards, and every worker then makes the same update. So the number of workers changes no bit.

The step consists of two functions of tensors: `shard` writes the gradient and the meters of one shard, and `apply`
updates the weights from their sum. Both are compiled on their own, and what the workers exchange lies between them. So
one program serves any number of workers, with the same rounding. A graph that holds the exchange would depend on that
number, and the compiler would round differently in each.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaelab.models import VAE
from vaelab.objectives.bounds import distortion, rate
from vaelab.objectives.losses import Objective, held, reported
from vaelab.parts.capabilities import declared, head_of
from vaelab.randomness.noise import Noise
from vaelab.system.errors import SpecError
from vaelab.system.world import Reduce, World, tree_sum
from vaelab.training.config import TrainingConfig
from vaelab.training.meters import moments_of
from vaelab.training.step.step import Step, TrainState, clip, global_norm, gradients_of, update


class Asked(NamedTuple):
    """What is to be done after a step: by all workers if one of them asks for it."""

    stop: bool = False
    show: bool = False
    save: bool = False


@dataclass(frozen=True)
class ShardedStep:
    """A step of shards; it changes the state and the model in place, as `Step` does.

    Arguments:
        shard: (images [b, C, H, W], number, key, and labels if there are any): writes `row` from the images of a shard.
        apply: (learning rate, number): updates the weights from `total`.
        row: the gradients and moments of one shard, [n].
        total: their sum over all shards, and then what the workers ask for, [n + 3].
        keys: of the noise of each of this worker's shards.
        first: the number of this worker's first shard.
        world, reduce: how the workers add their sums.
    """

    shard: Step
    apply: Step
    row: Tensor
    total: Tensor
    keys: tuple[Tensor, ...]
    first: int
    world: World
    reduce: Reduce

    def __call__(
        self,
        images: Tensor,
        learning_rate: Tensor,
        number: Tensor,
        condition: Tensor | None,
        seed: Callable[[int], None],
    ) -> None:
        """Take a step.

        Arguments:
            images: those of this worker's shards.
            condition: their labels, [B, K], if the model is conditioned on labels.
            seed: seeds torch's own generator for the shard of a number.
        """
        rows, size = list[Tensor](), len(images) // len(self.keys)
        for place, key in enumerate(self.keys):
            own = slice(place * size, (place + 1) * size)
            seed(self.first + place)
            self.shard(images[own], number, key, *([] if condition is None else [condition[own]]))
            rows.append(self.row.clone() if len(self.keys) > 1 else self.row)
        self.total[: len(self.row)] = tree_sum(rows)
        self.world.sum(self.total, self.reduce)
        self.apply(learning_rate, number)

    def ask(self, asked: Asked) -> None:
        """Ask, before a step, for what is to be done after it."""
        self.total[len(self.row) :] = torch.tensor(asked, dtype=self.total.dtype, device=self.total.device)

    @property
    def agreed(self) -> Asked:
        """What any worker asked for before the last step; this waits for the device."""
        return Asked(*(self.total[len(self.row) :] > 0).tolist())

    def each(self, change: Callable[[Step], Step]) -> "ShardedStep":
        """Return the step with `change` of both functions, such as their compiled forms."""
        return replace(self, shard=change(self.shard), apply=change(self.apply))


def make_sharded_step(
    model: VAE,
    objective: Objective,
    pixels: Callable[[Tensor], Tensor],
    state: TrainState,
    config: TrainingConfig,
    keys: tuple[Tensor, ...],
    nats_offset: float,
    world: World,
    reduce: Reduce,
) -> ShardedStep:
    """Return the step that trains `model` in place on batches of `config.shards` shards; see `make_step`.

    Arguments:
        keys: of the noise of each of this worker's shards.
    """
    forms = [_Form.of(parameter) for parameter in state.parameters]
    count = sum(form.numel for form in forms)
    row = torch.zeros(count + state.meters.moments.numel(), device=state.parameters[0].device)
    total = torch.cat([row, row.new_zeros(len(Asked()))])

    def shard(images: Tensor, number: Tensor, key: Tensor, condition: Tensor | None = None) -> None:
        with Noise(key, number):
            x = pixels(images)
            loss, draw = held(objective(model.conditioned(condition), x, number), len(images))
        gradients = gradients_of(loss, state)
        with torch.no_grad():
            moments = moments_of(reported(loss) + nats_offset, rate(draw), distortion(draw) + nats_offset)
            flat = [form.flat(g) for form, g in zip(forms, gradients, strict=True)]
            row.copy_(torch.cat([*flat, moments.float().flatten()]))

    def apply(learning_rate: Tensor, number: Tensor) -> None:
        with torch.no_grad():
            mean = total[:count] / config.shards  # a power of two, so that nothing is rounded
            pieces = mean.split([form.numel for form in forms])
            gradients = tuple(form.whole(piece) for form, piece in zip(forms, pieces, strict=True))
            if config.clip_norm:
                gradients = clip(gradients, config.clip_norm, global_norm(gradients))
            update(state, config, gradients, learning_rate, number)
            state.meters.include(number, total[count : len(row)].double().view(state.meters.moments.shape))

    return ShardedStep(shard, apply, row, total, keys, world.part(config.shards)[0], world, reduce)


class _Form(NamedTuple):
    """How a parameter lies in memory: gradients are flattened in that order, so that updates need no copy."""

    shape: torch.Size  # of the memory
    order: tuple[int, ...]  # of the axes of the memory, as those of the parameter

    @classmethod
    def of(cls, parameter: Tensor) -> "_Form":
        outer_first = sorted(range(parameter.dim()), key=lambda axis: (-parameter.stride(axis), axis))
        memory = parameter.permute(outer_first).shape
        return cls(memory, tuple(outer_first.index(axis) for axis in range(parameter.dim())))

    @property
    def numel(self) -> int:
        return self.shape.numel()

    def flat(self, gradient: Tensor) -> Tensor:
        return gradient.permute(sorted(range(gradient.dim()), key=self.order.__getitem__)).reshape(-1)

    def whole(self, piece: Tensor) -> Tensor:
        return piece.view(self.shape).permute(self.order)


def admit_shards(model: VAE, objective: Objective, config: TrainingConfig, world: World) -> None:
    """Raise SpecError if this training cannot be cut into shards, or not be shared by these workers."""
    shards, name = config.shards, getattr(objective, "__name__", type(objective).__name__)
    if shards % world.size:
        raise SpecError(
            found=f"{world.size} workers for shards = {shards}",
            expected="a number of workers that divides the number of shards",
            do=f"use --shards {_next_power(world.size)}, or another number of workers",
        )
    if shards == 1:
        return
    if config.batch % shards:
        raise SpecError(
            found=f"shards = {shards} of a batch of {config.batch} images",
            expected="shards of equally many images",
            do=f"use --batch {-(-config.batch // shards) * shards}, or fewer shards",
        )
    choices = "use --shards 1, or"
    if declared(objective, "of_batch"):
        raise SpecError(
            found=f"shards = {shards} with an objective ({name}) that compares the images of a batch",
            expected="an objective that is a sum over images: that of a shard would be another objective",
            do=f"{choices} another objective, such as --objective elbo",
        )
    if declared(head_of(model.likelihood), "calibrates_scale"):
        raise SpecError(
            found=f"shards = {shards} with a likelihood whose scale is computed from the batch",
            expected="a scale that does not depend on the images of the batch",
            do=f"{choices} a scale that is learned, such as --likelihood gaussian:sigma=shared",
        )


def _next_power(count: int) -> int:
    return 1 << (count - 1).bit_length()


def refuse_changed(model: VAE, objective: Objective, shards: int, look: Callable[[], None]) -> None:
    """Raise SpecError if a forward pass changes a buffer, such as a codebook: it would learn from single shards.

    Arguments:
        look: makes a forward pass in training mode. The buffers are restored.
    """
    own = objective.named_buffers() if isinstance(objective, nn.Module) else ()
    buffers = {**dict(model.named_buffers()), **{f"objective.{name}": tensor for name, tensor in own}}
    before = {name: tensor.clone() for name, tensor in buffers.items()}
    look()
    changed = [name for name, tensor in buffers.items() if not torch.equal(tensor, before[name])]
    with torch.no_grad():
        for name, tensor in buffers.items():
            tensor.copy_(before[name])
    if changed:
        raise SpecError(
            found=f"shards = {shards} with a part that learns in the forward pass ({changed[0]})",
            expected="parts that learn by gradients: this one would learn from a shard, not from the batch",
            do="use --shards 1, or another part",
        )
