"""A network in stages, of which a hierarchy of latent variables is built: see `vaelab.models.ladder`."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """Features of one size on the way from the image inwards, and makers of what works on them.

    Arguments:
        shape: of the features, (C,) or (C, H, W).
        down: makes a module from what lies before this stage, the image or the features of another, to features.
        block: makes one from features to features.
        up: makes one from features to a shape that lies before this stage.
        linear: makes a linear map of the C numbers at each place, from so many to so many.
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
