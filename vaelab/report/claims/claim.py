"""What checking a claim gives, and the rules that make verdicts out of measurements."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

from matplotlib.figure import Figure
from torch import Tensor

from vaelab.report.text import plus_minus

Verdict = Literal["supported", "contradicted", "mixed", "cannot be judged here"]
UNJUDGED: Verdict = "cannot be judged here"
Sign = Literal[-1, 0, 1]  # a measurement against a claim, undecided, for it

SIGNS_RULE = (
    "supported if more than half of the comparisons favour the claim and none speaks against it; contradicted if more "
    "than half speak against it and none favours it; not judged if none is decided; mixed otherwise"
)


@dataclass(frozen=True)
class Table:
    """Columns and rows of text."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Claim:
    """One statement of the article beside what was measured."""

    says: str  # the article's statement, in our words
    measured: str
    verdict: Verdict
    rule: str  # how the verdict follows from the measurements
    evidence: list[Table] = field(default_factory=list)
    figure: Figure | None = None
    caption: str = ""


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences over the same images, with its standard error; None for a single image."""

    mean: float
    se: float | None

    @property
    def sign(self) -> Sign:
        """-1 or 1 where the mean is more than two standard errors from zero, otherwise 0."""
        if self.se is None or abs(self.mean) <= 2 * self.se:
            return 0
        return 1 if self.mean > 0 else -1

    def __str__(self) -> str:
        return plus_minus(self.mean, self.se)


def paired(a: Tensor, b: Tensor) -> Difference:
    """a - b, image by image; both [N]."""
    difference = (a - b).double()
    n = len(difference)
    return Difference(difference.mean().item(), (difference.std() / sqrt(n)).item() if n > 1 else None)


def verdict(signs: Sequence[Sign], undecided: Verdict = UNJUDGED) -> Verdict:
    """The verdict of several comparisons, by SIGNS_RULE; `undecided` where none of them is decided."""
    favour, against = signs.count(1), signs.count(-1)
    if not favour and not against:
        return undecided if signs else UNJUDGED
    if not against and favour > len(signs) / 2:
        return "supported"
    if not favour and against > len(signs) / 2:
        return "contradicted"
    return "mixed"


def agreed(verdicts: Sequence[Verdict]) -> Verdict:
    """What all verdicts say, or "mixed" where they differ."""
    if not verdicts:
        return UNJUDGED
    return verdicts[0] if len(set(verdicts)) == 1 else "mixed"


def tally(signs: Sequence[Sign], favour: str, against: str, undecided: str = "no clear difference") -> str:
    """How many comparisons went which way, in words."""
    counts = [(signs.count(1), favour), (signs.count(-1), against), (signs.count(0), undecided)]
    return f"{len(signs)} comparisons: " + ", ".join(f"{count} {what}" for count, what in counts if count)
