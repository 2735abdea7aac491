"""The rules that make verdicts, on numbers whose verdict is known; and how a claim is judged."""

from dataclasses import replace

import pytest

from vaelab.cli.commands import report as command
from vaelab.reports import check_report, write_report
from vaelab.reports.claims import CLAIMS, check_claims, judged
from vaelab.reports.claims.claim import (
    CitedPlace,
    Outcome,
    Statement,
    Verdict,
    agreed,
    of_parts,
    parts_in_words,
    tally,
    verdict,
)
from vaelab.reports.context import ReportContext

SUPPORTED, CONTRADICTED, MIXED, UNJUDGED = "supported", "contradicted", "mixed", "cannot be judged here"


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ([1, 1, 1], SUPPORTED),
        ([1, 1, 0], SUPPORTED),
        ([1, 0, 0], MIXED),
        ([1, 1, 1, -1], MIXED),
        ([-1, -1, 0], CONTRADICTED),
        ([-1, 0, 0], MIXED),
        ([0, 0, 0], UNJUDGED),
        ([], UNJUDGED),
    ],
)
def test_the_verdict_of_comparisons(signs, expected) -> None:
    assert verdict(signs) == expected


def test_what_is_undecided_may_be_called_mixed_but_nothing_is_not_judged() -> None:
    assert verdict([0, 0], "mixed") == MIXED
    assert verdict([], "mixed") == UNJUDGED


def test_verdicts_that_differ_are_mixed() -> None:
    assert agreed(["supported", "supported"]) == SUPPORTED
    assert agreed(["supported", "contradicted"]) == MIXED
    assert agreed([]) == UNJUDGED


def test_a_claim_of_two_parts_needs_both() -> None:
    assert of_parts({"one": SUPPORTED, "two": SUPPORTED}) == SUPPORTED
    assert of_parts({"one": SUPPORTED, "two": CONTRADICTED}) == MIXED
    assert of_parts({"one": SUPPORTED, "two": UNJUDGED}) == UNJUDGED
    assert of_parts({"one": CONTRADICTED, "two": UNJUDGED}) == CONTRADICTED
    assert of_parts({}) == UNJUDGED


@pytest.mark.parametrize(
    ("signs", "told"),
    [
        ([1, 1, -1, 0], "in 2 of 4 comparisons the error is lower, in 1 it is higher and in 1 this is not clear"),
        ([1, 1, 1], "in all 3 comparisons the error is lower"),
        ([-1, -1], "in both comparisons the error is higher"),
        ([0], "this is not clear"),
        ([1], "the error is lower"),
        ([-1, 0], "in 1 of 2 comparisons the error is higher and in 1 this is not clear"),
        ([], "there is no comparison"),
    ],
)
def test_the_tally_counts_each_way(signs, told) -> None:
    assert tally(signs, "the error", "is lower", "is higher") == told


def test_parts_are_told_with_their_verdicts() -> None:
    said = parts_in_words({"blue": SUPPORTED, "far": UNJUDGED, "red": SUPPORTED, "wide": MIXED})
    plain = said.replace("\N{LEFT DOUBLE QUOTATION MARK}", "'").replace("\N{RIGHT DOUBLE QUOTATION MARK}", "'")
    assert plain == "Of its parts, 'blue' and 'red' are supported; 'far' cannot be judged here; 'wide' is mixed."


CLAIM = Statement(
    "It is so.", "It is so.", "Conclusion", ("digits",), CitedPlace("A paper", "Its author", "in a library")
)


def outcome(verdict: Verdict = "supported"):
    return lambda context: Outcome("It was measured.", verdict, "a rule", context.done)


def test_a_claim_about_these_data_has_a_verdict_but_not_at_a_quick_budget(trained) -> None:
    context = ReportContext(trained)
    assert judged(context, CLAIM, outcome()).verdict == SUPPORTED
    quick = judged(context, CLAIM, outcome(), quick=True)
    assert (quick.verdict, quick.measured) == ("not judged at this budget", "It was measured.")


def test_a_claim_about_two_data_sets_is_not_supported_by_one(trained) -> None:
    both = replace(CLAIM, asked_of=("digits", "mnist"))
    claim = judged(ReportContext(trained), both, outcome())
    assert (claim.verdict, "mnist is not in this study" in claim.basis) == (UNJUDGED, True)
    assert judged(ReportContext(trained), both, outcome("contradicted")).verdict == CONTRADICTED


def test_a_quick_study_judges_only_what_must_hold(trained, monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(CLAIMS, "so", [(CLAIM, outcome())])
    monkeypatch.setitem(CLAIMS, "must", [(CLAIM, outcome())])
    quick = replace(trained, quick=True, claims=["so", "must"], must=["must"])
    found = {name: claim.verdict for name, (claim,) in check_claims(ReportContext(quick)).items()}
    assert found == {"so": "not judged at this budget", "must": SUPPORTED}
    done = write_report(quick, tmp_path)
    assert check_report(quick, done.page) == []
    assert "**not judged at this budget.**" in done.text.read_text()


def test_the_summary_lists_verdicts_and_counts_what_has_none(trained, monkeypatch, tmp_path) -> None:
    elsewhere = replace(CLAIM, asked_of=("mnist",))
    monkeypatch.setitem(CLAIMS, "so", [(CLAIM, outcome()), (elsewhere, outcome()), (elsewhere, outcome())])
    done = write_report(replace(trained, claims=["so"]), tmp_path)
    summary = done.text.read_text().partition("## Figures")[0]
    assert "1 statement was checked: 1 is supported." in summary
    assert "2 statements are about MNIST, which this study does not test. " in summary
    assert summary.count("It is so.") == 1
    assert done.page.read_text().partition("<h2>Claims")[2].partition("<article")[0].count("It is so.") == 1
    quick = write_report(replace(trained, claims=["so"], quick=True), tmp_path).text.read_text()
    assert "1 statement has no verdict at this quick budget. " in quick


def test_each_claim_is_checked_once_for_the_page_and_the_terminal(partial, monkeypatch, capsys) -> None:
    asked = list[ReportContext]()

    def count(context: ReportContext) -> Outcome:
        asked.append(context)
        return outcome()(context)

    monkeypatch.setitem(CLAIMS, "so", [(CLAIM, count)])
    page = command.write_report(replace(partial, claims=["so"], figures=[]), None)
    assert len(asked) == 1
    assert "It is so." in page.read_text()
    assert "It is so." in capsys.readouterr().out
