import os
import shutil

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.built import build_model, build_objective
from vaelab.data import Dataset
from vaelab.data.protocol import protocol
from vaelab.objectives.losses import on_device
from vaelab.objectives.weighted import Elbo
from vaelab.randomness.noise import key_of
from vaelab.runs.spec import Spec
from vaelab.system.private import make_trusted
from vaelab.training.setup import TrainingSetup
from vaelab.training.step import compiled
from vaelab.training.step.compiled import Work, _mark, choose_step, step_flops
from vaelab.training.step.cuda_graph import as_cuda_graph
from vaelab.training.step.step import TrainState, make_step

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("c++") is None, reason="no compiler to test with"
)

SPECS = {
    "mnist": Spec(protocol="binary-dynamic", clip_norm=50, ema_decay=0.9, network="mlp:hidden=300"),
    "small": Spec(protocol="binary-dynamic", latent=3, network="mlp:hidden=16", objective="iwae:samples=2"),
    "dreg": Spec(
        protocol="binary-dynamic",
        latent=3,
        network="mlp:hidden=16",
        prior="vamp:components=4",
        objective="iwae:samples=3:gradient=dreg",
    ),
    "conv": Spec(protocol="8bit", latent=5, likelihood="gaussian:sigma=pixel", network="conv:channels=4,8"),
}
LATENT = {  # priors and posteriors, at one size
    f"{prior} {posterior}": Spec(
        protocol="binary-dynamic", latent=3, network="mlp:hidden=16", prior=prior, posterior=posterior
    )
    for prior, posterior in (
        ("normal", "full"), ("flow:hidden=8", "flow:hidden=8"), ("mixture", "diagonal"),
        ("vamp:components=10", "diagonal"), ("sphere", "von-mises-fisher"),
        ("codes", "codes:size=8:levels=2"), ("transformer:width=8", "codes:size=8"),
    )
}  # fmt: skip
LATENT["ladder"] = Spec(
    protocol="binary-dynamic", latent=3, network="residual:channels=4,8:groups=2", model="ladder:groups=1,2"
)
SPECS |= LATENT
OWN = {  # objectives that hold something themselves
    name: Spec(protocol="binary-dynamic", latent=3, network="mlp:hidden=16", objective=objective)
    for name, objective in (("factor", "factor:hidden=16"), ("mcem", "mcem:leapfrog=3"))
}
SPECS |= OWN
QUICK = ("mnist", "conv")  # half a minute to compile each
SPECS["labels"] = SPECS["small"].model_copy(update={"condition": "labels"})


WORK = Work(1, 0, "a", torch.device("cpu"))


def after(name: str, steps: int, compile, device: str = "cpu") -> tuple[torch.nn.Module, TrainState, list[float]]:
    """A model, its state, and the loss of each step, after some steps on images made here."""
    spec = SPECS[name]
    side = 8 if spec.latent == 3 else 28
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (300, 1, side, side), dtype=torch.uint8, generator=generator)
    images[:, :, : side // 2] = 0  # something to learn
    images = images.to(device)
    labels = torch.arange(300) % 3
    model = build_model(spec, (1, side, side), labels.numpy()).to(device)
    codes = model.condition(labels)
    objective = on_device(build_objective(spec), torch.device(device))
    state = TrainState.start(model, spec, objective)
    key = key_of(0, device)
    plain = make_step(model, objective, protocol(spec.protocol).pixels, state, spec, key, 0.0)
    said: list[str] = []
    step, _ = choose_step(plain, Work(steps, 0, f"{name} {device}", images.device), compile, said.append)
    losses = []
    for t in range(steps):
        state.meters.reset()
        chosen = (torch.arange(100) + 7 * t) % 300
        told = () if codes is None else (codes[chosen],)
        step(images[chosen], torch.tensor(1e-3, device=device), torch.tensor(t).to(device), *told)
        losses.append(state.meters.read()["loss"])
    assert len(said) == 1, said  # or eager steps are compared with eager ones
    return model, state, losses


def assert_same(name: str, one: tuple, two: tuple) -> None:
    """All that steps change, to rounding, while rounding has not had the steps to grow."""
    (model, state, losses), (other, others, other_losses) = one, two
    start, _, _ = after(name, 0, "never")
    moved = sum((p.cpu() - q).abs().sum() for p, q in zip(model.parameters(), start.parameters(), strict=True))
    apart = sum((p - q.cpu()).abs().sum() for p, q in zip(model.parameters(), other.parameters(), strict=True))
    assert apart < 1e-3 * moved
    for kind in ("mean", "square", "average"):
        for a, b in zip(getattr(state, kind), getattr(others, kind), strict=True):
            torch.testing.assert_close(a, b.cpu(), rtol=0.02, atol=2e-3 * a.abs().max().item())
    torch.testing.assert_close(state.meters.moments, others.meters.moments.cpu(), rtol=1e-4, atol=0)
    assert torch.equal(state.meters.bad_step, others.meters.bad_step.cpu())
    assert losses == pytest.approx(other_losses, rel=1e-4)


@pytest.mark.thorough(0.08, group="compiled")
@needs_compiler
@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in SPECS])
def test_compiled_equals_eager(name):
    assert_same(name, after(name, 60, "never"), after(name, 60, "always"))


@pytest.mark.thorough(0.08, group="compiled")
@needs_compiler
def test_the_curve_of_compiled_training_is_that_of_eager_training():
    """For 200 steps, the loss of every one."""
    _, _, eager = after("mnist", 200, "never")
    _, _, compiled = after("mnist", 200, "always")
    assert compiled == pytest.approx(eager, rel=1e-4)
    assert eager[-1] < 0.9 * eager[0]


def test_the_work_of_a_step_is_counted_from_the_shapes():
    model = build_model(Spec(latent=20, network="mlp:hidden=500"), (1, 28, 28))
    weights = 784 * 500 + 500 * 40 + 20 * 500 + 500 * 784
    before = torch.get_rng_state()
    assert step_flops(model, batch=100) == 3 * 100 * 2 * weights
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("network", ["mlp:hidden=30,20", "conv:channels=8,16:hidden=30", "article-conv:maps=5"])
def test_the_work_of_a_step_is_what_the_library_counts(network):
    model = build_model(Spec(latent=4, network=network), (3, 17, 20))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 17, 20))
    assert step_flops(model, batch=7) == 3 * 7 * counter.get_total_flops()
    assert not any(module._forward_hooks for module in model.modules())


def with_others(model, x, step):
    """Draws that Noise does not stand in for."""
    loss, draw = Elbo()(model, x, step)
    return loss + torch.nn.functional.dropout(loss.detach(), 0.5) + torch.randint(0, 100, loss.shape), draw


@pytest.mark.parametrize("compile", ["never", pytest.param("always", marks=[needs_compiler, pytest.mark.slow])])
def test_draws_of_other_kinds_are_a_function_of_the_step_too(compile):
    """Whatever was drawn before, and the same ones compiled: a run that goes on is the run that was not stopped."""
    spec = Spec(latent=3, network="mlp:hidden=16", protocol="binary-static", batch=20)
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8)
    losses = []
    for before in (0, 1):
        data = Dataset("noise", "train", images, None, "binary-static")
        setup = TrainingSetup.of(build_model(spec, (1, 8, 8)), with_others, data, spec)
        state = TrainState.start(setup.model, spec)
        said: list[str] = []
        step, _ = choose_step(setup.step(state), setup.work, compile if before else "never", said.append)
        torch.manual_seed(before)
        setup.take(step, 0)
        assert len(said) == 1, said  # or it fell back to eager steps
        losses.append(state.meters.read()["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vaelab" / "programs"


def choice(steps=0, flops=0, compile="auto", program="", before=None):
    """Whether a step would be compiled, and what is said."""
    said = []

    def step(images, learning_rate, number):
        pass

    work = Work(steps, int(flops), program, torch.device("cpu"))
    chosen, compiled = choose_step(step, work, compile, said.append, before)
    assert (chosen is not step) == compiled
    (line,) = said
    assert line.startswith("compiling" if compiled else "eager steps")
    return compiled, line


@pytest.mark.parametrize(
    ("steps", "flops", "compile", "compiled"),
    [
        (18_000, 5e8, "auto", True),  # MNIST, 30 epochs
        (1_200, 5e8, "auto", False),
        (6_000, 2.2e9, "auto", True),  # SVHN slice, 740 epochs
        (2_430, 2.2e9, "auto", False),
        (10, 1e6, "always", True),
        (10**6, 1e9, "never", False),
    ],
)
def test_compiling_is_decided_by_the_work_ahead_and_said(steps, flops, compile, compiled, cache):
    assert choice(steps, flops, compile)[0] == compiled


def test_what_the_cache_holds_is_compiled_for_less_work(cache):
    work = 2_000, 5e8
    assert not choice(*work, program="a")[0]
    make_trusted(cache)
    _mark("cpu a").touch()
    compiled, line = choice(*work, program="a")
    assert compiled
    assert "its compiled form is kept" in line
    assert not choice(*work, program="b")[0]
    assert not choice(200, 5e8, program="a")[0]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX's owners")
@pytest.mark.parametrize(("which", "mode"), [("programs", 0o777), ("programs", 0o755), ("vaelab", 0o775), (".", 0o775)])
def test_a_folder_that_was_open_to_others_gives_no_program(which, mode, cache, monkeypatch):
    make_trusted(cache)
    _mark("cpu a").touch()
    (cache / "theirs.so").write_bytes(b"code of somebody else")
    at = {"programs": cache, "vaelab": cache.parent, ".": cache.parent.parent}[which]
    at.chmod(mode)
    used, said = [], list[str]()
    monkeypatch.setattr(compiled, "program", lambda step, inputs, folder, say: used.append(folder) or step)
    assert not choice(2_000, 5e8, program="a")[0]  # nothing is taken for kept
    choose_step(lambda *inputs: None, WORK, "always", said.append)[0]()
    assert used == [None]
    assert f"{at}, which is open to other users" in said[1]
    assert at.stat().st_mode & 0o777 == mode  # and it is not closed: what is in it would be trusted next time
    assert [path.name for path in cache.glob("*.so")] == ["theirs.so"]


@pytest.mark.parametrize("before", [True, False])
def test_a_run_that_goes_on_is_compiled_if_it_was(before, cache):
    for steps in (10, 10**6):
        compiled, line = choice(steps, 5e8, before=before)
        assert compiled == before
        assert "as this run began" in line
    assert choice(10**6, 5e8, "never", before=True)[0] is False


@pytest.mark.thorough(0.08, group="compiled")
@needs_compiler
def test_a_program_is_marked_as_kept_once_it_is_compiled(cache):
    def step(images, learning_rate, number):
        images.add_(1)

    chosen, _ = choose_step(step, WORK, "always", lambda line: None)
    assert not _mark("cpu a").exists()
    x = torch.zeros(3)
    for _ in range(2):
        chosen(x, torch.tensor(0.0), torch.tensor(0))
    assert _mark("cpu a").exists()
    assert torch.equal(x, torch.full((3,), 2.0))


@pytest.mark.thorough(0.08, group="compiled")
@needs_compiler
def test_a_cache_that_cannot_be_is_no_fault(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    def step(images, learning_rate, number):
        images.add_(1)

    said, x = [], torch.zeros(3)
    chosen, _ = choose_step(step, WORK, "always", said.append)
    chosen(x, torch.tensor(0.0), torch.tensor(0))
    assert torch.equal(x, torch.ones(3))
    assert len(said) == 1


def test_courses_that_compute_the_same_have_one_program():
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8)
    data = Dataset("noise", "train", images, None, "grey")  # which both likelihoods below admit

    def program(**changes):
        spec = Spec(latent=3, network="mlp:hidden=16", protocol="grey", batch=20).model_copy(update=changes)
        return TrainingSetup.of(build_model(spec, (1, 8, 8)), build_objective(spec), data, spec).work.program

    same = [{"seed": 5}, {"learning_rate": 0.1}, {"epochs": 3}, {"schedule": "cosine"}]
    other = [{"latent": 4}, {"batch": 10}, {"clip_norm": 1.0}, {"ema_decay": 0.9}, {"precision": "bfloat16"}]
    other += [{"network": "mlp:hidden=8"}, {"objective": "iwae:samples=2"}, {"likelihood": "gaussian:sigma=1"}]
    assert {program(**changes) for changes in same} == {program()}
    assert len({program(), *(program(**changes) for changes in other)}) == 1 + len(other)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compile", ["never", "always"])
@pytest.mark.parametrize("name", SPECS)
def test_steps_replayed_on_a_gpu_are_those_of_a_processor(name, compile):
    """The noise is the same one, so the weights are, to rounding."""
    assert_same(name, after(name, 60, "never"), after(name, 60, compile, "cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_step_that_cannot_be_recorded_goes_on_as_it_is():
    said, x = [], torch.zeros(3, device="cuda")

    def step(images, learning_rate, number):
        images.add_(1 + number.item())  # asks the device

    take = as_cuda_graph(step, said.append)
    for t in range(6):
        take(x, torch.tensor(0.0, device="cuda"), torch.tensor(t, device="cuda"))
    assert torch.equal(x.cpu(), torch.full((3,), 6.0 + 15))
    assert "cannot be recorded" in said[0]
