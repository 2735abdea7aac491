"""The stages of a network, from which a hierarchical model is built: see `vaelab.models.hierarchical`."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """Features of one size in the encoder, and functions that make modules for them.

    Arguments:
        shape: of the features, (C,) or (C, H, W).
        down: makes a module from the input of this stage (the image or earlier features) to its features.
        block: makes a module from features to features.
        up: makes a module from features to a given shape, that of an earlier stage or of the image.
        linear: makes a linear map of the C numbers at each place, given the numbers of inputs and outputs.
    """

    shape: Shape
    down: Callable[[], nn.Module]
    block: Callable[[], nn.Module]
    up: Callable[[Shape], nn.Module]
    linear: Callable[[int, int], nn.Module]


class Block(nn.Module):
    """h + f(h)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.branch(features)
