"""The scale of a likelihood: fixed, learned as one number, or an output of the decoder for each pixel."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vaelab.likelihoods.limits import SoftLimits
from vaelab.system.errors import SpecError

# log sigma approaches these limits softly. The lower one lies below the width of a level of 8-bit pixels, log(1/256) =
# -5.5: on dequantised data only a pixel that never changes, with log(1 / (256 sqrt 12)) = -6.8, would go below; on grey
# ones the density would otherwise grow without bound. The upper one, a sigma of 7, only keeps exp(log sigma) finite.
LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING = -6.0, 2.0
# A probability is at most 1 and needs no floor for its own sake. This one, 1/32 of a level, only keeps 1 / s finite: a
# mean in the middle of a level gives it 1 - 3e-7.
LOG_SCALE_FLOOR, LOG_SCALE_CEILING = -9.0, 2.0
START = 0.25  # standard deviation at first, about the spread of natural pixels

OF_DENSITIES = SoftLimits(LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING)
OF_LEVELS = SoftLimits(LOG_SCALE_FLOOR, LOG_SCALE_CEILING)

Given = float | Literal["shared", "pixel"]


@dataclass(frozen=True)
class Scale:
    """Where log s comes from. What is learned belongs to the head, as its parameter `s`; here is how it is read.

    Arguments:
        option: what a user calls it, for messages.
        given: a positive number (fixed), `shared` (learned) or `pixel` (an output of the decoder for each pixel).
        limits: of a log s that is learned or put out.
        first: such an s at first.

    Raises:
        SpecError: a fixed one that is not positive and finite.
    """

    option: str
    given: Given
    limits: SoftLimits
    first: float

    def __post_init__(self) -> None:
        if not isinstance(self.given, str) and not (self.given > 0 and math.isfinite(self.given)):
            found = f"{self.option} = {self.given:g}"
            raise SpecError(found=found, expected="a positive number", do=f"use, say, {self.option}=0.1")

    @property
    def start(self) -> float:
        """What the limits turn into log s as it is at first."""
        return self.limits.inverse(math.log(self.first))

    def parameter(self, *shape: int) -> nn.Parameter | None:
        """What a head learns as its `s`, of this shape: nothing, unless it is `shared`."""
        return nn.Parameter(torch.full(shape, self.start)) if self.given == "shared" else None

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of a decoder that puts out a location for each pixel, and behind all of these s where it is `pixel`."""
        channels, height, width = event_shape
        return (2 * channels if self.given == "pixel" else channels, height, width)

    def parameters_for_mean(self, locations: Tensor) -> Tensor:
        """The output with these locations [C, H, W] and the s of a start."""
        return torch.cat([locations, torch.zeros_like(locations)]) if self.given == "pixel" else locations

    def split(self, parameters: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        """The locations [..., C, H, W] in such an output, and log s, of a shape that broadcasts to theirs.

        Arguments:
            parameters: [..., *parameter_shape].
            s: the head's own, if it has one.
        """
        if self.given == "pixel":
            locations, put_out = parameters.chunk(2, dim=-3)
            return locations, self.limits(put_out + self.start)
        if s is not None:
            return parameters, self.limits(s)
        assert not isinstance(self.given, str)
        return parameters, torch.full((), math.log(self.given), dtype=parameters.dtype, device=parameters.device)
