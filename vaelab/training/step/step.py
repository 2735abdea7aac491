"""One training step as one function of tensors: forward, backward, clipping, Adam, moving average, meters.

It is this function that is compiled, not the model, so the weights keep their names. Written for the compiler: nothing
here asks the device for a value.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaelab.models import VAE
from vaelab.objectives.bounds import distortion, rate
from vaelab.objectives.losses import Losses, Objective, held, reported
from vaelab.randomness.noise import Noise
from vaelab.system.torch_internals import foreach
from vaelab.training.config import TrainingConfig
from vaelab.training.meters import Meters

# (images, learning rate, number), and behind them the labels' code where the model is told any
Step = Callable[..., None]

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba (2015), algorithm 1


@dataclass
class TrainState:
    """All that a step changes, but for the buffers of the model and of the objective."""

    parameters: list[Tensor]  # of the model, then of the objective, where it has some
    roles: list[str]  # by which of an objective's `Losses` each of them is trained
    objective: dict[str, Tensor]  # what the objective holds, parameters and buffers by name, to be kept with the rest
    mean: list[Tensor]  # Adam's m
    square: list[Tensor]  # Adam's v
    average: list[Tensor]  # moving average of the parameters; empty where none is kept
    meters: Meters

    @classmethod
    def start(cls, model: VAE, config: TrainingConfig, objective: Objective | None = None) -> "TrainState":
        own: list[Tensor] = list(objective.parameters()) if isinstance(objective, nn.Module) else []
        held = objective.state_dict(keep_vars=True) if isinstance(objective, nn.Module) else {}
        inference = {id(parameter) for parameter in model.posterior.parameters()}
        roles = ["inference" if id(parameter) in inference else "generative" for parameter in model.parameters()]
        parameters = [*model.parameters(), *own]
        return cls(
            parameters=parameters,
            roles=roles + ["own"] * len(own),
            objective=dict(held),
            mean=[torch.zeros_like(p) for p in parameters],
            square=[torch.zeros_like(p) for p in parameters],
            average=[p.detach().clone() for p in parameters] if config.ema_decay else [],
            meters=Meters.zero(parameters[0].device),
        )


def make_step(
    model: VAE,
    objective: Objective,
    pixels: Callable[[Tensor], Tensor],
    state: TrainState,
    config: TrainingConfig,
    key: Tensor,
    nats_offset: float,
) -> Step:
    """The function (images, learning rate [], step []) -> None that trains `model` on one batch, in place.

    The images are uint8 [B, C, H, W], on the model's device; a model that is told labels is given their code [B, K] in
    the last place.

    Arguments:
        pixels: the protocol's map from uint8 images to x in [0, 1].
        key: of the noise (`vaelab.randomness.noise.key_of`).
        nats_offset: what the protocol adds to the distortion of an image (`Protocol.nats_offset`).
    """

    def step(images: Tensor, learning_rate: Tensor, number: Tensor, condition: Tensor | None = None) -> None:
        with Noise(key, number):
            x = pixels(images)
            loss, draw = held(objective(model.conditioned(condition), x, number), len(images))
        gradients = gradients_of(loss, state)
        with torch.no_grad():
            if config.clip_norm:
                gradients = clip(gradients, config.clip_norm, global_norm(gradients))
            update(state, config, gradients, learning_rate, number)
            state.meters.add(number, reported(loss) + nats_offset, rate(draw), distortion(draw) + nats_offset)

    return step


# Below, `state` may be that of many runs as one (`vaelab.training.step.vmapped`). Each of its tensors then has a first
# axis of R runs, and so has each number that differs between runs.


def gradients_of(loss: Tensor | Losses, state: TrainState) -> tuple[Tensor, ...]:
    """Of the mean over the batch of the loss [B], the one reduction there is; of each role's own, of `Losses`."""
    if isinstance(loss, Tensor):
        return torch.autograd.grad(loss.mean(-1).sum(), state.parameters)
    found = dict[int, Tensor]()
    for role, own in loss._asdict().items():
        places = [i for i, name in enumerate(state.roles) if name == role]
        if places:
            wanted = [state.parameters[i] for i in places]
            found |= zip(places, torch.autograd.grad(own.mean(-1).sum(), wanted, retain_graph=True), strict=True)
    return tuple(found[i] for i in range(len(state.parameters)))


def update(
    state: TrainState, config: TrainingConfig, g: tuple[Tensor, ...], learning_rate: Tensor, number: Tensor
) -> None:
    """Move the weights, and their average behind them."""
    adam(state, g, learning_rate, number)
    if config.ema_decay:
        foreach("lerp_", state.average, state.parameters, 1 - config.ema_decay)


def clip(gradients: tuple[Tensor, ...], largest: float, norm: Tensor) -> tuple[Tensor, ...]:
    """g, scaled down to the norm `largest` where |g| is above it (Pascanu, Mikolov & Bengio 2013, algorithm 1)."""
    scale = (largest / norm).clamp(max=1.0)
    return foreach("mul", gradients, of_each(scale.float(), gradients))


def of_each(numbers: Tensor, tensors: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """One number [] as it is; a number of each run [R] as it multiplies tensors [R, ...]."""
    if numbers.dim() == 0:
        return numbers
    return [numbers.view(-1, *[1] * (tensor.dim() - 1)) for tensor in tensors]


def global_norm(gradients: tuple[Tensor, ...]) -> Tensor:
    """|g|, of all of them together, in float64: in float32 its squares overflow from 2e19 on, and clipping by an
    infinite norm would skip the step without a word.
    """
    return torch.linalg.vector_norm(torch.stack(foreach("norm", gradients, 2, torch.float64)))


def adam(state: TrainState, g: tuple[Tensor, ...], learning_rate: Tensor, number: Tensor) -> None:
    """theta <- theta - alpha m^ / (sqrt(v^) + epsilon) (Kingma & Ba 2015, algorithm 1).

    Ours because the library's optimiser breaks the compiled graph; tested to be equal to it. Its t comes from the
    number of the step: a count kept here would be a tensor without axes, and the compiler (torch 2.13, CPU) drops what
    is written to such a one.
    """
    m, v = state.mean, state.square
    t = number.double() + 1  # 1 - 0.999^t cancels in float32
    foreach("lerp_", m, g, 1 - BETA_1)
    foreach("mul_", v, BETA_2)
    foreach("addcmul_", v, g, g, 1 - BETA_2)
    change = foreach("sqrt", v)
    foreach("mul_", change, (1 - BETA_2**t).rsqrt())
    foreach("add_", change, EPSILON)
    foreach("reciprocal_", change)
    foreach("mul_", change, of_each(-learning_rate / (1 - BETA_1**t), change))
    foreach("addcmul_", state.parameters, m, change)
