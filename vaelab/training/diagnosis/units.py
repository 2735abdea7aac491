"""Which units of a network no longer pass a gradient on."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vaelab.networks.scales import ACTIVATIONS

FLAT = 0.01  # of an activation's slope at 1/2: a slope below this is as good as none
ALWAYS = 0.99  # share of the images, and of the places of a map, at which a stuck unit's slope is flat


@contextmanager
def stuck_units(model: nn.Module) -> Iterator[dict[str, float]]:
    """Watch forward passes of `model`; afterwards the dict holds the share of stuck units of each activation layer.

    A unit is stuck where the slope of its activation is flat for all images: a ReLU that gives 0 for every image, a
    tanh at its limits. No gradient passes it, so it does not recover. A unit of maps [B, C, H, W] is a channel.
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
    """A hook that notes of each unit where its slope is flat, [B of a pass, units]."""

    def listen(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        x = inputs[0].detach().float()
        reference = slope(module, x.new_full((1,), 0.5))
        is_flat = (slope(module, x).abs() < FLAT * reference.abs()).float()
        seen.append(is_flat.flatten(2).mean(2) if x.dim() > 2 else is_flat)

    return listen


def slope(activation: nn.Module, x: Tensor) -> Tensor:
    """f'(x) of an activation that works on each number by itself."""
    with torch.enable_grad():
        x = x.requires_grad_()
        (found,) = torch.autograd.grad(type(activation).forward(activation, x).sum(), x)
    return found
