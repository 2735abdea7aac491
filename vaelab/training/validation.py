"""How good a model is on validation images, and what its weights are chosen by."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE, rows
from vaelab.objectives.losses import Objective, admit, reported
from vaelab.randomness.seeds import derive, seed_generator
from vaelab.system.errors import NonFiniteError, SpecError
from vaelab.training.setup import TrainingSetup


@dataclass(frozen=True)
class Judge:
    """What the validation images say of a model, on the same draws each time.

    Arguments:
        course: of the training.
        data: the validation images.

    Raises:
        SpecError: they are too few for the objective, which compares the images of a batch.
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
                expected="as many as the objective needs in a batch",
                do="set a larger --validation, or --validation 0",
            ) from error

    @property
    def batch(self) -> int:
        """Images in a batch: as many as in training, if there are so many."""
        return min(self.setup.config.batch, len(self.data))

    def __call__(self, step: int) -> dict[str, float]:
        """`validate`, and as `loss` the mean of the criterion; both in nats for an image.

        Arguments:
            step: how many steps were taken.

        Raises:
            NonFiniteError: the loss is not a finite number, so it cannot be compared.
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
    """Mean ELBO, rate, distortion (nats) and squared error of the validation images, on the same draws each time."""
    evaluation = estimate_bounds(model, data, samples=1, seed=derive(seed, "validation"))
    return {
        "elbo": evaluation.elbo.mean().item(),
        "rate": evaluation.rate.mean().item(),
        "distortion": evaluation.distortion.mean().item(),
        "mse": evaluation.squared_error.mean().item(),
    }


def own_loss(objective: Objective, model: VAE, data: Dataset, step: int, batch: int, seed: int) -> float:
    """The mean of the objective's loss over all images, in nats for an image, summed in float64.

    The images come in batches, in the order of their content: an objective may compare the images of a batch with each
    other. The last batch is filled up with images of the first, whose losses are not counted a second time. What is
    drawn is a function of `seed` and of the number of the batch. Model, objective and generators are left as they were.

    Arguments:
        step: that the objective is told.
        batch: images in a batch, at most as many as there are.
    """
    device = next(model.parameters()).device
    reading, number = protocol(data.protocol), torch.tensor(step, device=device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    # With gradients, as in training: an objective may ask for some on its way to the loss.
    with evaluating(model), unchanged(objective), torch.enable_grad():
        for k, start in enumerate(range(0, len(data), batch)):
            chosen = data.by_content[np.arange(start, start + batch) % len(data)]
            seed_generator(torch.device("cpu"), derive(seed, "noise", k))
            x = reading.pixels(torch.from_numpy(data.images[chosen])).to(device)  # the same noise on every device
            seed_generator(device, derive(seed, "noise", k, 1))
            loss, _ = objective(model.given(rows(data.labels, chosen)), x, number)
            total += reported(loss)[: len(data) - start].detach().double().sum()
    return total.item() / len(data) + reading.nats_offset(data.shape)


@contextmanager
def unchanged(objective: Objective) -> Iterator[None]:
    """The objective in evaluation mode while this lasts; what it holds is as it was afterwards."""
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
