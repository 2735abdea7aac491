"""`vl.figure` and `vaelab figure`: the files that they write, and the pages that they refuse."""

import json
import re

import pytest
from PIL import Image

import vaelab as vl
from tests.built import completed
from vaelab.cli.main import main
from vaelab.runs.claim import claim
from vaelab.system.errors import SpecError

ROW = {"step": 1, "epoch": 1.0, "train": {"elbo": -3.0, "rate": 1.0, "distortion": 2.0}}


@pytest.fixture
def run(tmp_path) -> vl.Run:
    """A run with a log and nothing else: its curves can be drawn."""
    run = vl.Run(tmp_path / "run", must_exist=False)
    claim(run, completed(vl.Spec(data="digits", latent=2)))
    (run.path / "log.jsonl").write_text(json.dumps(ROW) + "\n")
    return run


@pytest.mark.parametrize("width", [3.3, "3.3in", "83.82mm", "8.382 cm", "3.3"])
def test_a_width_may_have_a_unit(width, run):
    (path,) = vl.figure(run, "curves", width=width, dpi=200, callback=vl.SILENT)
    with Image.open(path) as image:
        assert image.size[0] == 660


@pytest.mark.parametrize("format", ["png", "pdf", "svg"])
def test_the_command_writes_every_format(format, run, capsys):
    assert main(["figure", str(run.path), "curves", "--format", format, "--width", "3.3in", "--dpi", "300"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(run.path / "figures" / f"curves.{format}")]
    assert (run.path / "figures" / f"curves.{format}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"width": "3.3 furlongs"}, "a width such as 3.3in"),
        ({"width": 0.2}, "1 to 40 inches"),
        ({"width": float("nan")}, "1 to 40 inches"),
        ({"width": "4000cm"}, "1 to 40 inches"),
        ({"dpi": 0}, "50 to 1,200"),
        ({"format": "gif"}, "one of pdf, png, svg"),
    ],
)
def test_a_page_that_cannot_be_is_refused_and_nothing_written(asked, says, run):
    with pytest.raises(SpecError, match=re.escape(says)):
        vl.figure(run, "curves", **asked)
    assert not (run.path / "figures").exists()
