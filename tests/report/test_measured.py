"""The tables of what was measured besides."""

from types import SimpleNamespace

from vaelab.report.measured import measured


def row(name: str, note: str) -> dict:
    fixed = {
        "measure": "fidelity:draw=mean",
        "split": "test",
        "unit": "share",
        "better": "higher",
        "images": 50,
        "samples": None,
    }
    return {**fixed, "name": name, "value": 0.5, "se": 0.1, "monte_carlo_se": None, "interval": None, "note": note}


def material(*rows: dict) -> SimpleNamespace:
    run = SimpleNamespace(result={"metrics": list(rows)})
    spec = SimpleNamespace(data="mnist", protocol="grey")
    return SimpleNamespace(done=[SimpleNamespace(label="one", run=run, spec=spec)])


def test_what_every_note_says_is_said_once():
    (part,) = measured(material(row("precision", "k = 5; decoder means"), row("coverage", "decoder means")))  # type: ignore[arg-type]
    assert (part.common, part.notes) == ("decoder means", ["k = 5"])
    assert part.table.columns == ["run", "precision, share\N{NO-BREAK SPACE}↑", "coverage, share\N{NO-BREAK SPACE}↑"]
    assert [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in part.table.rows[0][1:]] == [
        "0.50 ± 0.10 (1)",
        "0.50 ± 0.10",
    ]


def test_what_one_note_lacks_is_not_said_of_all():
    (part,) = measured(material(row("precision", "k = 5"), row("coverage", "")))  # type: ignore[arg-type]
    assert (part.common, part.notes) == ("", ["k = 5"])
