"""The statistics: ratios of pairs, their medians and ranges, and a test whether two trainings did the same work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median

SIGMAS = 4.0  # the largest difference of two mean losses, in standard errors
ROUNDING = 2e-3  # the relative difference of a loss that precision and order of summation may cause


@dataclass(frozen=True)
class Spread:
    """Median and range of a few numbers."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """Median and range; None if there are no values."""
    return Spread(median(values), min(values), max(values), len(values)) if values else None


def ratios(other: Mapping[int, float], reference: Mapping[int, float]) -> Spread | None:
    """other / reference for each pair that has both, by the number of the pair; above 1 the reference is faster.

    The ratios are summarised and not the times, because a slow phase of the machine affects both processes of a pair.
    """
    return spread([other[pair] / reference[pair] for pair in sorted(other.keys() & reference.keys())])


def break_even(compile_seconds: float, eager_ms: float, compiled_ms: float) -> float | None:
    """Steps after which compiling saves time: compile seconds / seconds that a compiled step saves; None for never."""
    saved = (eager_ms - compiled_ms) / 1e3
    return compile_seconds / saved if saved > 0 else None


@dataclass(frozen=True)
class Agreement:
    """The difference between the mean loss of a row and the reference, and its tolerance, in nats per image."""

    difference: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        return abs(self.difference) <= self.tolerance


def agreements(
    losses: Mapping[str, Sequence[float]], errors: Mapping[str, Sequence[float | None]], reference: str
) -> dict[str, Agreement]:
    """Whether each row's mean final loss agrees with that of `reference`, within noise.

    Every run has its own seed, which determines weights, order and noise. The standard deviation s of a final loss
    between seeds is pooled over all rows, sqrt(sum (l - row's mean)^2 / sum (n - 1)). If no row has two runs, s is the
    largest standard error that a run reports for its own loss. Two means of n and n' runs may differ by
    max(4 s sqrt(1 / n + 1 / n'), 0.2 % of the reference's).

    Arguments:
        losses: row -> mean training loss over the last block of each run, nats per image.
        errors: row -> the standard error that each run reports, or None.
    """
    if not losses.get(reference):
        return {}
    squares = sum((value - fmean(row)) ** 2 for row in losses.values() if row for value in row)
    free = sum(len(row) - 1 for row in losses.values() if row)
    stated = [error for row in errors.values() for error in row if error is not None]
    s = sqrt(squares / free) if free else max(stated, default=0.0)
    mean, n = fmean(losses[reference]), len(losses[reference])
    return {
        label: Agreement(
            fmean(row) - mean,
            max(SIGMAS * s * sqrt(1 / len(row) + 1 / n), ROUNDING * abs(mean)),
        )
        for label, row in losses.items()
        if row and label != reference
    }
