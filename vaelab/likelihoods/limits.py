"""Limits that leave a gradient everywhere."""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True)
class SoftLimits:
    """An increasing map of the real numbers to those between two limits, nearly the identity well between them.

    Arguments:
        floor: what it approaches from above, but for e^-(ceiling - floor).
        ceiling: what it approaches from below.
    """

    floor: float
    ceiling: float

    def __call__(self, s: Tensor) -> Tensor:
        above = self.floor + softplus(s - self.floor)
        return self.ceiling - softplus(self.ceiling - above)

    def inverse(self, limited: float) -> float:
        """The s of a number between the limits."""
        above = self.ceiling - math.log(math.expm1(self.ceiling - limited))
        return self.floor + math.log(math.expm1(above - self.floor))
