"""The records of a checked claim, and the rules that derive verdicts from measurements."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from matplotlib.figure import Figure

from vaelab.reports.claims.estimate import Sign
from vaelab.reports.context import ReportContext
from vaelab.reports.text import Table, listed
from vaelab.studies.study import Member

Verdict = Literal[
    "supported", "contradicted", "mixed", "cannot be judged here", "not judged at this budget", "not tested here"
]
UNJUDGED: Verdict = "cannot be judged here"
QUICK: Verdict = "not judged at this budget"
UNTESTED: Verdict = "not tested here"

RULES = {  # for all claims, printed once
    "several comparisons": "supported if more than half are for the claim and none is against it; contradicted if "
    "more than half are against it and none is for it; not judged if none is decided; otherwise mixed",
    "several parts": "supported if all parts are supported; contradicted if all parts that can be judged are "
    "contradicted; mixed if they differ; not judged if a part cannot be judged and the others are supported",
    "intervals": "differences are paired, image by image over the same test images and seed by seed; the interval "
    "covers the images, and also the seeds if there are several",
    "manifolds and epochs": "these have no error over images; the interval is over seeds, so one seed decides nothing",
    "which digit an image shows": "a classifier decides this by the five nearest of up to 10,000 training images; for "
    "SVHN its answers are used only if its accuracy on the test images is above 80 %, with the whole interval",
}


@dataclass(frozen=True)
class CitedPlace:
    """The source of a claim: an article or a paper."""

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

    says: str  # in the words of this report
    quote: str  # in the words of the source; empty for a table of numbers
    section: str  # its place in the source
    asked_of: tuple[str, ...]  # the data sets that it is about
    source: CitedPlace


@dataclass(frozen=True)
class Outcome:
    """The measurements for a statement, and the verdict by its rule."""

    measured: str
    verdict: Verdict
    rule: str  # how the verdict follows from the measurements
    runs: list[Member]  # the measured runs; empty if there are none for this statement
    evidence: list[Table] = field(default_factory=list)
    figure: Figure | None = None
    caption: str = ""


Check = Callable[[ReportContext], Outcome]  # measures one statement
TableOfClaims = dict[str, list[tuple[Statement, Check]]]  # name in a study's file -> statements that it checks


@dataclass(frozen=True)
class Claim:
    """A statement with its measurements and its verdict."""

    statement: Statement
    measured: str
    verdict: Verdict
    rule: str
    basis: str  # the data, the budget and the number of seeds, in words; empty if nothing was measured
    evidence: list[Table] = field(default_factory=list)
    figure: Figure | None = None
    caption: str = ""

    @property
    def was_judged(self) -> bool:
        """Whether the study has the data and the budget that the claim is about."""
        return self.verdict not in (QUICK, UNTESTED)

    @property
    def verdict_in_words(self) -> str:
        """The verdict; if the data of the statement are not in the study, also the names of these data."""
        if self.verdict != UNTESTED:
            return self.verdict
        return f"about {data_in_words([self])}; {UNTESTED}"


def data_in_words(claims: Iterable[Claim]) -> str:
    """The data sets that the claims are about, such as "MNIST and SVHN"."""
    return " and ".join(dict.fromkeys(name.upper() for claim in claims for name in claim.statement.asked_of))


def verdict(signs: Sequence[Sign], undecided: Verdict = UNJUDGED) -> Verdict:
    """The verdict of several comparisons by RULES; `undecided` if none of them is decided."""
    favour, against = signs.count(1), signs.count(-1)
    if not favour and not against:
        return undecided if signs else UNJUDGED
    if not against and favour > len(signs) / 2:
        return "supported"
    if not favour and against > len(signs) / 2:
        return "contradicted"
    return "mixed"


def agreed(verdicts: Sequence[Verdict]) -> Verdict:
    """The common verdict, or "mixed" if the verdicts differ."""
    if not verdicts:
        return UNJUDGED
    return verdicts[0] if len(set(verdicts)) == 1 else "mixed"


def of_parts(parts: Mapping[str, Verdict]) -> Verdict:
    """The verdict of a claim with several parts, by RULES."""
    judged: list[Verdict] = [part for part in parts.values() if part != UNJUDGED]
    whole = agreed(judged)
    return UNJUDGED if whole == "supported" and len(judged) < len(parts) else whole


def parts_in_words(parts: Mapping[str, Verdict]) -> str:
    """The parts by their verdicts, such as "Of its parts, “blue” and “red” are supported; “far” is mixed."."""
    by_verdict = dict[Verdict, list[str]]()
    for part, own in parts.items():
        quoted = f"\N{LEFT DOUBLE QUOTATION MARK}{part}\N{RIGHT DOUBLE QUOTATION MARK}"
        by_verdict.setdefault(own, []).append(quoted)
    said = [f"{listed(some)} {_stands(own, len(some))}" for own, some in by_verdict.items()]
    return f"Of its parts, {'; '.join(said)}."


def _stands(verdict: Verdict, count: int) -> str:
    return verdict if verdict == UNJUDGED else f"{'is' if count == 1 else 'are'} {verdict}"


def tally(signs: Sequence[Sign], subject: str, favour: str, against: str, unclear: str = "this is not clear") -> str:
    """Count the comparisons for each side in a clause, such as "in 3 of 5 comparisons the error is lower, in 2 higher".

    Arguments:
        subject, favour, against: such as "the error", "is lower" and "is higher".
    """
    sides = [(signs.count(1), favour), (signs.count(-1), against), (signs.count(0), "")]
    told = [(count, side) for count, side in sides if count]
    if not told:
        return "there is no comparison"
    (first, side), *others = told
    lead = f"{subject} {side}" if side else unclear
    if not others:
        return {1: lead, 2: f"in both comparisons {lead}"}.get(first, f"in all {first} comparisons {lead}")
    said = [f"in {count} {f'it {other}' if other else unclear}" for count, other in others]
    return listed([f"in {first} of {len(signs)} comparisons {lead}", *said])
