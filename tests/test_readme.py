"""What the README shows is run as it is written."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

import pytest

from tests.built import completed
from tests.pages import type_page
from vaelab.cli.main import main
from vaelab.data import load_data
from vaelab.runs.evaluate import evaluate, named_measures
from vaelab.runs.presets import preset
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.studies.study import open_study

README = (Path(__file__).parents[1] / "README.md").read_text()
GUIDE = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text()


def test_the_python_example(tmp_path, monkeypatch, capsys):
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for code in examples:
        exec(compile(code, "README.md", "exec"), {})
    assert "nats/image" in capsys.readouterr().out
    assert len(load_data("npy:images.npy").train) == 81  # 10 to test, 9 to validation


@pytest.mark.thorough(0.5, group="pages")
def test_a_trained_model_is_used_as_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vaelab.runs.figure.figure", lambda *_, **__: None)  # which takes most of the time
    (section,) = re.findall(r"^### With a trained model\n(.*?)^#", README, re.MULTILINE | re.DOTALL)
    quick = ["--compile", "never"]
    type_page(section, capsys, {"train": quick, "resume": quick})
    assert all((tmp_path / name).exists() for name in re.findall(r"--out (\S+)", section.partition("For images")[0]))
    assert len(list((tmp_path / "runs").iterdir())) == 2


@pytest.mark.parametrize("line", re.findall(r"^vaelab train (.*)$", README, re.MULTILINE))
def test_the_specs_of_the_commands(line):
    words = shlex.split(line, comments=True)
    fields = {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)
    }
    fields.pop("name", None)  # of the run's directory
    named = preset(fields.pop("preset")).fields if "preset" in fields else {}
    completed(Spec(**{**named, **fields}))


@pytest.mark.parametrize("line", re.findall(r"^vaelab study (.*)$", README, re.MULTILINE))
def test_the_studies_of_the_commands(line, monkeypatch):
    seen = []
    monkeypatch.setattr("vaelab.studies.run.carry_out", lambda study, options, callback: seen.append((study, options)))
    monkeypatch.setattr("vaelab.cli.commands.study.write_report", lambda *given: None)
    words = shlex.split(line.partition("#")[0])
    assert main(["study", *words]) == 0
    ((study, options),) = seen
    assert study.name == words[0]
    assert (options.vmapped > 1) == ("--vmapped" in words)
    assert study.members


def test_the_study_of_ones_own(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine.toml").write_text(text)
    study = open_study(str(tmp_path / "mine.toml"), tmp_path)
    assert len(study.members) == 6
    assert len(list(named_measures(study.metrics))) == 1
    assert {panel.group for figure in study.figures for panel in figure.panels} == {m.group for m in study.members}


@pytest.mark.parametrize("line", re.findall(r"^vaelab evaluate (.*)$", README + GUIDE, re.MULTILINE))
def test_the_metrics_of_the_commands(line):
    words = line.partition("#")[0].split()
    names = list(takewhile(lambda word: not word.startswith("--"), words[2:])) if "--metrics" in words else []
    assert len(named_measures(names)) == len(names)


def test_every_number_is_explained(tmp_path):
    """What the measures of a small run print stands in the guide, by name."""
    run = train(Spec(data="digits", latent=2, network="mlp:hidden=8", epochs=1, nll_samples=11), tmp_path)
    evaluate(run, ["fidelity:features=pixels", "representation", "ais:images=1:simulated=1:temperatures=2"])
    printed = {metric.name.partition("[")[0] for metric in run.metrics} | set(run.result["provenance"])
    printed |= {*run.log[0], *run.log[0]["train"], *run.log[0]["validation"]}
    assert printed - {"likelihood", "note", "protocol"} <= set(re.findall(r"`(\w+)(?:\[…\])?`", GUIDE))


def test_the_files_it_links_to():
    for path in re.findall(r"\]\(([^)]+)\)", README):
        assert (Path(__file__).parents[1] / path).exists(), path


def test_every_noun_has_one_sentence():
    for noun in (
        "Protocol",
        "Distribution",
        "Head",
        "Conditional",
        "Prior",
        "Model",
        "Draw",
        "Objective",
        "Dataset",
        "Measure",
        "Metric",
        "Spec",
        "Run",
        "Study",
    ):
        assert f"| **{noun}** |" in README
