"""Over the seeds: the table of means, and that runs which differ in nothing else are told apart."""

import pytest

from vaelab.reports import pictures, write_report
from vaelab.reports.context import ReportContext
from vaelab.reports.seeds import interval, over_seeds
from vaelab.runs.train import train
from vaelab.studies.study import open_study

STUDY = """
title = "Two models with seeds"
about = "A study for the tests."
metrics = ["representation:images=200"]

[base]
data = "digits"
epochs = 0.2
nll_samples = 2
network = "mlp:hidden=8"

[[group]]
name = "plain"
title = "Plain"
grid = { latent = [2], seed = [0, 1, 2] }

[[group]]
name = "once"
title = "Once"
grid = { latent = [3] }

[[figure]]
number = "1"
title = "Samples"
panels = [
    { letter = "a", show = "samples", group = "plain", latent = 2 },
    { letter = "b", show = "samples", group = "once", latent = 3 },
]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "seeds.toml").write_text(STUDY)
    study = open_study(str(folder / "seeds.toml"), folder)
    for member in study.members:
        train(member.spec, member.run.path.parent, member.run.path.name, compile="never")
    return study


def test_an_interval_is_that_of_student():
    """Of 1, 2, 3: t_2 = 4.3027 and s = 1, so that half the width is 4.3027 / sqrt(3) = 2.484."""
    assert interval([1.0, 2.0, 3.0]).replace("\N{NO-BREAK SPACE}", " ") == "2.0 ± 2.5"
    assert interval([1.0]) == interval([1.0, None]) == interval([]) == "\N{EM DASH}"
    assert interval([5.0, 5.0]) == "5.000"


def test_runs_that_differ_in_their_seeds_have_names_of_their_own(study):
    assert [member.label for member in study.members] == [
        "plain z=2 seed=0",
        "plain z=2 seed=1",
        "plain z=2 seed=2",
        "once z=3",
    ]


def test_the_table_has_a_row_for_each_model_with_several_seeds(study):
    ((title, table),) = over_seeds(ReportContext(study)).items()
    assert title == "digits, binary-dynamic"
    (row,) = table.rows
    cells = dict(zip(table.columns, row, strict=True))
    assert (cells["model"], cells["z"], cells["seeds"]) == ("Plain", "2", "3")
    losses = [-member.run.metric("elbo").value for member in study.members[:3]]
    mean, half = (float(part) for part in cells["\N{MINUS SIGN}ELBO"].split("±"))
    assert mean == pytest.approx(sum(losses) / 3, abs=0.1)
    assert half == pytest.approx(4.3027 * (sum((x - sum(losses) / 3) ** 2 for x in losses) / 2 / 3) ** 0.5, rel=0.1)
    assert "Fréchet distance" not in cells  # nobody measured it


def test_the_report_shows_every_run_and_the_table(study, tmp_path):
    done = write_report(study, tmp_path)
    html, markdown = done.page.read_text(), done.text.read_text()
    for text in (html, markdown):
        assert "Over the seeds" in text
        assert all(f"seed {seed}" in text for seed in range(3))
    assert markdown.startswith("# Two models")
    assert html.startswith("<!")
    short = markdown.split("## Summary")[1].split("##")[0]
    assert "Plain, z\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}2: \N{MINUS SIGN}ELBO" in short
    assert "Once, z\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}3: \N{MINUS SIGN}ELBO" in short
    assert "Lower is better for \N{MINUS SIGN}ELBO, distortion and NLL(K)." in markdown
    assert "## Claims" not in markdown  # it has none
    assert "<h2>Claims" not in html


def test_seeds_of_one_model_share_a_colour_in_the_learning_curves(study):
    context = ReportContext(study)
    (ax,) = pictures._curves(context, study.members[:3]).axes
    labels = [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in ax.get_legend().get_texts()]
    assert labels == ["z = 2, 3 seeds"]
    assert len({line.get_color() for line in ax.lines}) == 1
    assert len([line for line in ax.lines if len(line.get_xdata())]) == 6  # training and validation of each
