"""What is computed from training images between steps: when, of which weights, and that it is what a run keeps."""

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.built import build_model, completed, load_splits
from tests.training.step.test_vmapped import distance, trainers
from tests.training.test_loop import BASE, SILENT, same, stop_at, trained, without_time
from vaelab.runs.train import train
from vaelab.system.errors import Interrupted
from vaelab.training import trainer as training
from vaelab.training import validation
from vaelab.training.calibrate import calibrate
from vaelab.training.loop import fit_vmapped

OPTIMAL = BASE.model_copy(update={"likelihood": "gaussian:sigma=optimal", "protocol": "8bit"})


def log_sigma(model) -> float:
    return model.likelihood.head.log_sigma.item()


def test_a_run_ends_with_the_sigma_of_all_training_images_and_its_best_weights(tmp_path):
    run = train(OPTIMAL.model_copy(update={"learning_rate": 0.05}), tmp_path, compile="never")
    assert load_file(run.path / "model.safetensors")["likelihood.head.log_sigma"].item() != pytest.approx(
        math.log(0.25)
    )
    model, data = run.model(), run.data().train
    kept = log_sigma(model)
    calibrate(model, data, seed=run.spec.seed)
    assert log_sigma(model) == kept
    x = torch.from_numpy(data.images).float().add(0.5) / 256
    with torch.no_grad():
        error = (x - model(x).likelihood.mean).square().mean().item() + 1 / (12 * 256**2)  # of the pixels' noise
    assert kept == pytest.approx(0.5 * math.log(error), abs=0.01)


def test_what_is_validated_has_the_sigma_of_the_weights_as_they_are(tmp_path, monkeypatch):
    """Of their moving average, where one is kept; and not of all training images, where they are many."""
    seen = []
    monkeypatch.setattr(training, "CALIBRATED_ON", 300)
    validate = validation.validate

    def watched(model, data, seed):
        mine = log_sigma(model)
        calibrate(model, load_splits(completed(spec)).train, seed, 300)
        seen.append((mine, log_sigma(model)))
        return validate(model, data, seed)

    monkeypatch.setattr(validation, "validate", watched)
    spec = OPTIMAL.model_copy(update={"ema_decay": 0.9})
    model = trained(spec, tmp_path)
    assert len(seen) == 2
    assert all(mine == expected for mine, expected in seen)
    assert seen[0] != seen[1]
    assert log_sigma(model) not in seen[-1]  # of all


@pytest.mark.thorough(0.5, group="trained whole")
@pytest.mark.parametrize("extra", [{}, {"ema_decay": 0.9}, {"validation": 0.0}])
def test_stopped_and_gone_on_with_it_is_the_run_that_was_not(tmp_path, extra):
    spec = OPTIMAL.model_copy(update=extra)
    whole = trained(spec, tmp_path / "whole")
    for step in (10, 40):
        with pytest.raises(Interrupted):
            trained(spec, tmp_path / "halved", stop_at(step))
    halved = trained(spec, tmp_path / "halved")
    assert same(whole, halved)
    assert without_time(tmp_path / "whole/log.jsonl") == without_time(tmp_path / "halved/log.jsonl")


def test_each_of_runs_that_are_one_program_has_its_own(tmp_path):
    specs = [completed(OPTIMAL.model_copy(update={"seed": seed})) for seed in (0, 1, 2)]
    runs = trainers(specs, tmp_path / "together")
    assert fit_vmapped(runs, SILENT, "never") == [None] * 3
    alone = [trained(spec, tmp_path / str(spec.seed)) for spec in specs]
    for run, model in zip(runs, alone, strict=True):
        start = build_model(completed(run.config), (1, 8, 8))
        assert distance(run.setup.model, model) < 5e-3 * distance(model, start)
        assert log_sigma(run.setup.model) == pytest.approx(log_sigma(model), abs=1e-4)
    assert len({log_sigma(run.setup.model) for run in runs}) == 3


def test_the_networks_run_in_float32_as_they_do_where_they_are_measured(tmp_path):
    spec = OPTIMAL.model_copy(update={"precision": "bfloat16"})
    model = trained(spec, tmp_path)
    kept = log_sigma(model)
    calibrate(model, load_splits(completed(spec)).train, spec.seed)
    assert log_sigma(model) == kept


def test_sigma_at_its_floor_is_said(tmp_path):
    from vaelab.training.diagnosis.findings import find_findings

    model = build_model(completed(OPTIMAL), (1, 8, 8))
    data = replace(load_splits(completed(OPTIMAL)).train, protocol="grey")
    assert "sigma-collapse" not in {finding.kind for finding in find_findings(model, data, 5.0, 0)}
    model.likelihood.head.log_sigma.fill_(-6.0)
    assert "sigma-collapse" in {finding.kind for finding in find_findings(model, data, 5.0, 0)}
