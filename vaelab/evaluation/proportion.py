"""A proportion with its confidence interval."""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Proportion:
    """A proportion of n items, with Wilson's (1927) interval of 95 %, which stays in [0, 1] and holds for small n."""

    count: int
    n: int

    @property
    def value(self) -> float:
        """count / n; NaN if n is 0."""
        return self.count / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end; (0, 1) if n is 0."""
        if not self.n:
            return 0.0, 1.0
        z2, p, n = 1.96**2, self.value, self.n
        centre, half = p + z2 / (2 * n), sqrt(z2 * (p * (1 - p) + z2 / (4 * n)) / n)
        return max(0.0, (centre - half) / (1 + z2 / n)), min(1.0, (centre + half) / (1 + z2 / n))
