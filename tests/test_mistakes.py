"""What a user may do wrong with a run that is done: each told in one line, before any work where that can be."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vaelab.cli.main import main
from vaelab.evaluation.fidelity import classifier
from vaelab.runs import evaluate as evaluating
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import evaluate, run_measures
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import RunError
from vaelab.system.files import write_atomically

TINY = Spec(data="digits", latent=2, network="mlp:hidden=8", epochs=1, nll_samples=5)
RESULT, MODEL, PER_IMAGE = "result.json", "model.safetensors", "per_image.safetensors"


class Odd(nn.Module):
    """A user's features with a fault of their own."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise KeyError("odd")


class Mute(nn.Module):
    """Another one, that fails and says nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise AssertionError


class Unborn(nn.Module):
    """A third, that cannot be made."""

    def __init__(self) -> None:
        raise OSError("no weights\nanywhere")


class NoMeasure:
    """What is no measure at all."""


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Run:
    return train(TINY, tmp_path_factory.mktemp("runs"), "digits", compile="never")


@pytest.fixture
def run(done, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(done.path, tmp_path / "runs" / "digits"))


def told(capsys, *words: object) -> str:
    """The one line of a command that was refused."""
    assert main(list(map(str, words))) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert "; expected " in lines[0]
    return lines[0]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b'{"metrics": 3}', b"\xff\xfe"])
@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_a_damaged_result(run, content: bytes, command: str, capsys):
    (run / RESULT).write_bytes(content)
    line = told(capsys, command, run)
    assert f"{run / RESULT} " in line
    assert "delete the run and train again" in line


@pytest.mark.parametrize("key", ["provenance", "findings", "data", "metrics.0.measure", "metrics.0.interval"])
@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_a_result_of_an_earlier_version_is_told_what_it_lacks(run, key: str, command: str, capsys):
    result = json.loads((run / RESULT).read_text())
    result.pop(key, None)
    result["metrics"][0].pop(key.rpartition(".")[2], None)
    (run / RESULT).write_text(json.dumps(result))
    assert f"has no {key}; expected what this version of vaelab writes" in told(capsys, command, run)


@pytest.mark.parametrize("spoil", ["cut", "bare", "others", "missing"])
def test_damaged_weights(run, spoil: str, capsys):
    path = run / MODEL
    tensors = load_file(path)
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif spoil == "bare":
        save_file(tensors, path)
    elif spoil == "others":
        save_file({"a": torch.zeros(2)}, path, {"image_shape": "[1, 8, 8]"})
    else:
        path.unlink()
    assert MODEL in told(capsys, "evaluate", run, "--metrics", "latents:images=20")


@pytest.mark.parametrize("name", ["latents:images=20", "representation", "fidelity:features=pixels", "reconstruction"])
def test_weights_that_are_not_finite(run, name: str, capsys):
    path = run / MODEL
    save_file({k: v * torch.nan for k, v in load_file(path).items()}, path, {"image_shape": "[1, 8, 8]"})
    before = (run / RESULT).read_bytes()
    assert "finite" in told(capsys, "evaluate", run, "--again", "--metrics", name)
    assert (run / RESULT).read_bytes() == before


def test_damaged_numbers_of_each_image_are_found_out_before_any_work(run, capsys, monkeypatch):
    (run / PER_IMAGE).write_bytes(b"abc")
    monkeypatch.setattr("vaelab.runs.evaluate.run_measures", None)
    assert "delete it and measure again with `vaelab evaluate RUN --again`" in told(
        capsys, "evaluate", run, "--metrics", "latents:images=20"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--seed -1 --metrics latents:images=20", "seed = -1"),
        ("--threads -2", "--threads -2"),
        ("--metrics likelihood:memory_mb=inf", "memory_mb = inf"),
        ("--metrics tests.test_mistakes:NoMeasure", "NoMeasure', a class, without check"),
        ("--metrics tests.test_mistakes:TINY", "is a Spec; expected a class or function"),
        ("--metrics unfinished:Metric", "(SyntaxError: "),
        ("--metrics fidelity:features=tests.test_mistakes.Odd", "(KeyError: 'odd')"),
        ("--metrics fidelity:features=tests.test_mistakes.Mute", "(AssertionError)"),
        ("--metrics fidelity:features=tests.test_mistakes.Unborn", "(OSError: no weights)"),
        ("--metrics fidelity:features=unfinished.Module", "(SyntaxError: "),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(run, words: str, expected: str, capsys, monkeypatch):
    (run.parent / "unfinished.py").write_text("class Metric(\n")
    monkeypatch.syspath_prepend(run.parent)
    assert expected in told(capsys, "evaluate", run, *words.split())
    assert "measuring" not in capsys.readouterr().out


def test_a_file_in_place_of_a_run(run, capsys):
    assert "expected a run directory" in told(capsys, "evaluate", run / RESULT)


def test_nothing_to_compare(capsys):
    assert "no run to rank; expected directories of runs" in told(capsys, "compare")


def test_runs_are_ranked_by_a_metric_that_is_no_mean_over_images(run, capsys):
    """Without a standard error of their difference, which is taken image by image."""
    other = Path(shutil.copytree(run, run.with_name("other")))
    for path in (run, other):
        evaluate(Run(path), ["fidelity:features=pixels"])
    names = [metric.name for metric in Run(run).metrics if metric.se is not None]
    for name in dict.fromkeys(names):
        assert main(["compare", str(run), str(other), "--metric", name]) == 0
    assert any("pixels" in name for name in names)
    capsys.readouterr()


def test_where_nothing_may_be_written(run, capsys, monkeypatch):
    def refuse(path, *_args, **_kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patched:
        patched.setattr("vaelab.system.files.opened", refuse)
        patched.setattr("vaelab.runs.evaluate.run_measures", None)
        assert "cannot be written (Read-only file system)" in told(
            capsys, "evaluate", run, "--metrics", "latents:images=20"
        )
    assert main(["evaluate", str(run)]) == 0  # what was measured before needs no writing
    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr("vaelab.system.files.opened", refuse)
        with pytest.raises(RunError, match="cannot be written"):
            write_atomically(run / "new", b"")
    assert "cannot be written" in told(capsys, "train", "--epochs", "1", "--out", run / RESULT)


def test_a_cache_that_cannot_be_made_is_found_out_before_the_classifier_is_fitted(run, capsys, monkeypatch):
    monkeypatch.setattr(classifier, "_fit", None)
    evaluating.cache_of(Run(run)).write_text("a file")
    assert "cannot be written" in told(capsys, "evaluate", run, "--metrics", "fidelity")


def test_what_another_process_measured_in_the_meantime_is_kept(run, monkeypatch):
    """It comes and goes while this one reads the data."""
    original, calls = evaluating.context_of, []

    def slow(*args):
        if not calls:
            calls.append(1)
            evaluate(Run(run), ["latents:images=30"])
        return original(*args)

    monkeypatch.setattr("vaelab.runs.evaluate.context_of", slow)
    evaluate(Run(run), ["latents:images=20"])
    measures = {metric.measure for metric in Run(run).metrics}
    assert {"latents:images=20:samples=1", "latents:images=30:samples=1"} <= measures


def test_what_was_measured_before_an_interruption_is_kept(run, monkeypatch, capsys):
    def stopped(measures, context, say, keep):
        first, _ = measures
        run_measures({first: measures[first]}, context, say, keep)
        raise KeyboardInterrupt

    monkeypatch.setattr("vaelab.runs.evaluate.run_measures", stopped)
    assert main(["evaluate", str(run), "--metrics", "latents:images=20", "latents:images=30"]) == 130
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    measures = {metric.measure for metric in Run(run).metrics}
    assert "latents:images=20:samples=1" in measures
    assert "latents:images=30:samples=1" not in measures
