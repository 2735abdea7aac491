"""A run, a Spec or a study that somebody else made runs no code but vaelab's, unless its module is trusted by name."""

import json
import sys
from pathlib import Path

import pytest

import vaelab as vl
from tests.thorough import each_value
from vaelab.cli.main import main
from vaelab.parts.names import make
from vaelab.parts.trust import check_trust, modules_in
from vaelab.runs.spec import PARTS
from vaelab.studies.run import Options, carry_out
from vaelab.studies.study import open_study
from vaelab.system.errors import SpecError, VaelabError

# Says by a file that it was imported, or called; its parts are real ones, that a user may want to trust.
EVIL = """
from pathlib import Path

Path("ran").write_text("imported")

from torch import nn

from vaelab.priors import StandardNormal


class Prior(StandardNormal):
    pass


class Flat(nn.Flatten):
    pass


def call():
    Path("ran").write_text("called")
"""
SHORT = {"data": "digits", "latent": 2, "network": "mlp:hidden=4", "epochs": 0.1, "nll_samples": 2}
STUDY = """
title = "somebody's"
about = "a study"
base = {{ data = "digits", latent = 2, network = "mlp:hidden=4", epochs = 0.1, nll_samples = 2 }}
{metrics}
[[group]]
name = "one"
title = "one"
spec = {{ {spec} }}
grid = {{ {grid} }}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a module of somebody's in it."""
    (tmp_path / "evil.py").write_text(EVIL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("evil", None)


def ran() -> bool:
    return Path("ran").exists()


@pytest.fixture
def foreign(here):
    """Makes a finished run whose spec.json was then changed."""

    def made(**fields: str) -> Path:
        run = vl.train(vl.Spec(**SHORT), "runs", "theirs", compile="never", callback=vl.SILENT)
        path = run.path / "spec.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
        return run.path

    return made


@pytest.mark.thorough(0.25, kinds=each_value)
@pytest.mark.parametrize("field", PARTS)
@pytest.mark.parametrize("name", ["evil:Prior", "os:abort", "http.server:test", "a=b:evil:call", "evil:x=1:call"])
def test_a_run_that_names_a_module_runs_nothing(field, name, foreign, capsys):
    path = foreign(**{field: name})
    module = next(word for word in name.split(":") if "=" not in word)
    for command in (["evaluate", "--again"], ["evaluate", "--metrics", "latents"], ["figure", "samples"], ["figure"]):
        main([command[0], str(path), *command[1:]])
        assert not ran()
    for act in (vl.evaluate, lambda run: vl.figure(run, "samples"), lambda run: vl.Run(run).model()):
        with pytest.raises(SpecError, match=f"spec.json names the module '{module}' .*--trust {module} "):
            act(path)
    assert not ran()
    capsys.readouterr()
    assert main(["evaluate", str(path), "--again"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"--trust {module} (in Python, trust=['{module}'])" in said


@pytest.mark.parametrize("paths", [("evil:Prior", "digits"), ("digits", "evil:call"), ("evil:x", "evil:x")])
def test_a_result_that_says_that_its_images_are_a_module_runs_nothing(paths, foreign, capsys):
    path = foreign()
    there = path / "result.json"
    source = {"absolute": paths[0], "from_run": paths[1]}
    there.write_text(json.dumps({**json.loads(there.read_text()), "source": source}))
    with pytest.raises(SpecError, match=r"result.json names the module 'evil' \(source evil:.*--trust evil "):
        vl.Run(path).data()
    assert main(["evaluate", str(path), "--metrics", "latents:images=99"]) == 2
    capsys.readouterr()
    assert main(["figure", str(path), "reconstructions"]) == 0  # of the images that the run keeps
    assert "result.json names the module 'evil'" in capsys.readouterr().out
    assert not ran()


@pytest.mark.parametrize("field", PARTS)
def test_a_spec_in_a_file_runs_nothing(field, here, capsys):
    Path("theirs.json").write_text(json.dumps({**SHORT, field: "evil:call"}))
    assert main(["train", "--spec", "theirs.json"]) == 2
    assert "theirs.json names the module 'evil'" in capsys.readouterr().err
    assert not ran()


@pytest.mark.parametrize(
    "words",
    [
        {"spec": 'prior = "evil:Prior"', "grid": "seed = [0]"},
        {"grid": 'prior = ["standard", "evil:Prior"]'},
        {"spec": 'data = "evil:Prior"', "grid": "seed = [0]"},
        {"grid": 'data = ["digits", "evil:Prior"]'},
        {"metrics": 'metrics = ["evil:call"]', "grid": "seed = [0]"},
        {"metrics": 'metrics = ["fidelity:features=evil.Flat"]', "grid": "seed = [0]"},
        {"metrics": 'quick_metrics = ["latents:x=1,evil.Flat"]', "grid": "seed = [0]"},
    ],
)
@pytest.mark.parametrize("command", ["study", "report"])
def test_a_study_in_a_file_runs_nothing(words, command, here, capsys):
    Path("theirs.toml").write_text(STUDY.format(**{"spec": "", "metrics": "", **words}))
    assert main([command, "theirs.toml", "--quick"]) == 2
    assert "theirs.toml names the module 'evil'" in capsys.readouterr().err
    assert not ran()


def test_what_is_trusted_by_name_works(here, capsys):
    Path("theirs.json").write_text(json.dumps({**SHORT, "prior": "evil:Prior"}))
    short = ["--compile", "never", "--name", "theirs"]
    assert main(["train", "--spec", "theirs.json", "--trust", "other", "evil", "--latent", "3", *short]) == 0
    assert ran()
    assert main(["train", "--spec=theirs.json", "--trust=evil", "--latent", "3", *short]) == 0  # done before
    assert vl.Run("runs/theirs", trust=["evil"]).spec.latent == 3
    assert type(vl.Run("runs/theirs", trust="evil").model().prior).__name__ == "Prior"
    assert main(["evaluate", "runs/theirs", "--trust", "evil", "--metrics", "latents:images=100"]) == 0
    assert main(["evaluate", "runs/theirs", "--metrics", "latents:images=101"]) == 2  # nothing is remembered
    assert main(["evaluate", "runs/theirs", "--trust", "evi", "--metrics", "latents:images=101"]) == 2
    assert main(["figure", "runs/theirs", "samples", "--trust", "evil"]) == 0
    assert main(["compare", "runs/theirs"]) == 0  # which builds no model
    assert main(["figure", "runs/theirs", "curves"]) == 0


@pytest.mark.thorough(0.25, group="processes of a study")
def test_a_study_that_is_trusted_works_in_processes_of_its_own(here):
    words = {"metrics": 'metrics = ["fidelity:features=evil.Flat:images=100"]', "grid": 'prior = ["evil:Prior"]'}
    Path("mine.toml").write_text(STUDY.format(spec="", **words))
    study = open_study("mine.toml", trust=["evil"])
    assert study.command == "vaelab study mine.toml --trust evil"
    carry_out(study, Options(jobs=2, compile="never"), vl.SILENT)
    (member,) = study.members
    assert any(metric.name.startswith("density[evil.Flat") for metric in member.run.metrics)


def test_what_the_user_typed_is_trusted(here):
    run = vl.train(vl.Spec(**{**SHORT, "prior": "evil:Prior"}), "runs", compile="never", callback=vl.SILENT)
    assert type(run.model().prior).__name__ == "Prior"
    assert main(["evaluate", str(run.path)]) == 2
    assert main(["train", "--data", "digits", "--epochs", "0.1", "--prior", "evil:Prior", "--compile", "never"]) == 0


@pytest.mark.parametrize(
    "kind", ["network", "likelihood", "prior", "posterior", "model", "objective", "schedule", "metric", "data source"]
)
@pytest.mark.parametrize(
    "name", ["evil:call", "os:abort", "os:system", "subprocess:Popen", "threading:Thread", "builtins:print"]
)
def test_only_parts_are_called(kind, name, here):
    Path("evil.py").write_text('from pathlib import Path\ndef call():\n    Path("ran").write_text("called")\n')
    with pytest.raises(SpecError) as caught:
        make(kind, {}, name, {})
    assert "\n" not in str(caught.value)
    assert not ran()


def test_a_function_that_says_what_it_makes_is_called(here):
    Path("evil.py").write_text(
        "from vaelab.priors import StandardNormal\n\n\n"
        "def mine(latent: int, *, half: bool = False) -> StandardNormal:\n    return StandardNormal(latent)\n"
    )
    assert make("prior", {}, "evil:mine:half=true", {"latent": 3})().event_shape == (3,)
    with pytest.raises(SpecError, match="a function that returns a StandardNormal, without encoder, decoder"):
        make("network", {}, "evil:mine", {"latent": 3})


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("mlp:hidden=500,200:activation=tanh", []),
        ("gaussian:sigma=0.1", []),
        ("a.b:C:x=1", ["a.b"]),
        ("x=1:a.b:C", ["a.b"]),
        (":C", [""]),
        ("", []),
        ("fidelity:features=pixels", []),
        ("fidelity:features=a.b.C:images=5", ["a.b"]),
        ("own:Measure:features=a.C", ["own", "a"]),
    ],
)
def test_modules_that_a_text_names(text, modules):
    assert modules_in(text) == modules


def test_trust_is_by_whole_names():
    check_trust("a file", {"prior": "a.b:C"}, ["a"])
    check_trust("a file", {"prior": "a.b:C"}, ["a.b"])
    for trust in ([], ["b"], ["a.b.c"], ["a."], [""]):
        with pytest.raises(VaelabError, match=r"a file names the module 'a.b' \(prior a.b:C\)"):
            check_trust("a file", {"prior": "a.b:C"}, trust)
    with pytest.raises(VaelabError):
        check_trust("a file", {"prior": "aa:C"}, ["a"])
