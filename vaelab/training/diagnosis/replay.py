"""A training step taken again, to find the first number that is not finite."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaelab.objectives.losses import reported
from vaelab.training.diagnosis.layers import ForwardRecord, LayerOutput, all_finite, recording
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.step import TrainState, global_norm, gradients_of

LOG_DENSITIES = {
    "log_lik": "log p(x|z)",
    "kl": "KL(q(z|x) || p(z))",  # before its parts, which may not enter the loss
    "log_prior": "log p(z)",
    "log_post": "log q(z|x)",
}


@dataclass(frozen=True)
class Term:
    """A number for each image of the batch, in nats."""

    name: str
    images: tuple[int, ...]  # training images, by index, whose value is not finite
    least: float | None  # smallest finite value
    largest: float | None


@dataclass(frozen=True)
class Gradient:
    """The gradient of a parameter, averaged over the batch, before clipping."""

    name: str
    not_finite: int
    norm: float | None  # None if it is not finite


@dataclass(frozen=True)
class StepReport:
    """The numbers of one training step, and the first that was not finite.

    `stage` is "weights" (before the step), "forward", "backward", "update", or "" if every number was finite. `where`
    names the layer, term or parameter.
    """

    step: int
    stage: str
    where: str
    images: tuple[int, ...]  # training images with a value or gradient that is not finite; empty if there is none
    batch: tuple[int, ...]
    learning_rate: float
    clip_norm: float
    gradient_norm: float | None  # before clipping; None if it is not finite
    weights_not_finite: tuple[str, ...]  # before the step
    terms: tuple[Term, ...]
    layers: tuple[LayerOutput, ...]
    gradients: tuple[Gradient, ...]
    updates_not_finite: tuple[str, ...]  # parameters whose weights or moments of Adam are not finite after the step


def replay_step(setup: TrainingSetup, state: TrainState, t: int) -> StepReport:
    """Take step t from `state` eagerly and examine every number. The step is taken: `state` is then after it.

    If the batch is cut into shards, terms and layers are those of the first shard with a number that is not finite.
    """
    names = setup.parameter_names
    weights = tuple(n for n, p in zip(names, state.parameters, strict=True) if not all_finite([p]))
    looks = [_look(setup, state, t, shard) for shard in range(setup.config.shards)]
    look = next((look for look in looks if look.failed), looks[-1])
    gradients = tuple(
        torch.stack(of_shards).mean(0) for of_shards in zip(*(each.gradients for each in looks), strict=True)
    )
    norms = tuple(_gradient_row(name, g) for name, g in zip(names, gradients, strict=True))

    setup.take(setup.step(state), t)
    after = zip(names, state.parameters, state.mean, state.square, strict=True)
    updates = tuple(name for name, *tensors in after if not all_finite(tensors))
    stage, where = _origin(weights, look.record.forward, look.terms, look.record.backward, norms, updates)
    return StepReport(
        step=t,
        stage=stage,
        where=where,
        images=look.images,
        batch=tuple(setup.sampler(t).tolist()),
        learning_rate=setup.learning_rate(t),
        clip_norm=setup.config.clip_norm,
        gradient_norm=_finite(global_norm(gradients)),
        weights_not_finite=weights,
        terms=look.terms,
        layers=tuple(look.record.layers.values()),
        gradients=norms,
        updates_not_finite=updates,
    )


class _Look(NamedTuple):
    """The numbers of a forward and backward pass over a shard."""

    record: ForwardRecord
    terms: tuple[Term, ...]
    images: tuple[int, ...]  # training images with a value or gradient that is not finite
    gradients: tuple[Tensor, ...]

    @property
    def failed(self) -> bool:
        return bool(self.record.forward or self.images or not all_finite(self.gradients))


def _look(setup: TrainingSetup, state: TrainState, t: int, shard: int) -> _Look:
    setup.seed_generator(t, shard)
    size = setup.config.batch // setup.config.shards
    own, condition = slice(shard * size, (shard + 1) * size), setup.condition(t)
    given = setup.model.conditioned(None if condition is None else condition[own])
    with recording(setup.model) as record, setup.noise(t, shard):
        x = setup.reading.pixels(setup.batch(t)[own]).requires_grad_()
        loss, draw = setup.objective(given, x, torch.tensor(t, device=x.device))
        (of_images,) = torch.autograd.grad(
            reported(loss).mean(), [x], retain_graph=True, allow_unused=True, materialize_grads=True
        )
        gradients = gradients_of(loss, state)
    batch = tuple(setup.sampler(t)[own].tolist())
    known = {field: said for field, said in LOG_DENSITIES.items() if getattr(draw, field) is not None}
    terms = [_term(said, getattr(draw, field), batch) for field, said in known.items()]
    terms.append(_term("loss", reported(loss), batch))
    # The gradient with respect to an image shows whether its backward pass failed. The gradient of one image's loss
    # would not show it: zeros go back to the other images, and 0 times infinity is NaN.
    images = tuple(i for i in batch if any(i in term.images for term in terms)) or _not_finite(of_images, batch)
    return _Look(record, tuple(terms), images, gradients)


def _origin(
    weights: tuple[str, ...],
    forward: str,
    terms: tuple[Term, ...],
    backward: str,
    gradients: tuple[Gradient, ...],
    updates: tuple[str, ...],
) -> tuple[str, str]:
    """Return (stage, where) of the first non-finite number; the later ones follow from it."""
    if weights:
        return "weights", weights[0]
    if forward:
        return "forward", forward
    for term in terms:
        if term.images:
            return "forward", term.name
    bad = [gradient.name for gradient in gradients if gradient.not_finite]
    if bad:
        return "backward", backward or f"the gradient of {bad[0]}"
    return ("update", updates[0]) if updates else ("", "")


def _term(name: str, values: Tensor, batch: tuple[int, ...]) -> Term:
    """Return the Term of values [..., B]."""
    rows = values.detach().reshape(-1, len(batch))
    finite = rows[rows.isfinite()]
    least, largest = (finite.min().item(), finite.max().item()) if len(finite) else (None, None)
    return Term(name, _not_finite(rows.T, batch), least, largest)


def _not_finite(values: Tensor, batch: tuple[int, ...]) -> tuple[int, ...]:
    """Return the images of the batch whose values [B, ...] are not all finite."""
    finite = values.isfinite().flatten(1).all(1).tolist()
    return tuple(i for i, good in zip(batch, finite, strict=True) if not good)


def _gradient_row(name: str, gradient: Tensor) -> Gradient:
    bad = int((~gradient.isfinite()).sum())
    return Gradient(name, bad, None if bad else torch.linalg.vector_norm(gradient.double()).item())


def _finite(number: Tensor) -> float | None:
    value: Any = number.item()
    return value if math.isfinite(value) else None
