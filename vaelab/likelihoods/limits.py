"""Soft limits, which leave a gradient everywhere."""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True)
class SoftLimits:
    """An increasing map from the real numbers to an interval, nearly the identity well inside it.

    Arguments:
        floor: the lower limit, approached from above up to e^-(ceiling - floor).
        ceiling: the upper limit, approached from below.
    """

    floor: float
    ceiling: float

    def __call__(self, s: Tensor) -> Tensor:
        above = self.floor + softplus(s - self.floor)
        return self.ceiling - softplus(self.ceiling - above)

    def inverse(self, limited: float) -> float:
        """Return the s that is mapped to `limited`, a number between the limits."""
        above = self.ceiling - math.log(math.expm1(self.ceiling - limited))
        return self.floor + math.log(math.expm1(above - self.floor))
