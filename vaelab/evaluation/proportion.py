"""A share of things counted, and how sure it is."""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Proportion:
    """A share of n things, with Wilson's (1927) interval of 95 %, which stays in [0, 1] and is honest for small n."""

    count: int
    n: int

    @property
    def value(self) -> float:
        """count / n; nan where n is 0."""
        return self.count / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end; (0, 1), everything, where n is 0."""
        if not self.n:
            return 0.0, 1.0
        z2, p, n = 1.96**2, self.value, self.n
        centre, half = p + z2 / (2 * n), sqrt(z2 * (p * (1 - p) + z2 / (4 * n)) / n)
        return max(0.0, (centre - half) / (1 + z2 / n)), min(1.0, (centre + half) / (1 + z2 / n))
