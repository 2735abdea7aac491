"""Weights and stopping follow what was trained: by its own value on validation images, once no schedule moves."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.built import build_objective, completed, load_splits
from tests.training.step.test_vmapped import specs_of, trainers
from tests.training.test_loop import BASE, SILENT, same, stop_at, trained, without_time
from tests.traps.small import STILL, Recorder, build, dataset, fitted, noise, spec_of, splits
from vaelab.objectives.criterion import Criterion, Ramp
from vaelab.objectives.weighted import Elbo
from vaelab.randomness.seeds import derive
from vaelab.runs.presets import PRESETS
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import Interrupted, NonFiniteError, RunError, SpecError
from vaelab.system.tensor_file import read_tensors
from vaelab.training.callback import Callback
from vaelab.training.checkpoint import step_of
from vaelab.training.loop import fit_vmapped
from vaelab.training.validation import own_loss

SMALL = Spec(data="digits", latent=20, network="mlp:hidden=64", epochs=20, learning_rate=3e-3, nll_samples=2)


def listening() -> tuple[list[str], Callback]:
    said: list[str] = []
    return said, Callback(said.append, lambda status: None)


# The objective; the fewest steps of 292 behind which the weights may be chosen; the least rate that they have, in nats.
# Chosen by the ELBO they are those of step 15, with rates of 1.2 to 3.0.
CASES = {
    "capacity:capacity=15:steps=150": (151, 12.0),
    "beta:beta=0.1": (200, 15.0),
    "beta:beta=1:free_nats=2": (200, 20.0),
}


@pytest.mark.thorough(0.5, group="trained whole")
@pytest.mark.parametrize("objective", CASES)
def test_the_weights_are_those_of_what_was_trained(objective, tmp_path):
    fewest, rate = CASES[objective]
    progress = trained(SMALL.model_copy(update={"objective": objective}), tmp_path).progress
    log = without_time(tmp_path / "log.jsonl")
    kept = next(row for row in log if row["step"] == progress.best_step)
    assert progress.best_step >= fewest
    assert kept["validation"]["rate"] > rate
    assert kept == min((row for row in log if row["judged"]), key=lambda row: row["validation"]["loss"])
    assert progress.best_loss == kept["validation"]["loss"]
    assert [row["judged"] for row in log] == [row["step"] > 150 or "capacity" not in objective for row in log]


def test_the_result_says_what_weights_were_chosen_by(tmp_path):
    run = train(SMALL.model_copy(update={"objective": "iwae", "epochs": 1.0}), tmp_path, compile="never")
    assert run.result["criterion"] == "validation -IWAE bound, K = 5"
    assert run.result["best_loss"] == run.log[-1]["validation"]["loss"]
    assert run.log[-1]["criterion"] == "-IWAE bound, K = 5"


def test_patience_waits_for_the_end_of_a_warm_up(tmp_path):
    """The ELBO falls while the weight of the rate is small: patience that counted then stopped the run at step 45."""
    spec = SMALL.model_copy(update={"objective": "beta:beta=1:warmup=250", "patience": 2.0, "epochs": 22.0})
    progress = trained(spec, tmp_path).progress
    assert progress.step > 250 + 2 * 1457 / 100
    assert progress.best_step > 250


@pytest.mark.parametrize(("cycle", "stops"), [(0, 21 + 6), (40, 21 + 6), (20, 60)])
def test_patience_counts_from_where_no_schedule_moves(tmp_path, cycle, stops):
    """Where nothing gets better: 2 epochs of 3 steps behind the first validation that counts; never while it moves."""
    spec = spec_of().model_copy(update={"learning_rate": STILL, "epochs": 20.0, "patience": 2.0})
    spec = spec.model_copy(update={"objective": f"beta:beta=1:warmup=20:cycle={cycle}"})
    _, rows = fitted(spec, splits("grey"), tmp_path)
    _, header = read_tensors(tmp_path / "checkpoint.safetensors")
    progress = json.loads(header["progress"])
    assert progress["best_step"] == (0 if cycle == 20 else 21)
    assert progress["step"] == stops + (cycle != 20)
    assert [row["judged"] for row in rows] == [row["step"] > 20 and cycle != 20 for row in rows]


def test_the_last_weights_are_kept_and_said_to_be_where_a_schedule_did_not_end(tmp_path):
    fields = PRESETS["warm-up-vae"].fields
    said, callback = listening()
    run = train(SMALL.model_copy(update={**fields, "epochs": 3.0}), tmp_path, compile="never", callback=callback)
    assert run.result["best_step"] == run.result["steps"] == 44
    assert run.result["criterion"] == "none, the last step: the objective's schedule had not ended"
    assert run.result["best_loss"] is None
    assert "the last weights are kept: the objective's schedule had not ended before them" in said
    for row in run.log:
        assert not row["judged"]
        assert row["validation"]["loss"] == -row["validation"]["elbo"]  # with the schedule at its end


def test_without_validation_the_result_says_so(tmp_path):
    run = train(SMALL.model_copy(update={"validation": 0.0, "epochs": 0.1}), tmp_path, compile="never")
    assert run.result["criterion"] == "none, the last step: no validation images"
    assert "criterion" not in run.log[-1]


@pytest.mark.parametrize(
    "fields",
    [
        {"objective": "iwae:samples=3", "ema_decay": 0.9},
        {"objective": "beta-tc", "condition": "labels"},
        {"objective": "mmd", "protocol": "8bit", "likelihood": "gaussian:sigma=0.1"},
    ],
)
def test_the_loss_of_the_log_is_that_of_the_weights_that_are_kept(tmp_path, fields):
    spec = BASE.model_copy(update=fields)
    data, objective = load_splits(completed(spec)).validation, build_objective(completed(spec), 1457)
    model = trained(spec, tmp_path, objective=objective)
    loss = own_loss(objective, model, data, 0, 50, derive(spec.seed, "validation"))
    assert loss == pytest.approx(model.progress.best_loss, rel=1e-6)
    row = next(row for row in without_time(tmp_path / "log.jsonl") if row["step"] == model.progress.best_step)
    assert row["validation"]["loss"] == model.progress.best_loss
    assert abs(row["validation"]["loss"] - row["train"]["loss"]) < 0.2 * abs(row["train"]["loss"])


def test_the_weights_of_runs_that_are_trained_together_are_chosen_alike(tmp_path):
    specs = specs_of(objective="beta:beta=1:free_nats=1:warmup=40")[:2]
    runs = trainers(specs, tmp_path / "together")
    fit_vmapped(runs, SILENT, "never")
    for run, spec in zip(runs, specs, strict=True):
        plain = trained(spec, tmp_path / spec.hash)
        assert run.progress.best_step == plain.progress.best_step == 59  # the first validation was at step 30
        assert run.progress.best_loss == pytest.approx(plain.progress.best_loss, rel=2e-3)
        rows = without_time(run.folder / "log.jsonl")
        assert [(row["step"], row["judged"]) for row in rows] == [(30, False), (59, True)]
        assert {row["criterion"] for row in rows} == {"distortion + rate, 1 nats of each part free"}


class Counting(nn.Module):
    """An objective that holds a count of its calls, and whose loss is nothing but pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, model, x, step):
        self.calls += 1
        loss, draw = Elbo()(model, x, step)
        return loss + self.calls - self.calls.detach(), draw


def test_a_validation_changes_nothing_that_an_objective_holds(tmp_path):
    whole, halved = Counting(), Counting()
    one = trained(BASE, tmp_path / "whole", objective=whole)
    with pytest.raises(Interrupted):
        trained(BASE, tmp_path / "halved", stop_at(31), objective=Counting())
    two = trained(BASE, tmp_path / "halved", objective=halved)
    assert whole.calls == halved.calls == 59
    assert whole.training
    assert same(one, two)
    assert without_time(tmp_path / "whole/log.jsonl") == without_time(tmp_path / "halved/log.jsonl")


@pytest.mark.parametrize("batch", range(1, 14))
def test_every_image_counts_once_in_batches_of_one_size(batch):
    images, sizes = noise(13), []
    data = dataset(images, "grey")

    def brightness(model, x, step):
        sizes.append((len(x), int(step), model.training))
        return x.flatten(1).sum(1), None

    before = torch.get_rng_state()
    model = build().train()
    value = own_loss(brightness, model, data, 7, batch, 0)
    assert value == pytest.approx(images.astype(np.float64).sum() / 13 / 255, rel=1e-6)
    assert set(sizes) == {(batch, 7, False)}
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert value == own_loss(brightness, model, data.take(np.random.default_rng(0).permutation(13)), 7, batch, 0)


def test_sums_over_images_are_in_float64():
    def huge(model, x, step):
        return torch.full((len(x),), 2.0**24 + 2), None

    assert own_loss(huge, build(), dataset(noise(13), "grey"), 0, 1, 0) == 2.0**24 + 2


def test_the_noise_is_the_same_at_each_validation_and_another_for_another_seed():
    model, data = build(), dataset(noise(13), "binary-dynamic")
    values = [own_loss(Elbo(), model, data, 0, 5, seed) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    x = Recorder(Elbo())
    for _ in range(2):
        own_loss(x, model, data, 0, 5, 0)
    assert all(
        torch.equal(a[0], b[0]) and torch.equal(a[1].z, b[1].z) for a, b in zip(x.seen[:3], x.seen[3:], strict=True)
    )
    assert not torch.equal(x.seen[0][1].z, x.seen[1][1].z)


class Rising:
    """An objective that declares no schedule, or one of 4 steps."""

    def __init__(self, declared: bool) -> None:
        if declared:
            self.judged_by = Criterion(name="what rises", ramp=Ramp(4))

    def __call__(self, model, x, step):
        loss, draw = Elbo()(model, x, step)
        return 0 * loss + step, draw


@pytest.mark.parametrize(("declared", "name", "loss"), [(False, "loss of Rising", 5), (True, "what rises", 4)])
def test_an_objective_of_a_users_own_is_judged_with_its_schedule_at_its_end(declared, name, loss, tmp_path):
    _, rows = fitted(spec_of(), splits("grey"), tmp_path, Rising(declared))  # 6 steps, in 2 epochs
    assert [(row["criterion"], row["validation"]["loss"]) for row in rows] == [(name, loss)] * 2
    assert [row["judged"] for row in rows] == [not declared, True]


def test_a_validation_without_a_number_stops_the_run(tmp_path):
    def breaks(model, x, step):
        loss, draw = Elbo()(model, x, step)
        return loss if model.training else loss * torch.nan, draw

    with pytest.raises(NonFiniteError, match="validation loss of breaks is nan after step 3;"):
        fitted(spec_of(), splits("grey"), tmp_path, breaks)


def test_too_few_validation_images_for_an_objective_that_compares_them(tmp_path):
    spec = spec_of().model_copy(update={"objective": "mmd"})
    with pytest.raises(SpecError, match=r"1 validation images, with objective mmd .*set a larger --validation"):
        fitted(spec, splits("grey", validation=1), tmp_path)
    fitted(spec, splits("grey", validation=2), tmp_path)


def test_a_checkpoint_that_chose_by_the_elbo_whatever_was_trained_is_refused(tmp_path):
    with pytest.raises(Interrupted):
        trained(BASE, tmp_path, stop_at(31))
    path = tmp_path / "checkpoint.safetensors"
    tensors, header = read_tensors(path)
    header["progress"] = header["progress"].replace("best_loss", "best_elbo")
    save_file(tensors, path, header)
    for act in (lambda: trained(BASE, tmp_path), lambda: step_of(path)):
        with pytest.raises(RunError, match=r"written by another version of vaelab; .*; delete it"):
            act()
    path.unlink()
    assert trained(BASE, tmp_path).progress.step == 59
    assert [row["step"] for row in without_time(tmp_path / "log.jsonl")] == [30, 59]
