"""Detection of units that no longer pass a gradient."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vaelab.networks.scales import ACTIVATIONS

FLAT = 0.01  # relative to an activation's slope at 1/2: below this, a slope is effectively zero
ALWAYS = 0.99  # proportion of the images, and of the places of a map, at which a stuck unit's slope is flat


@contextmanager
def stuck_units(model: nn.Module) -> Iterator[dict[str, float]]:
    """Watch forward passes of `model`; after the context, the dict holds the proportion of stuck units of each layer.

    A unit is stuck if the slope of its activation is flat for all images: a ReLU with output 0 for every image, a tanh
    at its limits. No gradient passes through it, so it does not recover. In maps [B, C, H, W] a unit is a channel.
    """
    flat = defaultdict[str, list[Tensor]](list)
    handles = [
        module.register_forward_hook(_listener(flat[f"{name} ({type(module).__name__})"]))
        for name, module in model.named_modules()
        if type(module) in ACTIVATIONS.values()
    ]
    shares = dict[str, float]()
    try:
        yield shares
    finally:
        for handle in handles:
            handle.remove()
    for name, seen in flat.items():
        if seen:
            shares[name] = (torch.cat(seen).mean(0) >= ALWAYS).double().mean().item()


def _listener(seen: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    """Return a hook that records for each image and unit whether the slope is flat, [B of a pass, units]."""

    def listen(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        x = inputs[0].detach().float()
        reference = slope(module, x.new_full((1,), 0.5))
        is_flat = (slope(module, x).abs() < FLAT * reference.abs()).float()
        seen.append(is_flat.flatten(2).mean(2) if x.dim() > 2 else is_flat)

    return listen


def slope(activation: nn.Module, x: Tensor) -> Tensor:
    """Return f'(x) of an elementwise activation."""
    with torch.enable_grad():
        x = x.requires_grad_()
        (found,) = torch.autograd.grad(type(activation).forward(activation, x).sum(), x)
    return found
