"""docs/extending.md is run as it is written."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from vaelab.cli.main import main
from vaelab.parts import capabilities
from vaelab.parts.contracts import CONTRACTS
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
    assert len(PIECES) == 14
    assert all(len(piece.splitlines()) < 30 for piece in PIECES)


def test_every_kind_of_part_has_a_row_and_a_section():
    rows = re.findall(r"^\| ([a-z ]+) \| .*`(\w+)`: ", PAGE, re.MULTILINE)
    assert dict(rows) == {kind: c.__name__ for kind, c in CONTRACTS.items()}
    for kind in CONTRACTS:
        assert re.search(rf"^## An? {kind}$", PAGE, re.MULTILINE), kind


def test_the_tables_of_capabilities_are_whole():
    """Each with the members that it asks for, and each attribute with its default."""
    own = [value for value in vars(capabilities).values() if getattr(value, "__module__", "") == capabilities.__name__]
    protocols = {value.__name__: value for value in own if getattr(value, "_is_protocol", False)}
    rows = {
        row[0]: row[2] for row in re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+?) \| .+ \| .+ \|$", PAGE, re.MULTILINE)
    }
    assert {name: rows.get(name) is not None for name in protocols} == dict.fromkeys(protocols, True)
    for name, protocol in protocols.items():
        listed = {word.partition("(")[0] for word in re.findall(r"`([^`]+)`", rows[name])}
        assert listed == {member for member in capabilities.members(protocol) if member != "__call__"}, name
    page = PAGE.replace("\\|", "|")
    for name, attribute in capabilities.ATTRIBUTES.items():
        assert f"| `{name}` | {attribute.of} | `{attribute.default!r}` | {attribute.meaning} |" in page


@pytest.mark.thorough(0.34)
@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_the_commands_work(command, mine, capsys):
    short = ["--epochs", "0.1", "--latent", "3", "--nll-samples", "2", "--out", "out", "--compile", "never"]
    assert main([*shlex.split(command), *short]) == 0
    (path,) = Path("out").iterdir()
    if "Tempered:temperature=3" in command:
        assert Run(path).result["provenance"]["effective_beta"] == pytest.approx(3, rel=1e-4)


@pytest.mark.parametrize("command", re.findall(r"^vaelab (.* runs/mine .*)$", PAGE, re.MULTILINE))
def test_a_metric_and_a_figure_work(command, mine, capsys):
    assert main(["train", *TINY, "--out", "runs", "--name", "mine"]) == 0
    assert main(shlex.split(command)) == 0
    run = Run("runs/mine")
    if command.startswith("evaluate"):
        assert run.metric("contrast").value > 0
        assert run.metric("contrast").better == "neither"
    else:
        assert (run.path / "figures" / "mine-norms.png").is_file()


def test_what_a_prior_and_a_likelihood_compute_is_kept(mine, capsys):
    """The capabilities are used, not only accepted."""
    assert main(["train", "--protocol", "8bit", "--likelihood", "mine:MeasuredNoise", *TINY, "--name", "noise"]) == 0
    assert Run("runs/noise", "mine").model().likelihood.head.sigma.item() != 0.25
    assert main(["train", "--prior", "mine:Exemplars:count=20", *TINY, "--name", "exemplars"]) == 0
    assert Run("runs/exemplars", "mine").model().prior.u.amax((1, 2, 3)).min() > 0
    assert main(["train", "--refit", "mine:Shifted", *TINY, "--name", "shifted"]) == 0
    assert Run("runs/shifted", "mine").model().prior.mean.abs().min() > 0


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
