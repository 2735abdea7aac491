"""docs/extending.md is run as it is written."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from vaelab.cli.main import main
from vaelab.runs.directory import Run

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
PIECES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^vaelab (train .*)$", PAGE, re.MULTILINE)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("\n\n".join(PIECES))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("mine", None)


def test_each_part_is_short():
    assert len(PIECES) == 5
    assert all(len(piece.splitlines()) <= 30 for piece in PIECES)


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_the_commands_work(command, mine, capsys):
    short = ["--epochs", "0.1", "--latent", "3", "--nll-samples", "2", "--out", "out", "--compile", "never"]
    assert main([*shlex.split(command), *short]) == 0
    (path,) = Path("out").iterdir()
    if "Tempered:temperature=3" in command:
        assert Run(path).result["provenance"]["effective_beta"] == pytest.approx(3, rel=1e-4)


TINY = ["--epochs", "0.1", "--latent", "3", "--nll-samples", "2", "--compile", "never"]
STUDY = """
title = "Theirs"
about = "One run with a prior of theirs."
base = { data = "digits", latent = 3, nll_samples = 2, epochs = 0.1 }
[[group]]
name = "one"
title = "One"
grid = { prior = ["mine:Sparse"] }
"""


@pytest.mark.parametrize("command", re.findall(r"^vaelab (.* --trust mine)$", PAGE, re.MULTILINE))
def test_the_commands_for_what_others_made_want_trust(command, mine, capsys):
    Path("theirs.toml").write_text(STUDY)
    assert main(["train", "--prior", "mine:Sparse", *TINY, "--out", "runs", "--name", "theirs"]) == 0
    words = shlex.split(command)
    assert main(words[:-2]) == 2
    assert "if you know that code, add --trust mine" in capsys.readouterr().err
    assert main(words) == 0


def test_a_mistake_in_one_is_told_in_a_line(mine, capsys):
    assert main(["train", "--prior", "mine:Sparse:c=1"]) == 2
    assert "option of prior mine:Sparse" in capsys.readouterr().err
