"""Vmapped runs: one step for several runs, with tensors [R, ...] that hold the weights of all of them.

Each run keeps its own model and TrainState. Their tensors become views of those that the step changes. So checkpoints,
validation and everything else between two steps work as for a single run.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from vaelab.models import Draw, round_networks, rows
from vaelab.objectives.bounds import distortion, rate
from vaelab.objectives.losses import Losses, Objective, reported
from vaelab.randomness.noise import Noise
from vaelab.system.errors import SpecError
from vaelab.training.meters import Meters
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.step import Step, TrainState, clip, gradients_of, update

# Fields of a TrainingConfig that may differ between vmapped runs: they enter a step only as numbers.
FREE = ("seed", "learning_rate", "schedule", "epochs", "patience", "validate_every")

ROUNDING = {"float32": 1e-3, "bfloat16": 0.1}  # of a loss, relative: vmapped products are summed in another order


def joint_step(setups: Sequence[TrainingSetup], states: Sequence[TrainState], t: int) -> Step:
    """Return the function (images, learning rates [R], step []) -> None that trains each model on a batch, in place.

    The images are uint8 [R, B, C, H, W]. For models that are conditioned on labels, their one-hot form [R, B, K] is the
    last argument. From now on, the tensors of models and states are views of those of the step.

    Arguments:
        t: the first step to be taken; its losses are compared with those of each run alone.

    Raises:
        SpecError: a part of these runs depends on the values of one run in a way that vmap does not support, or gives
            other losses under vmap.
    """
    first = setups[0]
    config, pixels, offset = first.config, first.reading.pixels, first.reading.nats_offset(first.model.image_shape)
    state = joined(states)
    forms = [Form(setup) for setup in setups]
    names, buffer_names = ([name for name, _ in of] for of in (forms[0].named_parameters(), forms[0].named_buffers()))
    buffers = [side_by_side(tensors) for tensors in zip(*(form.buffers() for form in forms), strict=True)]
    keys = torch.stack([setup.keys[0] for setup in setups])
    form = forms[0].hollow()

    def terms(
        parameters: Sequence[Tensor],
        buffers: Sequence[Tensor],
        key: Tensor,
        images: Tensor,
        condition: Tensor | None,
        number: Tensor,
        mapped: bool,
    ) -> tuple[Tensor | Losses, Tensor, Tensor]:
        """Return loss, rate and distortion of a run, [B] each."""
        tensors = dict(zip([*names, *buffer_names], [*parameters, *buffers], strict=True))
        with Noise(key, number, mapped):
            loss, draw = functional_call(form, tensors, (pixels(images), condition, number))
        return loss, rate(draw), distortion(draw)

    of_all = vmap(terms, in_dims=(0, 0, 0, 0, None if first.labels is None else 0, None, None))

    def step(images: Tensor, learning_rate: Tensor, number: Tensor, condition: Tensor | None = None) -> None:
        loss, rates, distortions = of_all(state.parameters, buffers, keys, images, condition, number, True)
        gradients = gradients_of(loss, state)  # the loss of a run does not depend on the weights of another
        with torch.no_grad():
            if config.clip_norm:
                gradients = clip(gradients, config.clip_norm, norms(gradients))
            update(state, config, gradients, learning_rate, number)
            state.meters.add(number, reported(loss) + offset, rates, distortions + offset)

    images, condition, number = batches(setups, t), conditions(setups, t), torch.tensor(t, device=first.device)
    try:
        with torch.no_grad():
            joint, *_ = of_all(state.parameters, [b.clone() for b in buffers], keys, images, condition, number, True)
            alone = [
                reported(
                    terms(
                        [p[r] for p in state.parameters],
                        [b[r].clone() for b in buffers],
                        keys[r],
                        images[r],
                        rows(condition, r),
                        number,
                        False,
                    )[0]
                )
                for r in range(len(setups))
            ]
    except RuntimeError as error:
        raise _not_vmappable(f"a part of these runs cannot be vmapped ({str(error).splitlines()[0]})") from error
    vmapped = reported(joint)
    if not torch.allclose(vmapped, torch.stack(alone), rtol=ROUNDING[config.precision], equal_nan=True):
        raise _not_vmappable("a part of these runs gives other losses under vmap")
    return step


def _not_vmappable(why: str) -> SpecError:
    found = f"runs that cannot be trained as one program: {why}"
    return SpecError(found=found, expected="parts that work under torch.func.vmap", do="leave --vmapped out")


class Form(nn.Module):
    """A model and its objective as one module, the model's weights first: (x, condition, step) -> loss [B], Draw."""

    def __init__(self, setup: TrainingSetup) -> None:
        super().__init__()
        self.model = setup.model
        self.objective: Objective = setup.objective
        self.rounds = setup.config.precision == "bfloat16"

    def hollow(self) -> "Form":
        """Return a copy without values, for `functional_call`."""
        form = copy.deepcopy(self).to("meta")
        round_networks(form, self.rounds)
        return form

    def forward(self, x: Tensor, condition: Tensor | None, number: Tensor) -> tuple[Tensor | Losses, Draw]:
        return self.objective(self.model.conditioned(condition), x, number)


def joined(states: Sequence[TrainState]) -> TrainState:
    """Return one TrainState of all runs, [R, ...]; the tensors of `states` become views of it."""

    def of(kind: str) -> list[Tensor]:
        return [side_by_side(tensors) for tensors in zip(*(getattr(state, kind) for state in states), strict=True)]

    meters = [state.meters for state in states]
    return TrainState(
        parameters=[tensor.requires_grad_() for tensor in of("parameters")],
        roles=states[0].roles,
        objective={},
        mean=of("mean"),
        square=of("square"),
        average=of("average"),
        meters=Meters(side_by_side([m.moments for m in meters]), side_by_side([m.bad_step for m in meters])),
    )


def side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    """Stack the values in one tensor [R, ...]; each of `tensors` becomes a view of it."""
    whole = torch.stack([tensor.detach() for tensor in tensors])
    for tensor, part in zip(tensors, whole, strict=True):
        tensor.data = part
    return whole


def norms(gradients: Sequence[Tensor]) -> Tensor:
    """Return |g| of each run, [R], in float64; see `vaelab.training.step.step.global_norm`."""
    each = [torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1, dtype=torch.float64) for g in gradients]
    return torch.linalg.vector_norm(torch.stack(each), dim=0)


def batches(setups: Sequence[TrainingSetup], t: int) -> Tensor:
    """Return the images of step t of each run, uint8 [R, B, C, H, W]."""
    return torch.stack([setup.batch(t) for setup in setups])


def conditions(setups: Sequence[TrainingSetup], t: int) -> Tensor | None:
    """Return the one-hot labels of these images, [R, B, K], or None if the models are not conditioned on labels."""
    known = [condition for setup in setups if (condition := setup.condition(t)) is not None]
    return torch.stack(known) if known else None


def take_vmapped(setups: Sequence[TrainingSetup], step: Step, t: int) -> None:
    """Take step t of all setups with `step`."""
    device = setups[0].device
    alpha = torch.tensor([setup.learning_rate(t) for setup in setups], device=device)
    condition = conditions(setups, t)
    step(batches(setups, t), alpha, torch.tensor(t, device=device), *([] if condition is None else [condition]))
