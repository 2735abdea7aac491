"""The tables of what was measured besides."""

from types import SimpleNamespace

from vaelab.evaluation.measure import FEW_EFFECTIVE, FEW_MARK, Metric
from vaelab.reports.measured import measured
from vaelab.reports.seeds import _row
from vaelab.reports.table import _metric


def metric(name: str, note: str) -> Metric:
    return Metric(
        measure="fidelity:draw=mean",
        name=name,
        value=0.5,
        unit="share",
        better="higher",
        images=50,
        split="test",
        protocol="grey",
        se=0.1,
        note=note,
    )


def context(*metrics: Metric) -> SimpleNamespace:
    run = SimpleNamespace(metrics=list(metrics))
    spec = SimpleNamespace(data="mnist", protocol="grey")
    return SimpleNamespace(done=[SimpleNamespace(label="one", run=run, spec=spec)])


def test_what_every_note_says_is_said_once():
    (part,) = measured(context(metric("precision", "k = 5; decoder means"), metric("coverage", "decoder means")))  # type: ignore[arg-type]
    assert (part.common, part.notes) == ("decoder means", ["k = 5"])
    assert part.table.columns == ["run", "precision, share\N{NO-BREAK SPACE}↑", "coverage, share\N{NO-BREAK SPACE}↑"]
    assert [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in part.table.rows[0][1:]] == [
        "0.50 ± 0.10 [1]",
        "0.50 ± 0.10",
    ]


def test_what_one_note_lacks_is_not_said_of_all():
    (part,) = measured(context(metric("precision", "k = 5"), metric("coverage", "")))  # type: ignore[arg-type]
    assert (part.common, part.notes) == ("", ["k = 5"])


def test_a_number_that_rests_on_few_draws_is_marked_in_the_comparison_table():
    plain, marked = metric("nll", "not a likelihood"), metric("nll", f"not a likelihood; {FEW_EFFECTIVE}")
    assert [_metric(each, sign=1).mark for each in (plain, marked)] == ["", FEW_MARK]
    assert _metric(marked, sign=1).text == _metric(plain, sign=1).text


def test_a_mean_over_seeds_is_marked_where_one_of_them_rests_on_few_draws():
    def member(note: str) -> SimpleNamespace:
        metrics = [metric("elbo", ""), metric("nll", note)]
        run = SimpleNamespace(
            result={"seconds": {"training": 1.0}},
            metrics=metrics,
            metric=lambda name: next(own for own in metrics if own.name == name),
        )
        return SimpleNamespace(title="one", latent=2, run=run)

    study = SimpleNamespace(of_model=lambda member: member.title)
    with_mark, without = (_row(study, [member(""), member(note)]) for note in (FEW_EFFECTIVE, ""))  # type: ignore[list-item, arg-type]
    assert [a == b for a, b in zip(with_mark, without, strict=True)].count(False) == 1
    assert [FEW_MARK in cell for cell in with_mark].count(True) == 1
