"""The value of an objective: the loss of each image, and the Draw that rate, distortion and ELBO are reported from.

The reported values use the same samples as the loss, for every objective, without a second pass.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vaelab.models import VAE, Draw
from vaelab.parts.capabilities import ChecksModel, has
from vaelab.parts.contracts import Objective as Objective
from vaelab.system.errors import SpecError


class Losses(NamedTuple):
    """The losses of the sets of parameters, [B] each, if they do not all minimise one function."""

    generative: Tensor  # for the parameters of p(z) and p(x|z); this one is reported as the loss
    inference: Tensor  # for those of q(z|x)
    own: Tensor | None = None  # for those of the objective itself, such as a critic's


def reported(loss: Tensor | Losses) -> Tensor:
    """Return the loss that is reported, [B]."""
    return loss.generative if isinstance(loss, Losses) else loss


def held(result: Any, images: int) -> tuple[Tensor | Losses, Draw]:
    """Return the value of an objective; raise SpecError unless it is a Draw and one loss per image."""
    pair: Any = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    loss = reported(pair[0])
    if not isinstance(loss, Tensor) or tuple(loss.shape) != (images,) or pair[1] is None:
        shape = f"a loss of shape {list(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise SpecError(
            found=f"an objective that returns {shape}{' and no Draw' if pair[1] is None else ''} for {images} images",
            expected=f"a loss for each image, of shape [{images}], and the Draw that it comes from",
            do="return (loss, draw), and do not average over the images",
        )
    return pair


def admit(objective: Objective, model: VAE, batch: int) -> None:
    """Raise SpecError if the objective is a `ChecksModel` and refuses `model` or the batch size."""
    if has(objective, ChecksModel):
        objective.check(model, batch)


def on_device(objective: Objective, device: torch.device) -> Objective:
    """Return `objective`, with its modules on `device`."""
    return objective.to(device) if isinstance(objective, nn.Module) else objective


def at_least_one(what: str, count: int) -> None:
    """Raise SpecError unless `count` is 1 or more."""
    if count < 1:
        raise SpecError(found=f"{what} = {count}", expected="at least 1", do=f"use {what}=1 or more")


def not_negative(what: str, value: float) -> None:
    """Raise SpecError unless `value` is 0 or more."""
    if not value >= 0:
        raise SpecError(found=f"{what} = {value:g}", expected="0 or more", do=f"use, say, {what}=1")
