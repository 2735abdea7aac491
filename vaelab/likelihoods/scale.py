"""The scale of a likelihood: fixed, learned as one number, or an output of the decoder for each pixel."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vaelab.likelihoods.limits import SoftLimits
from vaelab.system.errors import SpecError

# Soft limits of log sigma. The floor is below log(1/256) = -5.5, the width of an 8-bit level. On dequantised data only
# a pixel that never changes would go below it, to log(1 / (256 sqrt 12)) = -6.8. On grey pixels the density would grow
# without bound if there were no floor. The ceiling, a sigma of 7, only keeps exp(log sigma) finite.
LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING = -6.0, 2.0
# Soft limits of log s for probabilities. These are at most 1, so the floor, 1/32 of a level, only keeps 1 / s finite: a
# mean in the middle of a level then gives it 1 - 3e-7.
LOG_SCALE_FLOOR, LOG_SCALE_CEILING = -9.0, 2.0
START = 0.25  # initial standard deviation, about that of natural pixels

OF_DENSITIES = SoftLimits(LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING)
OF_LEVELS = SoftLimits(LOG_SCALE_FLOOR, LOG_SCALE_CEILING)

Given = float | Literal["shared", "pixel"]


@dataclass(frozen=True)
class Scale:
    """The source of log s. A learned s is a parameter `s` of the head; this class says how it is used.

    Arguments:
        option: the name of the option, for messages.
        given: a positive number (fixed), `shared` (learned) or `pixel` (an output of the decoder for each pixel).
        limits: of log s, unless it is fixed.
        first: the initial s.

    Raises:
        SpecError: a fixed scale is not positive and finite.
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
        """The input of the limits that gives the initial log s."""
        return self.limits.inverse(math.log(self.first))

    def parameter(self, *shape: int) -> nn.Parameter | None:
        """Return the parameter `s` of a head, of this shape, or None unless the scale is `shared`."""
        return nn.Parameter(torch.full(shape, self.start)) if self.given == "shared" else None

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a decoder's output: a location for each pixel, and then s if it is `pixel`."""
        channels, height, width = event_shape
        return (2 * channels if self.given == "pixel" else channels, height, width)

    def parameters_for_mean(self, locations: Tensor) -> Tensor:
        """Return the output with these locations [C, H, W] and the initial s."""
        return torch.cat([locations, torch.zeros_like(locations)]) if self.given == "pixel" else locations

    def split(self, parameters: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the locations [..., C, H, W] in a decoder's output, and log s of a shape that broadcasts to theirs.

        Arguments:
            parameters: [..., *parameter_shape].
            s: the parameter of the head, or None.
        """
        if self.given == "pixel":
            locations, put_out = parameters.chunk(2, dim=-3)
            return locations, self.limits(put_out + self.start)
        if s is not None:
            return parameters, self.limits(s)
        assert not isinstance(self.given, str)
        return parameters, torch.full((), math.log(self.given), dtype=parameters.dtype, device=parameters.device)
