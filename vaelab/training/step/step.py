"""One training step as one function of tensors: forward, backward, clipping, Adam, moving average, meters.

This function is compiled, not the model, so the weights keep their names. It reads no value from the device, so that it
can be compiled.
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

# (images, learning rate, step number), and then one-hot labels if the model is conditioned on labels
Step = Callable[..., None]

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba (2015), algorithm 1


@dataclass
class TrainState:
    """The tensors that a step changes, except for the buffers of the model."""

    parameters: list[Tensor]  # of the model, then of the objective, if it has any
    roles: list[str]  # for each parameter, the field of `Losses` that trains it
    objective: dict[str, Tensor]  # parameters and buffers of the objective, by name, for the checkpoint
    mean: list[Tensor]  # Adam's m
    square: list[Tensor]  # Adam's v
    average: list[Tensor]  # moving average of the parameters; empty if there is none
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
    """Return the function (images, learning rate [], step []) -> None that trains `model` on one batch, in place.

    The images are uint8 [B, C, H, W], on the model's device. For a model that is conditioned on labels, their one-hot
    form [B, K] is the last argument.

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


# Below, `state` may be that of several vmapped runs (`vaelab.training.step.vmapped`). Then each of its tensors has a
# first axis of R runs, and so has each number that differs between runs.


def gradients_of(loss: Tensor | Losses, state: TrainState) -> tuple[Tensor, ...]:
    """Return the gradients of the batch mean of the loss [B], the only reduction; of `Losses`, for each role."""
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
    """Update the weights, and then their moving average."""
    adam(state, g, learning_rate, number)
    if config.ema_decay:
        foreach("lerp_", state.average, state.parameters, 1 - config.ema_decay)


def clip(gradients: tuple[Tensor, ...], largest: float, norm: Tensor) -> tuple[Tensor, ...]:
    """Return g, scaled down to the norm `largest` if |g| is above it (Pascanu, Mikolov & Bengio 2013, algorithm 1)."""
    scale = (largest / norm).clamp(max=1.0)
    return foreach("mul", gradients, of_each(scale.float(), gradients))


def of_each(numbers: Tensor, tensors: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """Return a number [] unchanged, or a number of each run [R] in shapes that multiply tensors [R, ...]."""
    if numbers.dim() == 0:
        return numbers
    return [numbers.view(-1, *[1] * (tensor.dim() - 1)) for tensor in tensors]


def global_norm(gradients: tuple[Tensor, ...]) -> Tensor:
    """Return |g| of all gradients together, in float64.

    In float32 the squares overflow above 2e19. Clipping by an infinite norm would then silently skip the step.
    """
    return torch.linalg.vector_norm(torch.stack(foreach("norm", gradients, 2, torch.float64)))


def adam(state: TrainState, g: tuple[Tensor, ...], learning_rate: Tensor, number: Tensor) -> None:
    """Update theta <- theta - alpha m^ / (sqrt(v^) + epsilon) (Kingma & Ba 2015, algorithm 1).

    torch's own optimiser breaks the compiled graph; a test shows that the two are equal. Its t is the number of the
    step. It is not a counter, because that would be a tensor without axes, and the compiler (torch 2.13, CPU) drops
    writes to such tensors.
    """
    m, v = state.mean, state.square
    t = number.double() + 1  # in float64, because 1 - 0.999^t cancels in float32
    foreach("lerp_", m, g, 1 - BETA_1)
    foreach("mul_", v, BETA_2)
    foreach("addcmul_", v, g, g, 1 - BETA_2)
    change = foreach("sqrt", v)
    foreach("mul_", change, (1 - BETA_2**t).rsqrt())
    foreach("add_", change, EPSILON)
    foreach("reciprocal_", change)
    foreach("mul_", change, of_each(-learning_rate / (1 - BETA_1**t), change))
    foreach("addcmul_", state.parameters, m, change)
