"""Validation: bounds on validation images, and the criterion that selects the weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.evaluation.batches import batches_by_content
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE
from vaelab.objectives.losses import Objective, admit, reported
from vaelab.randomness.seeds import derive, seed_generator
from vaelab.system.errors import NonFiniteError, SpecError
from vaelab.system.world import world
from vaelab.training.setup import TrainingSetup


@dataclass(frozen=True)
class Judge:
    """Evaluates a model on validation images, with the same draws each time.

    Arguments:
        setup: of the training run.
        data: the validation images.

    Raises:
        SpecError: there are too few images for the objective, which compares the images of a batch.
    """

    setup: TrainingSetup
    data: Dataset

    def __post_init__(self) -> None:
        if not self.setup.criterion.own:
            return
        try:
            admit(self.setup.objective, self.setup.model, self.batch)
        except SpecError as error:
            raise SpecError(
                found=f"{len(self.data)} validation images, with {error.found}",
                expected="at least as many images as the objective needs in a batch",
                do="set a larger --validation, or --validation 0",
            ) from error

    @property
    def batch(self) -> int:
        """Images in a batch: as many as in training, or all if there are fewer."""
        return min(self.setup.config.batch, len(self.data))

    def __call__(self, step: int) -> dict[str, float]:
        """Return `validate`, and as `loss` the mean of the criterion; both in nats per image.

        Arguments:
            step: number of steps taken.

        Raises:
            NonFiniteError: the loss is NaN or infinite, so it cannot be compared.
        """
        setup, criterion, seed = self.setup, self.setup.criterion, self.setup.config.seed
        seen = validate(setup.model, self.data, seed)
        if criterion.own:
            end = criterion.ramp.end(setup.steps - 1)
            loss = own_loss(setup.objective, setup.model, self.data, end, self.batch, derive(seed, "validation"))
        else:
            loss = -seen["elbo"]
        if not math.isfinite(loss):
            raise NonFiniteError(
                found=f"validation {criterion.name} is {loss} after step {step:,}",
                expected="a finite number",
                do="lower --learning-rate, or set --clip-norm 100",
            )
        return {**seen, "loss": loss}


def validate(model: VAE, data: Dataset, seed: int) -> dict[str, float]:
    """Return mean ELBO, rate, distortion (nats) and squared error of the images, with the same draws each time."""
    evaluation = estimate_bounds(model, data, samples=1, seed=derive(seed, "validation"))
    return {
        "elbo": evaluation.elbo.mean().item(),
        "rate": evaluation.rate.mean().item(),
        "distortion": evaluation.distortion.mean().item(),
        "mse": evaluation.squared_error.mean().item(),
    }


def own_loss(objective: Objective, model: VAE, data: Dataset, step: int, batch: int, seed: int) -> float:
    """Return the mean of the objective's loss over all images, in nats per image, summed in float64.

    Images come in batches, in the order of their content, because an objective may compare the images of a batch. The
    last batch is filled up with the first images, whose losses are not counted again. Draws are a function of `seed`
    and of the number of the batch. Model, objective and generators are restored.

    Arguments:
        step: the step that the objective is given.
        batch: images in a batch, at most the number of images.
    """
    device = next(model.parameters()).device
    number = torch.tensor(step, device=device)

    def seed_noise(k: int) -> None:
        seed_generator(torch.device("cpu"), derive(seed, "noise", k))

    count = -(-len(data) // batch)
    sums, own = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.bool)
    # With gradients, as in training: an objective may need them to compute its loss.
    with evaluating(model), unchanged(objective), torch.enable_grad():
        for some in batches_by_content(model, data, batch, seed_noise, filled=True, shared=True):
            seed_generator(device, derive(seed, "noise", some.number, 1))
            loss, _ = objective(model.given(some.labels), some.x, number)
            sums[some.number] = reported(loss)[: len(data) - some.number * batch].detach().double().sum()
            own[some.number] = True
    total = sum(world().completed({"sums": sums}, own)["sums"].tolist())  # one after another, in any world
    return total / len(data) + protocol(data.protocol).nats_offset(data.shape)


@contextmanager
def unchanged(objective: Objective) -> Iterator[None]:
    """Put the objective in evaluation mode in this context; restore its mode and values afterwards."""
    if not isinstance(objective, nn.Module):
        yield
        return
    modes = {module: module.training for module in objective.modules()}
    held = [(tensor, tensor.detach().clone()) for tensor in (*objective.parameters(), *objective.buffers())]
    objective.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for tensor, value in held:
                tensor.copy_(value)
