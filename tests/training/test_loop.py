"""The loop: exact resume, best weights, stopping, and that every field of a Plan does something."""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import vaelab as vl
from tests.built import build_model, build_objective, completed, load_splits
from vaelab.data import Splits, load_data
from vaelab.models import VAE
from vaelab.runs.spec import Spec
from vaelab.system.errors import DataError, Interrupted, NonFiniteError, RunError
from vaelab.training import loop
from vaelab.training.callback import Callback
from vaelab.training.loop import fit
from vaelab.training.validation import validate

BASE = Spec(data="digits", latent=3, network="mlp:hidden=16", epochs=2, batch=50, learning_rate=3e-3)
SILENT = Callback(say=lambda line: None, show=lambda status: None)
WATCHFUL = replace(SILENT, show_every=0.0)


def trained(spec: Spec, folder: Path, callback: Callback = SILENT, compile="never", objective=None) -> VAE:
    spec = completed(spec)
    data = load_splits(spec)
    model = build_model(spec, data.train.shape, data.train.labels)
    folder.mkdir(parents=True, exist_ok=True)
    model.progress = fit(  # type: ignore[assignment]
        model, objective or build_objective(spec), data, spec, folder, callback, compile, spec.hash
    )
    return model


def same(one: VAE, two: VAE) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def without_time(log: Path) -> list[dict]:
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


def stop_at(step: int) -> Callback:
    """Ctrl-C after `step` steps."""
    sent = []

    def show(status):
        if status.step >= step and not sent:
            sent.append(step)
            os.kill(os.getpid(), signal.SIGINT)

    return replace(WATCHFUL, show=show)


OWN = {"factor": "factor:hidden=8", "mcem": "mcem:leapfrog=3"}  # objectives that hold something themselves


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"ema_decay": 0.9, "clip_norm": 5.0, "schedule": "cosine:warmup=0.1"},
        {"condition": "labels"},
        {"ema_decay": 0.9, "objective": OWN["factor"]},
        {"objective": OWN["mcem"]},
    ],
)
def test_stopped_and_resumed_is_never_stopped_bit_for_bit(tmp_path, extra):
    spec = BASE.model_copy(update=extra)
    whole = trained(spec, tmp_path / "whole")
    with pytest.raises(Interrupted, match="stopped at step 10 of"):
        trained(spec, tmp_path / "halved", stop_at(10))
    with pytest.raises(Interrupted):
        trained(spec, tmp_path / "halved", stop_at(31))
    halved = trained(spec, tmp_path / "halved")
    assert same(whole, halved)
    assert without_time(tmp_path / "whole/log.jsonl") == without_time(tmp_path / "halved/log.jsonl")


@pytest.mark.thorough(0.25, group="processes of a study")
def test_killed_and_resumed_is_never_stopped(tmp_path, monkeypatch):
    """SIGKILL behind a checkpoint: the steps since are taken again, and the log has no line twice."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    whole = trained(BASE, tmp_path / "whole")
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, torch; from pathlib import Path\n"
        "torch.set_num_threads(1)\n"
        "from tests.training.test_loop import BASE, trained\n"
        "from vaelab.training import loop\n"
        "loop.CHECKPOINT_SECONDS = 0.0\n"
        "trained(BASE, Path(sys.argv[1]))\n"
    )
    folder = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, str(script), str(folder)], cwd=Path(__file__).parents[2],
                               env={**os.environ, "PYTHONPATH": "."})  # fmt: skip
    while not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    killed = trained(BASE, folder)
    assert same(whole, killed)
    assert without_time(tmp_path / "whole/log.jsonl") == without_time(folder / "log.jsonl")


def test_the_best_weights_are_those_of_the_best_validation(tmp_path):
    spec = BASE.model_copy(update={"learning_rate": 0.2, "epochs": 20.0})
    model = trained(spec, tmp_path)
    rows = without_time(tmp_path / "log.jsonl")
    best = max(rows, key=lambda row: row["validation"]["elbo"])
    assert best is not rows[-1], "the case does not tell best from last"
    assert model.progress.best_step == best["step"]
    data = load_splits(completed(spec))
    assert validate(model, data.validation, spec.seed)["elbo"] == pytest.approx(best["validation"]["elbo"], abs=1e-6)


def test_without_validation_the_last_weights_or_their_average_are_taken(tmp_path):
    spec = BASE.model_copy(update={"validation": 0.0})
    last = trained(spec, tmp_path / "last")
    averaged = trained(spec.model_copy(update={"ema_decay": 0.95}), tmp_path / "averaged")
    assert "validation" not in without_time(tmp_path / "last/log.jsonl")[0]
    assert not same(last, averaged)
    # the average of a path lies nearer to its start than its end does
    start = build_model(completed(spec), (1, 8, 8))
    far, near = [
        sum((a - b).square().sum() for a, b in zip(m.parameters(), start.parameters(), strict=True)).item()
        for m in (last, averaged)
    ]
    assert near < far


def test_early_stopping_waits_for_its_patience(tmp_path):
    spec = BASE.model_copy(update={"learning_rate": 0.1, "epochs": 60.0, "patience": 3.0})
    model = trained(spec, tmp_path)
    rows = without_time(tmp_path / "log.jsonl")
    assert rows[-1]["epoch"] < 59
    waited = (model.progress.step - model.progress.best_step) * 50 / 1457
    assert 3 <= waited < 3.1
    again = trained(spec, tmp_path)
    assert same(model, again)


def test_a_term_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    inner = build_objective(completed(BASE))

    def breaks(model, x, step):
        loss, draw = inner(model, x, step)
        return loss * torch.where(step == 40, math.nan, 1.0), draw

    with pytest.raises(NonFiniteError, match="loss not finite at step 40") as caught:
        trained(BASE, tmp_path, objective=breaks)
    assert "checkpoint.safetensors" in str(caught.value)
    resumed = trained(BASE, tmp_path)  # the objective mended: from the last good state on
    assert same(resumed, trained(BASE, tmp_path / "whole"))


def test_a_gradient_that_is_not_finite_is_found_in_the_weights(tmp_path):
    inner = build_objective(completed(BASE))

    def breaks(model, x, step):
        loss, draw = inner(model, x, step)
        if int(step) < 58:  # the last step, so that no later loss can show it
            return loss, draw
        weight = next(model.parameters())
        return loss + (weight - weight.detach()).abs().sqrt().sum(), draw

    with pytest.raises(NonFiniteError, match="weights not finite at step 58"):
        trained(BASE, tmp_path, objective=breaks)


def test_a_checkpoint_cut_short(tmp_path):
    with pytest.raises(Interrupted):
        trained(BASE, tmp_path, stop_at(5))
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(RunError, match="is damaged"):
        trained(BASE, tmp_path)


def test_a_checkpoint_of_another_spec(tmp_path):
    with pytest.raises(Interrupted):
        trained(BASE, tmp_path, stop_at(5))
    with pytest.raises(RunError, match="written by another Spec"):
        trained(BASE.model_copy(update={"seed": 9}), tmp_path)


def test_a_clock_that_stands_still_divides_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(loop.time, "perf_counter", lambda: 7.0)
    trained(BASE, tmp_path / "run")
    assert json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[-1])["images_per_second"] > 0


def test_a_full_disk_keeps_what_was_finished(tmp_path, monkeypatch):
    with pytest.raises(Interrupted):
        trained(BASE, tmp_path / "run", stop_at(20))
    before = (tmp_path / "run/checkpoint.safetensors").read_bytes()

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="no room to write"):
        trained(BASE, tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run/checkpoint.safetensors").read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["checkpoint.safetensors", "log.jsonl"]
    assert same(trained(BASE, tmp_path / "run"), trained(BASE, tmp_path / "whole"))


@pytest.mark.thorough(0.08, group="compiled")
def test_without_a_compiler_it_goes_on_eagerly_and_says_so(tmp_path):
    script = (
        "from pathlib import Path\nimport sys, torch\ntorch.set_num_threads(1)\n"
        "from tests.training.test_loop import BASE, trained\n"
        "from vaelab.training.callback import Callback\n"
        "trained(BASE, Path(sys.argv[1]), Callback(say=print, show=lambda s: None), 'always')\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": ".",
        "CXX": "/nonexistent/c++",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")], env=environment, text=True,
                          capture_output=True, cwd=Path(__file__).parents[2], check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "eager steps: the step cannot be compiled here" in done.stdout
    assert without_time(tmp_path / "run/log.jsonl") == without_time(_eager_log(tmp_path))


def _eager_log(tmp_path: Path) -> Path:
    trained(BASE, tmp_path / "eager")
    return tmp_path / "eager/log.jsonl"


EFFECTS = {
    "epochs": 3.0, "batch": 49, "learning_rate": 1e-2, "schedule": "cosine", "clip_norm": 1.0, "ema_decay": 0.9,
    "precision": "bfloat16", "validate_every": 0.5, "seed": 1, "protocol": "binary-threshold", "validation": 0.2,
    "split_seed": 1, "start": "zero", "latent": 4, "model": "ladder", "network": "mlp:hidden=17",
    "likelihood": "tests.training.test_loop:Tempered",
    "objective": "iwae", "test": 0.3, "stratify": True, "shards": 2,
}  # fmt: skip
# Tested on their own, or without a second choice
ELSEWHERE = {"patience", "data", "posterior", "prior", "refit", "condition", "nll_samples"}
OF_FOLDERS = {"resize", "grey", "convert", "labels"}


class Tempered(torch.nn.Module):
    """A Bernoulli of a user's own, its logits halved."""

    protocols = ("binary-dynamic",)
    admitted = ()

    def parameter_shape(self, event_shape):
        return event_shape

    def forward(self, parameters):
        from vaelab.likelihoods import Bernoulli

        return Bernoulli()(parameters / 2)


def test_the_list_of_fields_is_whole():
    assert EFFECTS.keys() | ELSEWHERE | OF_FOLDERS == Spec.model_fields.keys()


@pytest.mark.thorough(0.5, group="trained whole")
@pytest.mark.parametrize("field", EFFECTS)
def test_every_field_has_an_effect(tmp_path, field):
    plain = BASE.model_copy(update={"epochs": 1.0})
    trained(plain, tmp_path / "plain")
    trained(plain.model_copy(update={field: EFFECTS[field]}), tmp_path / "other")
    assert without_time(tmp_path / "plain/log.jsonl") != without_time(tmp_path / "other/log.jsonl")


def test_a_batch_larger_than_the_training_images_is_all_of_them(tmp_path):
    count, said = len(load_splits(completed(BASE)).train), list[str]()
    callback = Callback(said.append, lambda status: None)
    larger = trained(BASE.model_copy(update={"batch": count + 1}), tmp_path / "larger", callback)
    assert same(larger, trained(BASE.model_copy(update={"batch": count}), tmp_path / "all"))
    assert said[0] == f"batch = {count + 1}: each step takes all {count} training images, because there are no more"


def test_training_leaves_splits_alone(tmp_path):
    data = load_splits(completed(BASE))
    assert isinstance(data, Splits)
    before = data.train.images.copy()
    spec = completed(BASE)
    fit(build_model(spec, data.train.shape), build_objective(spec), data, spec, tmp_path, SILENT, "never")
    assert (data.train.images == before).all()


def test_modules_of_ones_own_are_fitted_with_the_defaults(tmp_path, monkeypatch):
    """Eight lines of a user's, and nothing is left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.GELU(), nn.Linear(20, 2 * 8))
    decoder = nn.Sequential(nn.Linear(8, 20), nn.GELU(), nn.Linear(20, 64), nn.Unflatten(1, (1, 8, 8)))
    q = vl.Conditional(encoder, vl.DiagonalGaussian(), (1, 8, 8))
    p = vl.Conditional(decoder, vl.Bernoulli(), (8,))
    model, digits = VAE(vl.StandardNormal(8), q, p), load_data("digits")
    data = Splits(digits.train.some(200), None, digits.test)
    before = validate(model, data.test, 0)["elbo"]
    assert vl.fit(model, vl.Elbo(), data).step == 60  # 30 epochs
    assert validate(model, data.test, 0)["elbo"] > before + 5
    assert not list(tmp_path.iterdir())


def test_without_a_folder_a_training_that_is_stopped_says_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spec, data = completed(BASE), load_splits(BASE)
    made = [build_model(spec, data.train.shape) for _ in range(3)]
    with pytest.raises(Interrupted) as stopped:
        fit(made[0], build_objective(spec), data, spec, callback=stop_at(10), compile="never")
    (folder,) = tmp_path.iterdir()
    assert str(folder) in str(stopped.value)
    fit(made[0], build_objective(spec), data, spec, folder, SILENT, "never")
    fit(made[1], build_objective(spec), data, spec, tmp_path / "whole", SILENT, "never")
    assert same(made[0], made[1])
    with pytest.raises(DataError):
        fit(made[2], build_objective(spec), data.train, spec)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, "whole"}
