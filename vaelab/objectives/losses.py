"""What an objective gives: the loss of each image, and the Draw that rate, distortion and ELBO are reported from.

They are reported from the very samples that were optimised, whatever was optimised, without a second pass.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vaelab.models import VAE, Draw
from vaelab.system.errors import SpecError


class Losses(NamedTuple):
    """What each set of parameters is to minimise, [B] each, where it is not one function for all of them."""

    generative: Tensor  # those of p(z) and p(x|z); this one is reported as the loss
    inference: Tensor  # those of q(z|x)
    own: Tensor | None = None  # those of the objective itself, such as a critic's


# An objective that needs a density q(z|x) declares `admits_point: ClassVar = False`. It is then refused beside a
# posterior that is a point, z certain given x: see `vaelab.runs.compatibility`.
Objective = Callable[[VAE, Tensor, Tensor], tuple[Tensor | Losses, Draw]]  # (model, x, step) -> loss [B], its Draw


def reported(loss: Tensor | Losses) -> Tensor:
    """The loss that is reported, [B]."""
    return loss.generative if isinstance(loss, Losses) else loss


def held(result: Any, images: int) -> tuple[Tensor | Losses, Draw]:
    """What an objective gave for so many images; SpecError unless it is a loss for each of them, and the Draw."""
    pair: Any = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    loss = reported(pair[0])
    if not isinstance(loss, Tensor) or tuple(loss.shape) != (images,) or pair[1] is None:
        shape = f"a loss of shape {list(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise SpecError(
            found=f"an objective that gives {shape}{' and no Draw' if pair[1] is None else ''} for {images} images",
            expected=f"a loss for each image, of shape [{images}], and the Draw that it comes from",
            do="return (loss, draw), and do not average over the images",
        )
    return pair


def admit(objective: Objective, model: VAE, batch: int) -> None:
    """SpecError where the objective has a method `check` and that says that it cannot train `model` by such batches."""
    if check := getattr(objective, "check", None):
        check(model, batch)


def on_device(objective: Objective, device: torch.device) -> Objective:
    """`objective`, what it holds moved to `device`."""
    return objective.to(device) if isinstance(objective, nn.Module) else objective


def at_least_one(what: str, count: int) -> None:
    """SpecError unless `count` is 1 or more."""
    if count < 1:
        raise SpecError(found=f"{what} = {count}", expected="at least 1", do=f"use {what}=1 or more")


def not_negative(what: str, value: float) -> None:
    """SpecError unless `value` is 0 or more."""
    if not value >= 0:
        raise SpecError(found=f"{what} = {value:g}", expected="0 or more", do=f"use, say, {what}=1")
