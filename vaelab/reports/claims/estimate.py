"""Means with their 95 % intervals: over the test images, and also over seeds if there are several."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.stats import t as student_t
from torch import Tensor

from vaelab.reports.text import plus_minus

Sign = Literal[-1, 0, 1]  # a measurement is against a claim, undecided, or for it
COVERAGE = 0.95
NORMAL = 1.96  # half the width of a 95 % interval in standard errors, for many images


@dataclass(frozen=True)
class Estimate:
    """A mean, and half the width of its 95 % interval; None if the uncertainty is not known."""

    mean: float
    half: float | None

    @property
    def sign(self) -> Sign:
        """-1 or 1 if the interval is below or above zero, otherwise 0."""
        return self.above(0.0)

    def above(self, size: float) -> Sign:
        """1 if the whole interval is above `size`, -1 if it is below, otherwise 0."""
        if self.half is None:
            return 0
        return 1 if self.mean - self.half > size else -1 if self.mean + self.half < size else 0

    def within(self, size: float) -> Sign:
        """1 if the whole interval is within `size` of zero, -1 if it is outside, otherwise 0."""
        if self.half is None:
            return 0
        if abs(self.mean) + self.half <= size:
            return 1
        return -1 if abs(self.mean) - self.half > size else 0

    def over(self, scale: float) -> "Estimate":
        """The estimate divided by `scale`."""
        return Estimate(self.mean / scale, None if self.half is None else self.half / scale)

    def __str__(self) -> str:
        return plus_minus(self.mean, self.half)


def over_images(values: Sequence[Tensor]) -> Estimate:
    """The mean of values of the same images [N], a tensor for each seed.

    The half width adds two parts in quadrature: 1.96 standard errors over the images of their means over the seeds,
    and t_(S-1) standard errors over S seeds. With one seed it covers only the images. Differences that are taken image
    by image and seed by seed are paired in both parts.
    """
    table = torch.stack([value.double() for value in values])  # [S, N]
    images = _standard_error(table.mean(0))
    seeds = over_seeds(table.mean(1).tolist()).half
    known = [part for part in (NORMAL * images if images is not None else None, seeds) if part is not None]
    return Estimate(table.mean().item(), math.hypot(*known) if known and images is not None else None)


def paired(a: Sequence[Tensor], b: Sequence[Tensor]) -> Estimate:
    """The mean of a - b, paired image by image and seed by seed; a and b have a tensor [N] for each seed."""
    return over_images([one.double() - other.double() for one, other in zip(a, b, strict=True)])


def ratio(a: Sequence[Tensor], b: Tensor) -> Estimate:
    """mean(a) / mean(b) for values of the same images, with a tensor a for each seed; its error by linearisation."""
    share = torch.stack([one.double() for one in a]).mean().item() / b.double().mean().item()
    about = over_images([(one.double() - share * b.double()) / b.double().mean() for one in a])
    return Estimate(share, about.half)


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one number for each of n seeds, +- t_(n-1) s / sqrt(n) (Student 1908); no interval for n = 1."""
    numbers = torch.tensor(values, dtype=torch.float64)
    error = _standard_error(numbers)
    if error is None:
        return Estimate(numbers.mean().item(), None)
    return Estimate(numbers.mean().item(), float(student_t.ppf((1 + COVERAGE) / 2, len(numbers) - 1)) * error)


def _standard_error(numbers: Tensor) -> float | None:
    n = len(numbers)
    return (numbers.std() / math.sqrt(n)).item() if n > 1 else None
