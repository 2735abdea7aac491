"""What differs between the runs of a study is said, and only runs that differ in nothing but the seed are averaged."""

import re
from dataclasses import replace

import pytest

from vaelab.reports import write_report
from vaelab.reports.context import ReportContext
from vaelab.reports.labels import points
from vaelab.reports.pictures import _curves, _points
from vaelab.reports.seeds import over_seeds
from vaelab.reports.table import comparison
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.train import train
from vaelab.studies.study import Study, open_study

VARIED = """
title = "Objectives beside each other"
about = "A study for the tests."

[base]
data = "digits"
epochs = 0.2
nll_samples = 2
network = "mlp:hidden=8"

[[group]]
name = "varied"
title = "Varied"
grid = { latent = [2], objective = ["elbo", "beta:beta=4", "iwae:samples=3"], learning_rate = [1e-3, 2e-2] }

[[group]]
name = "other"
title = "Varied"
spec = { objective = "iwae:samples=3", learning_rate = 1e-3, prior = "mixture:components=3" }
grid = { latent = [2] }

[[figure]]
number = "1"
title = "Samples"
panels = [{ letter = "a", show = "samples", group = "varied", latent = 2 }]
"""
NAMES = [
    *(
        f"prior standard, objective {objective}, learning rate {rate}"
        for objective in ("elbo", "beta", "iwae:samples=3")
        for rate in (0.001, 0.02)
    ),
    "prior mixture:components=3, objective iwae:samples=3, learning rate 0.001",
]


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def varied(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("varied")
    (folder / "varied.toml").write_text(VARIED)
    study = open_study(str(folder / "varied.toml"), folder)
    for member in study.members:
        train(member.spec, member.run.path.parent, member.run.path.name, compile="never")
    return study


def test_what_differs_between_runs_of_one_title_is_said(varied):
    context = ReportContext(varied)
    assert [plain(context.at(member)) for member in varied.members] == [f"z = 2, {name}" for name in NAMES]
    assert [plain(context.of_model(member)) for member in varied.members] == [f"Varied, {name}" for name in NAMES]


def test_runs_of_unlike_specs_are_never_averaged(varied, tmp_path):
    assert [len(models) for models in points(varied.members)] == [1] * 7
    again = [replace(member, group="again") for member in varied.members]  # one run is no two seeds
    assert [len(models) for models in points([*varied.members, *again])] == [1] * 14
    assert over_seeds(ReportContext(varied)) == {}
    text = write_report(varied, tmp_path).text.read_text()
    assert "Over the seeds" not in text
    assert "over the seeds" not in text


def test_runs_that_differ_in_the_seed_alone_are_averaged(varied):
    twins = [replace(m, blueprint=blueprint_of(m.spec.model_copy(update={"seed": 1}))) for m in varied.members]
    context = ReportContext(replace(varied, members=[*varied.members, *twins]))
    ((_, table),) = over_seeds(context).items()
    assert [plain(row[0]) for row in table.rows] == [f"Varied, {name}" for name in NAMES]
    assert [row[table.columns.index("seeds")] for row in table.rows] == ["2"] * 7
    elbos = [-member.run.metric("elbo").value for member in varied.members]
    means = [float(row[table.columns.index("\N{MINUS SIGN}ELBO")].split("\N{NO-BREAK SPACE}")[0]) for row in table.rows]
    assert means == pytest.approx(elbos, rel=1e-3)


def test_every_table_and_legend_tells_the_runs_apart(varied, tmp_path):
    context = ReportContext(varied)
    (block,) = comparison(context)
    details = [row.cells["group"].text + row.cells["group"].detail for row in block.rows]
    (axes,) = _curves(context, context.done).axes
    legend = axes.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    groups = [str(point["group"]) for point in _points(context)]
    for told in (details, labels, groups, [row.label for row in block.rows]):
        assert len(set(told)) == 7
    text = plain(write_report(varied, tmp_path).text.read_text())
    assert f"(a) Varied, {NAMES[0]}" in text
    short = text.split("## Summary")[1].split("##")[0]
    # ELBOs of unlike objectives do not rank models
    assert re.search(
        r"Varied is best with z = 2, prior \S+ objective \S+, learning rate \S+ \(NLL [\d.]+ ± [\d.]+ nats", short
    )
    assert "behind by" in short
