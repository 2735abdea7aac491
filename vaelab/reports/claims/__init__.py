"""The claims of articles and papers. A function of the runs checks each of their statements."""

from vaelab.reports.claims import article, importance
from vaelab.reports.claims.claim import QUICK, UNJUDGED, UNTESTED, Check, Claim, Statement, TableOfClaims
from vaelab.reports.context import ReportContext
from vaelab.reports.text import counted, listed, number
from vaelab.studies.study import Member
from vaelab.system.errors import SpecError

__all__ = ["CLAIMS", "NOT_RUN", "Claim", "check_claims"]

CLAIMS: TableOfClaims = {
    **article.CLAIMS,
    "importance-weighting": [
        (importance.TIGHTER_IS_BETTER, importance.tighter_is_better),
        (importance.BOUNDS_IN_ORDER, importance.bounds_in_order),
    ],
}
NOT_RUN = "not run yet"


def check_claims(context: ReportContext) -> dict[str, list[Claim]]:
    """Check the claims that the study names on the runs that are done.

    Raises:
        SpecError: the study names a claim that is not in CLAIMS.
    """
    study = context.study
    if unknown := [name for name in study.claims if name not in CLAIMS]:
        raise SpecError(found=f"claim {unknown[0]!r}", expected=f"one of {', '.join(CLAIMS)}", do="choose one of these")
    return {
        name: [judged(context, *claim, quick=study.quick and name not in study.must) for claim in CLAIMS[name]]
        for name in study.claims
    }


def judged(context: ReportContext, statement: Statement, check: Check, quick: bool = False) -> Claim:
    """Check a statement; give a verdict if the study has the data and the budget that it needs.

    A statement is checked on the data sets that it is about. If the study has none of them, it is checked on the
    study's own data, without a verdict.

    Arguments:
        quick: whether the budget is a quick one; then there is no verdict.
    """
    asked = context.of_data(statement.asked_of)
    outcome = check(asked if asked.study.members else context)
    absent = [name for name in statement.asked_of if name not in {m.spec.data for m in asked.study.members}]
    verdict, measured = outcome.verdict, outcome.measured
    if not outcome.runs:
        verdict, measured = UNJUDGED, _why_nothing(context)
    elif absent and verdict == "supported":  # supported on one data set, but the statement is about several
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
    return "No run of this study measures it." if whole else f"The runs that measure it are {NOT_RUN}."


def _basis(runs: list[Member], absent: list[str]) -> str:
    """The data and the budget of the runs, and what their intervals cover, in words."""
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
