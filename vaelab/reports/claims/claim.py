"""What checking a claim gives, and the rules that make verdicts out of measurements."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from matplotlib.figure import Figure

from vaelab.reports.claims.estimate import Sign
from vaelab.reports.context import ReportContext
from vaelab.reports.text import Table, counted
from vaelab.studies.study import Member

Verdict = Literal[
    "supported", "contradicted", "mixed", "cannot be judged here", "not judged at this budget", "not tested here"
]
UNJUDGED: Verdict = "cannot be judged here"
QUICK: Verdict = "not judged at this budget"
UNTESTED: Verdict = "not tested here"

RULES = {  # of all claims, printed once
    "several comparisons": "supported if more than half favour the claim and none speaks against it; contradicted if "
    "more than half speak against it and none favours it; not judged if none is decided; mixed otherwise",
    "several parts": "supported if all parts are; contradicted if all parts that can be judged are; mixed if they "
    "differ; not judged if a part cannot be judged and the others are supported",
    "intervals": "differences are taken image by image over the same test images, and seed by seed; the interval "
    "covers the images, and the seeds where there are several",
    "manifolds and epochs": "these have no error over images: the interval is over seeds, so that one seed decides "
    "nothing",
    "which digit an image shows": "a classifier says it, by the five nearest of up to 10,000 training images; of SVHN "
    "it is believed only if it is right about 80 % of the test images, with its whole interval",
}


@dataclass(frozen=True)
class CitedPlace:
    """A text that makes claims."""

    title: str
    author: str
    found: str  # how a reader finds it

    def __str__(self) -> str:
        return (
            f"{self.author}, \N{LEFT DOUBLE QUOTATION MARK}{self.title}\N{RIGHT DOUBLE QUOTATION MARK} ({self.found})"
        )


@dataclass(frozen=True)
class Statement:
    """One statement of a source."""

    says: str  # in our words
    quote: str  # in its own; empty for a table of numbers
    section: str  # where it stands
    asked_of: tuple[str, ...]  # the data sets that it is about
    source: CitedPlace


@dataclass(frozen=True)
class Outcome:
    """What was measured about a statement, and what follows by its rule."""

    measured: str
    verdict: Verdict
    rule: str  # how the verdict follows from the measurements
    runs: list[Member]  # that were measured; none: nothing can be said
    evidence: list[Table] = field(default_factory=list)
    figure: Figure | None = None
    caption: str = ""


Check = Callable[[ReportContext], Outcome]  # measures one statement
TableOfClaims = dict[str, list[tuple[Statement, Check]]]  # name in a study's file -> statements that it checks


@dataclass(frozen=True)
class Claim:
    """A statement beside what was measured."""

    statement: Statement
    measured: str
    verdict: Verdict
    rule: str
    basis: str  # on which data, at which budget and with how many seeds; empty where nothing was measured
    evidence: list[Table] = field(default_factory=list)
    figure: Figure | None = None
    caption: str = ""

    @property
    def was_judged(self) -> bool:
        """Whether the study has the data and the budget that the claim is about."""
        return self.verdict not in (QUICK, UNTESTED)

    @property
    def verdict_in_words(self) -> str:
        """The verdict, with the data that were asked about where these were not tested."""
        if self.verdict != UNTESTED:
            return self.verdict
        return f"asked of {data_in_words([self])}; {UNTESTED}"


def data_in_words(claims: Iterable[Claim]) -> str:
    """The data sets that the claims are about, such as "MNIST and SVHN"."""
    return " and ".join(dict.fromkeys(name.upper() for claim in claims for name in claim.statement.asked_of))


def verdict(signs: Sequence[Sign], undecided: Verdict = UNJUDGED) -> Verdict:
    """The verdict of several comparisons, as RULES has it; `undecided` where none of them is decided."""
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


def of_parts(parts: Mapping[str, Verdict]) -> Verdict:
    """The verdict of a claim of several parts, as RULES has it."""
    judged: list[Verdict] = [part for part in parts.values() if part != UNJUDGED]
    whole = agreed(judged)
    return UNJUDGED if whole == "supported" and len(judged) < len(parts) else whole


def parts_in_words(parts: Mapping[str, Verdict]) -> str:
    """Each part with its verdict, such as "Part by part: 0 is drawn: supported; nothing else is: contradicted."."""
    return f"Part by part: {'; '.join(f'{part}: {of_part}' for part, of_part in parts.items())}."


def tally(signs: Sequence[Sign], favour: str, against: str, undecided: str = "not clear") -> str:
    """How many comparisons went which way, in words."""
    counts = [(signs.count(1), favour), (signs.count(-1), against), (signs.count(0), undecided)]
    return f"{counted(len(signs), 'comparison')}: " + ", ".join(f"{count} {what}" for count, what in counts if count)
