"""The claims of the article and of papers, each checked by a function of the runs: name -> statements and functions."""

from collections.abc import Callable

from vaelab.reports.claims import colours, comparisons, complexity, digits, dimensions, importance, manifolds, speed
from vaelab.reports.claims.claim import QUICK, UNJUDGED, UNTESTED, Claim, Outcome, Statement, Table
from vaelab.reports.context import ReportContext
from vaelab.reports.text import counted, listed, number
from vaelab.studies.study import Member
from vaelab.system.errors import SpecError

__all__ = ["CLAIMS", "NOT_RUN", "Claim", "Table", "check_claims"]

Check = Callable[[ReportContext], Outcome]

CLAIMS: dict[str, list[tuple[Statement, Check]]] = {
    "digits": [
        (digits.TWO_DIMENSIONS, digits.two_dimensions),
        (digits.FIVE_DIMENSIONS, digits.five_dimensions),
        (digits.MORE_DIMENSIONS, digits.more_dimensions),
        (digits.SAME_DIGITS, digits.same_digits),
    ],
    "dimensions": [
        (dimensions.MARKEDLY, dimensions.markedly),
        (dimensions.THE_MORE_THE_BETTER, dimensions.the_more_the_better),
    ],
    "complexity": [
        (complexity.BLACK_AND_WHITE, complexity.black_and_white),
        (complexity.LOW_DIMENSIONS, complexity.low_dimensions),
    ],
    "eights": [
        (manifolds.EIGHTS_AND_SHADES, manifolds.eights_and_shades),
        (manifolds.STILL_EIGHTS, manifolds.still_eights),
    ],
    "colours": [
        (colours.STILL_FAR, colours.still_far),
        (colours.NO_GREEN, colours.no_green),
        (colours.BLUE_TOO, colours.blue_too),
    ],
    "convolution": [
        (comparisons.VAST_WITH_DIMENSIONS, comparisons.vast_with_dimensions),
        (comparisons.VAST_WITH_CONVOLUTION, comparisons.vast_with_convolution),
        (comparisons.COPIES, comparisons.copies),
        (comparisons.WELL_ENOUGH, comparisons.well_enough),
    ],
    "gaussian-quality": [
        (comparisons.ALIKE, comparisons.alike),
        (comparisons.BETTER_IN_COLOUR, comparisons.better_in_colour),
    ],
    "negative-means": [(complexity.NEGATIVE_MEANS, complexity.negative_means)],
    "manifold-separation": [
        (manifolds.LIGHT_AND_DARK, manifolds.light_and_dark),
        (manifolds.EIGHT_MORE_APPARENT, manifolds.eight_more_apparent),
    ],
    "gaussian-speed": [(speed.FASTER, speed.faster)],
    "importance-weighting": [
        (importance.TIGHTER_IS_BETTER, importance.tighter_is_better),
        (importance.BOUNDS_IN_ORDER, importance.bounds_in_order),
    ],
}
NOT_RUN = "not run yet"


def check_claims(context: ReportContext) -> dict[str, list[Claim]]:
    """The claims that the study names, checked on the runs that are done.

    Raises:
        SpecError: a name that is not in CLAIMS.
    """
    study = context.study
    if unknown := [name for name in study.claims if name not in CLAIMS]:
        raise SpecError(found=f"claim {unknown[0]!r}", expected=f"one of {', '.join(CLAIMS)}", do="choose one of these")
    return {
        name: [judged(context, *claim, quick=study.quick and name not in study.must) for claim in CLAIMS[name]]
        for name in study.claims
    }


def judged(context: ReportContext, statement: Statement, check: Check, quick: bool = False) -> Claim:
    """The claim with a verdict, where the data and the budget are those that it needs.

    A statement about some data sets is checked on those, and where the study has none of them on what there is, without
    a verdict.

    Arguments:
        quick: whether the budget is a quick one, at which nothing is judged.
    """
    asked = context.of_data(statement.asked_of)
    outcome = check(asked if asked.study.members else context)
    absent = [name for name in statement.asked_of if name not in {m.spec.data for m in asked.study.members}]
    verdict, measured = outcome.verdict, outcome.measured
    if not outcome.runs:
        verdict, measured = UNJUDGED, _why_nothing(context)
    elif absent and verdict == "supported":  # of one data set, where both were asked about
        verdict = UNJUDGED
    if quick and outcome.runs:
        verdict = QUICK
    if not asked.study.members:
        verdict = UNTESTED
    return Claim(
        statement,
        measured,
        verdict,
        outcome.rule,
        _basis(outcome.runs, absent),
        outcome.evidence if outcome.runs else [],
        outcome.figure if outcome.runs else None,
        outcome.caption,
    )


def _why_nothing(context: ReportContext) -> str:
    whole = len(context.done) == len(context.study.members)
    return "No run of this study measures it." if whole else f"The runs that measure it: {NOT_RUN}."


def _basis(runs: list[Member], absent: list[str]) -> str:
    """On which data the runs were made, with which budget, and what their intervals cover."""
    if not runs:
        return ""
    said = list[str]()
    for name in dict.fromkeys(run.spec.data for run in runs):
        own = {run.label: run for run in runs if run.spec.data == name}
        images = next(iter(own.values())).run.result["data"]
        epochs = sorted({run.spec.epochs for run in own.values()})
        said.append(
            f"{name} ({number(images['train']['images'])} training and {number(images['test']['images'])} test "
            f"images), {counted(len(own), 'run')} of {listed([f'{one:g}' for one in epochs])} epochs at most"
        )
    seeds = len({run.seed for run in runs})
    covers = "intervals cover the test images only" if seeds == 1 else "intervals cover seeds and test images"
    said.append(f"{'one seed' if seeds == 1 else f'{seeds} seeds'}: {covers}")
    return "; ".join(said + [f"{name} is not in this study" for name in absent])
