"""Runs that are trained as one program: each is what it is alone, to rounding, whatever the others do."""

import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.built import build_model, build_objective, completed, load_splits
from tests.training.test_loop import SILENT, WATCHFUL, stop_at, without_time
from vaelab.models import VAE
from vaelab.objectives.criterion import ELBO
from vaelab.runs.spec import Spec
from vaelab.system.errors import Interrupted, NonFiniteError, SpecError
from vaelab.training import loop
from vaelab.training.callback import Callback
from vaelab.training.checkpoint import step_of
from vaelab.training.diagnosis.post_mortem import PostMortem
from vaelab.training.loop import fit, fit_vmapped
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.compiled import choose_step
from vaelab.training.step.step import TrainState
from vaelab.training.step.vmapped import joint_step, take_vmapped
from vaelab.training.trainer import Trainer

BASE = completed(Spec(data="digits", latent=3, network="mlp:hidden=16", epochs=2, batch=50, learning_rate=3e-3))
OWN = ({"seed": 0}, {"seed": 1}, {"seed": 2, "learning_rate": 1e-2}, {"seed": 3, "schedule": "cosine"})
CASES = {
    "bernoulli": {"clip_norm": 2.0, "ema_decay": 0.9},  # clips at every step
    "gaussian": {"protocol": "8bit", "likelihood": "gaussian:sigma=shared", "objective": "iwae:samples=3"},
    "conv": {"network": "conv:channels=4,8", "objective": "elbo:samples=2"},
    "full, mixture": {"posterior": "full", "prior": "mixture:components=3"},
    "flows": {"posterior": "flow:hidden=8:context=2", "prior": "flow:hidden=8", "network": "mlp:hidden=8"},
    "vamp": {"prior": "vamp:components=4", "objective": "iwae:samples=3:gradient=dreg"},
    "sphere": {"posterior": "von-mises-fisher", "prior": "sphere"},
    "factor": {"objective": "factor:hidden=8", "ema_decay": 0.9},
    "ladder": {"model": "ladder:groups=2,1", "network": "mlp:hidden=16,8", "prior": "normal"},
    "labels": {"condition": "labels", "prior": "mixture:components=3"},
    "levels": {"protocol": "levels", "likelihood": "logistic:components=2", "precision": "bfloat16"},
}
# Of the way that the weights have gone in these steps: what rounding has grown to. In bfloat16 it is 2^-9 of a product.
TOLERANCE = {"float32": 2e-4, "bfloat16": 0.1}


def specs_of(**fields) -> list[Spec]:
    return [completed(BASE.model_copy(update={**fields, **own})) for own in OWN]


def courses_of(specs: list[Spec]) -> list[TrainingSetup]:
    data = load_splits(specs[0])
    models = [build_model(spec, data.train.shape, data.train.labels) for spec in specs]
    first = TrainingSetup.of(models[0], build_objective(specs[0]), data.train, specs[0])
    return [first.beside(model, build_objective(spec), spec) for model, spec in zip(models, specs, strict=True)]


def same_steps(specs: list[Spec], steps: int, compile="never") -> None:
    """All that steps change is what it is for each run alone; steps alone are those of `fit`, uncompiled."""
    alone, vmapped, start = courses_of(specs), courses_of(specs), courses_of(specs)
    one, two = ([TrainState.start(c.model, c.config, c.objective) for c in courses] for courses in (alone, vmapped))
    said: list[str] = []
    step, _ = choose_step(
        joint_step(vmapped, two, 0),
        replace(vmapped[0].work, steps=steps, program=f"pack of {len(specs)} {specs[0]}"),
        compile,
        said.append,
    )
    for t in range(steps):
        take_vmapped(vmapped, step, t)
    assert len(said) == 1, said  # or it fell back to eager steps
    for setup, state in zip(alone, one, strict=True):
        for module in setup.model.modules():
            if hasattr(module, "use_bfloat16"):
                module.use_bfloat16 = setup.config.precision == "bfloat16"
        by = setup.step(state)
        for t in range(steps):
            setup.take(by, t)
    tolerance = TOLERANCE[specs[0].precision]
    for r, (a, b) in enumerate(zip(one, two, strict=True)):
        moved = distance(alone[r].model, start[r].model)
        assert moved > 0.1
        assert distance(alone[r].model, vmapped[r].model) < tolerance * moved
        for kind in ("mean", "square", "average"):
            for x, y in zip(getattr(a, kind), getattr(b, kind), strict=True):
                torch.testing.assert_close(x, y, rtol=0, atol=20 * tolerance * x.abs().max().item() + 1e-12)
        assert len(a.average) == len(b.average)
        torch.testing.assert_close(a.meters.moments, b.meters.moments, rtol=tolerance, atol=0)
        assert torch.equal(a.meters.bad_step, b.meters.bad_step)


def distance(one: VAE, two: VAE) -> float:
    return math.sqrt(
        sum((p - q).square().sum().item() for p, q in zip(one.parameters(), two.parameters(), strict=True))
    )


@pytest.mark.thorough(0.5, group="trained whole")
@pytest.mark.parametrize("case", CASES)
def test_a_step_of_all_is_a_step_of_each(case):
    same_steps(specs_of(**CASES[case]), 20)


def test_the_networks_of_all_run_in_the_precision_that_was_asked_for():
    specs, seen = specs_of(precision="bfloat16"), []

    def objective(model, x, step):
        seen.append((model.posterior.use_bfloat16, model.likelihood.use_bfloat16))
        return build_objective(specs[0])(model, x, step)

    courses = [with_(setup, objective) for setup in courses_of(specs)]
    joint_step(courses, [TrainState.start(setup.model, setup.config) for setup in courses], 0)
    assert set(seen) == {(True, True)}


COMPILED = pytest.mark.skipif(shutil.which("g++") is None and shutil.which("c++") is None, reason="no compiler")


@pytest.mark.thorough(0.08, group="compiled")
@COMPILED
@pytest.mark.parametrize(
    "case", ["gaussian", *(pytest.param(case, marks=pytest.mark.slow) for case in CASES if case != "gaussian")]
)
def test_a_compiled_step_of_all_is_a_step_of_each(case):
    same_steps(specs_of(**CASES[case]), 20, "always")


@pytest.mark.gpu
@pytest.mark.parametrize("compile", ["never", "always"])
def test_on_a_gpu_nothing_waits_for_the_device(compile):
    """Once the step is compiled: torch refuses whatever would synchronise."""
    specs = specs_of(clip_norm=20.0, ema_decay=0.9)
    data = load_splits(specs[0])
    models = [build_model(spec, data.train.shape).cuda() for spec in specs]
    first = TrainingSetup.of(models[0], build_objective(specs[0]), data.train, specs[0])
    courses = [first.beside(model, first.objective, spec) for model, spec in zip(models, specs, strict=True)]
    states = [TrainState.start(setup.model, setup.config) for setup in courses]
    step, _ = choose_step(joint_step(courses, states, 0), courses[0].work, compile, lambda line: None)
    inputs = [torch.stack([setup.batch(0) for setup in courses]), torch.full((4,), 1e-3).cuda()]
    numbers = torch.arange(20).cuda().unbind()
    for number in numbers[:5]:
        step(*inputs, number)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in numbers[5:]:
            step(*inputs, number)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(p.isfinite().all() for setup in courses for p in setup.model.parameters())


def trainers(specs: list[Spec], folder: Path, callback: Callback = SILENT, objective=None) -> list[Trainer]:
    data = load_splits(specs[0])
    found = []
    for setup, spec in zip(courses_of(specs), specs, strict=True):
        (path := folder / spec.hash).mkdir(parents=True, exist_ok=True)
        setup = setup.beside(setup.model, setup.objective, spec) if objective is None else with_(setup, objective)
        found.append(Trainer(setup, data, path, callback, spec.hash, f"seed={spec.seed}"))
    return found


def with_(setup: TrainingSetup, objective) -> TrainingSetup:
    return setup.beside(setup.model, objective, setup.config)


def alone(spec: Spec, folder: Path, callback: Callback = SILENT, objective=None) -> VAE:
    data = load_splits(spec)
    model = build_model(spec, data.train.shape)
    (path := folder / spec.hash).mkdir(parents=True, exist_ok=True)
    fit(model, objective or build_objective(spec), data, spec, path, callback, "never", spec.hash)
    return model


def close(one, two) -> bool:
    """Lines of two logs, but for rounding."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(close(one[key], two[key]) for key in one)
    return one == two if isinstance(one, list | str) else one == pytest.approx(two, rel=2e-3)


def compared(specs: list[Spec], models: list[VAE], folder: Path, reference: Path) -> None:
    """Weights and logs of runs in `folder` with those of each alone."""
    for spec, model in zip(specs, models, strict=True):
        plain = alone(spec, reference)
        start = build_model(spec, (1, 8, 8))
        assert distance(model, plain) < 5e-3 * distance(plain, start)
        mine, theirs = (without_time(path / spec.hash / "log.jsonl") for path in (folder, reference))
        assert len(mine) == len(theirs)
        assert all(close(a, b) for a, b in zip(mine, theirs, strict=True))


MIXED = [
    *specs_of(ema_decay=0.9, clip_norm=20.0)[:2],
    completed(BASE.model_copy(update={"seed": 4, "epochs": 1.0, "ema_decay": 0.9, "clip_norm": 20.0})),
]


def test_runs_of_one_program_are_the_runs_alone_though_one_ends_before_the_others(tmp_path):
    runs = trainers(MIXED, tmp_path / "together")
    assert fit_vmapped(runs, SILENT, "never") == [None] * 3
    compared(MIXED, [run.setup.model for run in runs], tmp_path / "together", tmp_path / "alone")
    assert [run.progress.step for run in runs] == [59, 59, 30]
    assert [run.progress.vmapped for run in runs] == [3, 3, 3]


def test_a_run_that_ends_early_keeps_its_weights_without_validation(tmp_path):
    specs = [spec.model_copy(update={"validation": 0.0}) for spec in MIXED]
    runs = trainers(specs, tmp_path / "together")
    fit_vmapped(runs, SILENT, "never")
    compared(specs, [run.setup.model for run in runs], tmp_path / "together", tmp_path / "alone")


def test_patience_is_each_runs_own(tmp_path):
    tanh = {"network": "mlp:hidden=16:activation=tanh"}
    slow = completed(BASE.model_copy(update={"patience": 0.4, "validate_every": 0.2, **tanh}))
    specs = [slow, slow.model_copy(update={"seed": 1, "learning_rate": 0.2})]  # the second soon has no better value
    said: list[str] = []
    runs = trainers(specs, tmp_path / "together", Callback(said.append, SILENT.show))
    fit_vmapped(runs, SILENT, "never")
    plain = [alone(spec, tmp_path / "alone") for spec in specs]
    steps = [len(without_time(tmp_path / "alone" / spec.hash / "log.jsonl")) for spec in specs]
    assert [len(without_time(run.folder / "log.jsonl")) for run in runs] == steps
    assert runs[0].over
    assert runs[1].over
    assert distance(runs[0].setup.model, plain[0]) < 1e-2
    assert runs[1].progress.step < runs[0].progress.step == runs[0].setup.steps
    assert len([line for line in said if line.startswith("seed=1: no lower validation -ELBO")]) == 1
    assert not [line for line in said if line.startswith("seed=0: no lower")]


def test_the_time_of_a_program_is_shared_among_its_runs(tmp_path, monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(ticks)))
    runs = trainers(MIXED, tmp_path)
    clocks: list[loop.Clock] = []

    class Counting(loop.Clock):
        def __init__(self, first):
            super().__init__(first)
            clocks.append(self)

    monkeypatch.setattr(loop, "Clock", Counting)
    fit_vmapped(runs, SILENT, "never")
    assert sum(run.progress.seconds for run in runs) == pytest.approx(clocks[0].before - clocks[0].began)
    assert runs[2].progress.seconds < runs[0].progress.seconds == runs[1].progress.seconds


@pytest.mark.thorough(0.5, group="trained whole")
@pytest.mark.parametrize("then", ["together", "alone", "half"])
def test_stopped_and_gone_on_with_in_any_company(tmp_path, then):
    specs = specs_of(ema_decay=0.9)[:3]
    with pytest.raises(Interrupted, match="stopped at step 17 of 59"):
        fit_vmapped(trainers(specs, tmp_path / "stopped"), stop_at(17), "never")
    count = {"together": 3, "alone": 0, "half": 2}[then]
    runs = trainers(specs[:count], tmp_path / "stopped") if count else []
    assert all(run.progress.step == 17 for run in runs)
    assert all(step_of(tmp_path / "stopped" / spec.hash / "checkpoint.safetensors") == 17 for spec in specs)
    assert step_of(tmp_path / "none") == 0
    if runs:
        said: list[str] = []
        fit_vmapped(runs, Callback(said.append, SILENT.show), "never")
        assert "resuming from step 17 of 59" in said
    models = [run.setup.model for run in runs] + [alone(spec, tmp_path / "stopped") for spec in specs[count:]]
    compared(specs, models, tmp_path / "stopped", tmp_path / "alone")


def test_a_run_that_began_alone_goes_on_with_others(tmp_path):
    specs = specs_of()[:2]
    for spec in specs:
        with pytest.raises(Interrupted):
            alone(spec, tmp_path / "run", stop_at(12))
    runs = trainers(specs, tmp_path / "run")
    fit_vmapped(runs, SILENT, "never")
    compared(specs, [run.setup.model for run in runs], tmp_path / "run", tmp_path / "alone")


def breaks_in_one(model, x, step):
    """Infinite from step 25 on, for the run whose first weight is the largest: by its learning rate, the third."""
    loss, draw = build_objective(BASE)(model, x, step)
    far = next(model.parameters()).detach().abs().max() > 2
    return loss + torch.where(far & (step >= 25), math.inf, 0.0), draw


breaks_in_one.judged_by = ELBO  # as the runs alone that it is compared with


def test_a_run_that_is_not_finite_ends_alone(tmp_path):
    specs = [*specs_of()[:2], completed(BASE.model_copy(update={"seed": 2, "learning_rate": 0.3}))]
    runs = trainers(specs, tmp_path / "together", objective=breaks_in_one)
    errors = fit_vmapped(runs, WATCHFUL, "never")
    assert [type(error) for error in errors] == [type(None), type(None), NonFiniteError]
    assert "loss not finite at step 25" in str(errors[2])
    assert str(runs[2].folder) in str(errors[2])
    assert PostMortem.read(runs[2].folder).report.step == 25
    compared(specs[:2], [run.setup.model for run in runs[:2]], tmp_path / "together", tmp_path / "alone")


def test_stopped_while_one_run_is_taken_apart_the_others_are_saved(tmp_path):
    specs = [*specs_of()[:2], completed(BASE.model_copy(update={"seed": 2, "learning_rate": 0.3}))]

    def say(line):
        if "to see where" in line:
            os.kill(os.getpid(), signal.SIGINT)

    runs = trainers(specs, tmp_path, Callback(say, SILENT.show), breaks_in_one)
    with pytest.raises(Interrupted, match="where training failed, were taken again"):
        fit_vmapped(runs, WATCHFUL, "never")
    assert [run.checkpoint.exists() for run in runs] == [True, True, False]


class Watching:
    """An objective that depends on the values of one run."""

    def __call__(self, model, x, step):
        loss, draw = build_objective(BASE)(model, x, step)
        return (loss if loss.mean() > 0 else 2 * loss), draw


class Shared:
    """An objective that draws into a tensor, and does not take what is returned."""

    def __call__(self, model, x, step):
        loss, draw = build_objective(BASE)(model, x, step)
        noise = torch.empty(())
        noise.uniform_()
        return loss + noise, draw


@pytest.mark.parametrize(
    ("objective", "words"), [(Watching(), "cannot be vmapped"), (Shared(), "gives other losses under vmap")]
)
def test_parts_that_cannot_be_trained_so_are_refused_at_once(tmp_path, objective, words):
    runs = trainers(specs_of(), tmp_path, objective=objective)
    with pytest.raises(SpecError, match=f"a part of these runs {words}.*leave --vmapped out") as caught:
        fit_vmapped(runs, SILENT, "never")
    assert "\n" not in str(caught.value)
