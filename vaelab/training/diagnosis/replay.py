"""One training step taken apart, to find where its numbers left the real ones."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaelab.models import Draw
from vaelab.objectives.losses import reported
from vaelab.training.diagnosis.layers import LayerOutput, all_finite, recording
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.step import TrainState, global_norm, gradients_of

LOG_DENSITIES = {
    "log_lik": "log p(x|z)",
    "kl": "KL(q(z|x) || p(z))",  # before its parts, which need not enter the loss
    "log_prior": "log p(z)",
    "log_post": "log q(z|x)",
}


@dataclass(frozen=True)
class Term:
    """A number for each image of the batch, in nats."""

    name: str
    images: tuple[int, ...]  # where it is not finite, as indices of the training images
    least: float | None  # of the finite ones
    largest: float | None


@dataclass(frozen=True)
class Gradient:
    """The gradient of a parameter, averaged over the batch, before clipping."""

    name: str
    not_finite: int
    norm: float | None  # None where it is not finite


@dataclass(frozen=True)
class StepReport:
    """All that one training step computed, and where it first was not finite.

    `stage` is "weights" (before the step), "forward", "backward" or "update", and "" where every number was finite;
    `where` names the layer, term or parameter.
    """

    step: int
    stage: str
    where: str
    images: tuple[int, ...]  # of the training images, those to which it happened; empty where it was none's own doing
    batch: tuple[int, ...]
    learning_rate: float
    clip_norm: float
    gradient_norm: float | None  # before clipping; None where it is not finite
    weights_not_finite: tuple[str, ...]  # before the step
    terms: tuple[Term, ...]
    layers: tuple[LayerOutput, ...]
    gradients: tuple[Gradient, ...]
    updates_not_finite: tuple[str, ...]  # parameters whose weights or moments of Adam were not finite behind the step


def replay_step(setup: TrainingSetup, state: TrainState, t: int) -> StepReport:
    """Take step t from `state`, eagerly and with every number looked at. The step is taken: `state` is behind it."""
    names = setup.parameter_names
    weights = tuple(n for n, p in zip(names, state.parameters, strict=True) if not all_finite([p]))
    setup.seed_generator(t)
    with recording(setup.model) as record, setup.noise(t):
        x = setup.reading.pixels(setup.batch(t)).requires_grad_()
        given, draw = setup.objective(setup.model.conditioned(setup.condition(t)), x, torch.tensor(t, device=x.device))
        loss = reported(given)
        (of_images,) = torch.autograd.grad(
            loss.mean(), [x], retain_graph=True, allow_unused=True, materialize_grads=True
        )
        gradients = gradients_of(given, state)
    batch = tuple(setup.sampler(t).tolist())
    terms = [_term(said, getattr(draw, field), batch) for field, said in LOG_DENSITIES.items() if _has(draw, field)]
    terms.append(_term("loss", loss, batch))
    # The gradient of an image tells which ones went wrong on the way back. That of one image's loss would not: zeros
    # go back to the other images, and 0 times infinity is no number either.
    images = tuple(i for i in batch if any(i in term.images for term in terms)) or _which(of_images, batch)
    norms = tuple(_gradient_row(name, g) for name, g in zip(names, gradients, strict=True))

    setup.take(setup.step(state), t)
    behind = zip(names, state.parameters, state.mean, state.square, strict=True)
    updates = tuple(name for name, *tensors in behind if not all_finite(tensors))
    stage, where = _origin(weights, record.forward, terms, record.backward, norms, updates)
    return StepReport(
        step=t,
        stage=stage,
        where=where,
        images=images,
        batch=batch,
        learning_rate=setup.learning_rate(t),
        clip_norm=setup.config.clip_norm,
        gradient_norm=_finite(global_norm(gradients)),
        weights_not_finite=weights,
        terms=tuple(terms),
        layers=tuple(record.layers.values()),
        gradients=norms,
        updates_not_finite=updates,
    )


def _origin(
    weights: tuple[str, ...],
    forward: str,
    terms: list[Term],
    backward: str,
    gradients: tuple[Gradient, ...],
    updates: tuple[str, ...],
) -> tuple[str, str]:
    """(stage, where) of what came first: what comes behind it follows from it."""
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


def _has(draw: Draw, field: str) -> bool:
    return getattr(draw, field) is not None


def _term(name: str, values: Tensor, batch: tuple[int, ...]) -> Term:
    """Of values [..., B]."""
    rows = values.detach().reshape(-1, len(batch))
    finite = rows[rows.isfinite()]
    least, largest = (finite.min().item(), finite.max().item()) if len(finite) else (None, None)
    return Term(name, _which(rows.T, batch), least, largest)


def _which(values: Tensor, batch: tuple[int, ...]) -> tuple[int, ...]:
    """The images of the batch whose values [B, ...] are not all finite."""
    finite = values.isfinite().flatten(1).all(1).tolist()
    return tuple(i for i, good in zip(batch, finite, strict=True) if not good)


def _gradient_row(name: str, gradient: Tensor) -> Gradient:
    bad = int((~gradient.isfinite()).sum())
    return Gradient(name, bad, None if bad else torch.linalg.vector_norm(gradient.double()).item())


def _finite(number: Tensor) -> float | None:
    value: Any = number.item()
    return value if math.isfinite(value) else None
