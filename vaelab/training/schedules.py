"""Learning-rate schedules: factors of the learning rate as a function of the completed proportion of training."""

import math
from dataclasses import dataclass

from vaelab.system.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A factor of 1 throughout."""

    def __call__(self, done: float) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """A linear warm-up, then half a cosine from 1 down to `final` (Loshchilov & Hutter 2017, equation 5).

    Arguments:
        warmup: proportion of the training run in which the factor rises from 0 to 1.
        final: the factor at the end.
    """

    warmup: float = 0.0
    final: float = 0.01

    def __post_init__(self) -> None:
        if not (0 <= self.warmup < 1 and 0 <= self.final <= 1):
            found = f"cosine schedule with warmup = {self.warmup:g} and final = {self.final:g}"
            raise SpecError(
                found=found, expected="0 <= warmup < 1 and 0 <= final <= 1", do="use, say, cosine:warmup=0.05"
            )

    def __call__(self, done: float) -> float:
        if done < self.warmup:
            return done / self.warmup
        t = (done - self.warmup) / (1 - self.warmup)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * t)) / 2


@dataclass(frozen=True, kw_only=True)
class StepDecay:
    """A multiplication by `factor` at each of the proportions `at` of the training run.

    Arguments:
        at: proportions of the training run, between 0 and 1.
        factor: what the learning rate is multiplied by at each of them.
    """

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        if not (all(0 < share < 1 for share in self.at) and self.factor > 0):
            found = f"step schedule at = {','.join(map(str, self.at))}, factor = {self.factor:g}"
            raise SpecError(
                found=found,
                expected="proportions between 0 and 1, and a factor above 0",
                do="use, say, step:at=0.5,0.75:factor=0.1",
            )

    def __call__(self, done: float) -> float:
        return self.factor ** sum(done >= share for share in self.at)


SCHEDULES = {"constant": Constant, "cosine": Cosine, "step": StepDecay}
