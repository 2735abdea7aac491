"""Several runs as one program: one step of tensors that hold the weights of all of them side by side, [R, ...].

A run keeps its own model and State. Their tensors become views of those that the step changes, so that to checkpoints,
validation and whatever else is done between two steps, a run is a run like any other.
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

# The fields of a Plan that may differ between runs of one program: a step sees nothing of them but numbers.
FREE = ("seed", "learning_rate", "schedule", "epochs", "patience", "validate_every")

ROUNDING = {"float32": 1e-3, "bfloat16": 0.1}  # of a loss, relative: together, products are summed in another order


def joint_step(setups: Sequence[TrainingSetup], states: Sequence[TrainState], t: int) -> Step:
    """The function (images, learning rates [R], step []) -> None that trains all models on a batch each, in place.

    The images are uint8 [R, B, C, H, W]; behind the step comes the code [R, B, K] of their labels where the models are
    told of them. The tensors of models and states are views of the step's own from now on.

    Arguments:
        t: the step that will be taken first; its losses are compared with those of each run alone.

    Raises:
        SpecError: some part of these runs does something that depends on the values of one run, or makes other numbers
            of them.
    """
    first = setups[0]
    config, pixels, offset = first.config, first.reading.pixels, first.reading.nats_offset(first.model.image_shape)
    state = joined(states)
    forms = [Form(setup) for setup in setups]
    names, buffer_names = ([name for name, _ in of] for of in (forms[0].named_parameters(), forms[0].named_buffers()))
    buffers = [side_by_side(tensors) for tensors in zip(*(form.buffers() for form in forms), strict=True)]
    keys = torch.stack([setup.key for setup in setups])
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
        """Loss, rate and distortion of a run, [B] each."""
        tensors = dict(zip([*names, *buffer_names], [*parameters, *buffers], strict=True))
        with Noise(key, number, mapped):
            loss, draw = functional_call(form, tensors, (pixels(images), condition, number))
        return loss, rate(draw), distortion(draw)

    of_all = vmap(terms, in_dims=(0, 0, 0, 0, None if first.labels is None else 0, None, None))

    def step(images: Tensor, learning_rate: Tensor, number: Tensor, condition: Tensor | None = None) -> None:
        loss, rates, distortions = of_all(state.parameters, buffers, keys, images, condition, number, True)
        gradients = gradients_of(loss, state)  # no run's loss knows another's weights
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
        raise _cannot(f"a part of these runs cannot ({str(error).splitlines()[0]})") from error
    vmapped = reported(joint)
    if not torch.allclose(vmapped, torch.stack(alone), rtol=ROUNDING[config.precision], equal_nan=True):
        raise _cannot("a part of these runs gives other losses then")
    return step


def _cannot(why: str) -> SpecError:
    found = f"runs that are to be trained as one program: {why}"
    return SpecError(found=found, expected="parts that treat every run alike", do="leave --vmapped out")


class Form(nn.Module):
    """A model and its objective as one module, the model's weights first: (x, code, step) -> loss [B] and Draw."""

    def __init__(self, setup: TrainingSetup) -> None:
        super().__init__()
        self.model = setup.model
        self.objective: Objective = setup.objective
        self.rounds = setup.config.precision == "bfloat16"

    def hollow(self) -> "Form":
        """A copy without values, which waits to be given some."""
        form = copy.deepcopy(self).to("meta")
        round_networks(form, self.rounds)
        return form

    def forward(self, x: Tensor, condition: Tensor | None, number: Tensor) -> tuple[Tensor | Losses, Draw]:
        return self.objective(self.model.conditioned(condition), x, number)


def joined(states: Sequence[TrainState]) -> TrainState:
    """One State of all runs, [R, ...], of which theirs become views."""

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
    """Their values as one tensor [R, ...], of which each becomes a view."""
    whole = torch.stack([tensor.detach() for tensor in tensors])
    for tensor, part in zip(tensors, whole, strict=True):
        tensor.data = part
    return whole


def norms(gradients: Sequence[Tensor]) -> Tensor:
    """|g| of each run, [R], in float64; see `vaelab.training.step.step.global_norm`."""
    each = [torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1, dtype=torch.float64) for g in gradients]
    return torch.linalg.vector_norm(torch.stack(each), dim=0)


def batches(setups: Sequence[TrainingSetup], t: int) -> Tensor:
    """The images of step t of each, uint8 [R, B, C, H, W]."""
    return torch.stack([setup.batch(t) for setup in setups])


def conditions(setups: Sequence[TrainingSetup], t: int) -> Tensor | None:
    """Of the labels of these images, [R, B, K], where the models are told of them."""
    known = [condition for setup in setups if (condition := setup.condition(t)) is not None]
    return torch.stack(known) if known else None


def take_vmapped(setups: Sequence[TrainingSetup], step: Step, t: int) -> None:
    """Take step t of all setups by `step`."""
    device = setups[0].device
    alpha = torch.tensor([setup.learning_rate(t) for setup in setups], device=device)
    condition = conditions(setups, t)
    step(batches(setups, t), alpha, torch.tensor(t, device=device), *([] if condition is None else [condition]))
