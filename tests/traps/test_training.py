"""Training: what a step does, what is kept of it, and by what the best weights are chosen."""

import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.built import build_objective
from tests.thorough import each_value
from tests.traps.small import (
    SILENT,
    STILL,
    Recorder,
    build,
    build_for,
    dataset,
    fitted,
    noise,
    spec_of,
    splits,
    step_once,
)
from vaelab.data import Splits
from vaelab.data.protocol import PROTOCOLS, protocol
from vaelab.objectives import OBJECTIVES
from vaelab.objectives.bounds import distortion, rate
from vaelab.objectives.importance import Iwae
from vaelab.objectives.weighted import Elbo
from vaelab.randomness.noise import key_of
from vaelab.runs.spec import Spec
from vaelab.system.tensor_file import read_tensors
from vaelab.training.config import TrainingConfig
from vaelab.training.loop import fit
from vaelab.training.setup import bfloat16
from vaelab.training.step.step import TrainState, make_step

BINARY = "binary-threshold"


def barely_a_kl(model, x, step):
    """An objective of a user's own: the rate weighs next to nothing."""
    draw = model(x)
    return distortion(draw) + 0.00025 * rate(draw), draw


def test_t02_validation_is_by_the_bound_whatever_is_optimised(tmp_path):
    """T2: a KL weight of 0.00025 in training, another in validation, and the checkpoint by the latter's name."""
    spec = spec_of().model_copy(update={"learning_rate": STILL, "epochs": 1.0})
    objectives = {"elbo": Elbo(), "iwae": Iwae(samples=5), "own": barely_a_kl}
    rows = {name: fitted(spec, splits(BINARY), tmp_path / name, o)[1][-1] for name, o in objectives.items()}
    assert len({row["train"]["loss"] for row in rows.values()}) == 3
    bounds = [{k: v for k, v in row["validation"].items() if k != "loss"} for row in rows.values()]
    assert bounds == bounds[:1] * 3
    for row in rows.values():
        for part in ("train", "validation"):  # the ELBO under its name, the objective under the name of the loss
            assert row[part]["elbo"] == pytest.approx(-row[part]["rate"] - row[part]["distortion"], rel=1e-9)
    own = rows["own"]["train"]
    assert own["loss"] == pytest.approx(own["distortion"] + 0.00025 * own["rate"], rel=1e-6)


def test_t02_the_best_weights_are_those_of_the_best_value_of_what_was_trained(tmp_path):
    """T2: model selection by another objective than the one that is trained, or without a word of which."""
    spec = spec_of().model_copy(update={"learning_rate": 0.5, "epochs": 12.0})
    recorder = Recorder(barely_a_kl)
    model, rows = fitted(spec, splits(BINARY), tmp_path, recorder)
    by_bound = max(rows, key=lambda row: -row["validation"]["rate"] - row["validation"]["distortion"])
    best = min(rows, key=lambda row: row["validation"]["loss"])
    assert best is not by_bound, "the case does not tell one from the other"
    assert {(row["criterion"], row["judged"]) for row in rows} == {("loss of barely_a_kl", True)}
    for row in rows:  # of one draw each, and not the same
        seen = row["validation"]
        assert seen["loss"] == pytest.approx(seen["distortion"] + 0.00025 * seen["rate"], rel=0.1)
    again, _ = fitted(spec.model_copy(update={"epochs": best["epoch"]}), splits(BINARY), tmp_path / "short", recorder)
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_t08_half_precision_is_at_work_whatever_the_loss(likelihood, tmp_path):
    """T8: mixed precision switched off without a word where the loss is a cross-entropy."""
    model, types = build(likelihood), set()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda m, x, y: types.add(y.dtype) if torch.is_grad_enabled() else None)
    recorder = Recorder(Elbo())
    spec = spec_of().model_copy(update={"likelihood": likelihood, "precision": "bfloat16"})
    fitted(spec, splits("grey"), tmp_path, recorder, model)
    assert types == {torch.bfloat16}
    assert {term.dtype for _, d in recorder.seen for term in (d.log_lik, d.log_post, d.kl)} == {torch.float32}


def test_t08_small_gradients_survive_half_precision():
    """T8: float16 without a scaler, in which they underflow."""
    model, data = build(), dataset(noise(20), BINARY)

    def tiny(model, x, step):
        loss, draw = Elbo()(model, x, step)
        return loss * 1e-10, draw

    exact = step_once(model, Elbo(), data)
    with bfloat16(model, True):
        gradients = step_once(model, tiny, data)
    for one, two in zip(gradients, exact, strict=True):
        torch.testing.assert_close(one * 1e10, two, rtol=0, atol=0.05 * two.abs().max().item())


def test_t09_every_epoch_has_an_order_of_its_own(tmp_path):
    """T9: a sampler that is never told the epoch, and gives the same order in each."""
    images = noise(20) * 0 + torch.arange(20, dtype=torch.uint8).reshape(20, 1, 1, 1).numpy()
    data = Splits(dataset(images, "grey", "train"), None, dataset(images, "grey"))
    recorder = Recorder(Elbo())
    fitted(spec_of().model_copy(update={"batch": 7, "epochs": 3.0, "validation": 0.0}), data, tmp_path, recorder)
    seen = torch.cat([(x[:, 0, 0, 0] * 255).round().int() for x, _ in recorder.seen])[:60].reshape(3, 20)
    assert torch.equal(seen.sort(1).values, torch.arange(20).int().expand(3, 20))
    assert len({tuple(epoch.tolist()) for epoch in seen}) == 3


def test_t10_a_checkpoint_holds_the_current_weights_with_their_optimiser_and_the_best_apart(tmp_path):
    """T10: the best weights saved beside the optimiser's present state."""
    spec, data = spec_of().model_copy(update={"learning_rate": 0.5, "epochs": 12.0}), splits(BINARY)
    best, rows = fitted(spec, data, tmp_path / "best")
    last, _ = fitted(spec, Splits(data.train, None, data.test), tmp_path / "last")  # the same steps, none chosen
    kept, header = read_tensors(tmp_path / "best/checkpoint.safetensors")
    state, _ = read_tensors(tmp_path / "last/checkpoint.safetensors")
    for name, tensor in last.state_dict().items():
        assert torch.equal(kept[f"model/{name}"], tensor)
        assert torch.equal(kept[f"best/{name}"], best.state_dict()[name])
    assert any(not torch.equal(kept[f"model/{n}"], kept[f"best/{n}"]) for n in last.state_dict()), "last is best"
    optimiser = [name for name in state if name.startswith("adam/")]
    assert len(optimiser) == 2 * len(list(last.parameters()))
    assert all(torch.equal(kept[name], state[name]) for name in optimiser)
    loss = min(row["validation"]["loss"] for row in rows)
    assert f'"step": {rows[-1]["step"]}' in header["progress"]
    assert f'"best_loss": {loss}' in header["progress"]


class NoSynchronisation(TorchDispatchMode):
    """Refuses what would wait for the device: the reading of a value, and shapes that depend on values."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default), function
        return function(*args, **(kwargs or {}))


@pytest.mark.thorough(0.15, kinds=each_value)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian:sigma=shared", "gaussian:sigma=pixel"])
def test_t37_a_step_asks_the_device_for_nothing(likelihood, name, objective, monkeypatch):
    """T37: loss.item() and a test for NaN at every step, each of which waits for the device."""

    def refuse(*args):
        raise AssertionError("a tensor was read")

    model, data, config = (
        build_for(objective, likelihood),
        dataset(noise(20), name),
        TrainingConfig(clip_norm=1.0, ema_decay=0.9),
    )
    made = build_objective(Spec(objective=objective, latent=model.latent), images=20)
    state, pixels, images = TrainState.start(model, config, made), protocol(name).pixels, torch.from_numpy(data.images)
    step = make_step(model, made, pixels, state, config, key_of(0), 0.0)
    learning_rate, number = torch.tensor(0.1), torch.tensor(0)
    for method in ("tolist", "numpy", "cpu"):
        monkeypatch.setattr(torch.Tensor, method, refuse)
    with NoSynchronisation():
        step(images[:8], learning_rate, number)
        with pytest.raises(AssertionError):  # it would be seen
            float(learning_rate)
    assert state.meters.moments[0, 0] == 8


def test_t37_an_error_is_raised_as_it_is_and_nothing_is_tried_again(tmp_path):
    """T37: an error caught, and the pass repeated another way."""
    calls = []

    def breaks(model, x, step):
        calls.append(torch.is_grad_enabled())
        raise RuntimeError("a fault of the user's own")

    with pytest.raises(RuntimeError, match="a fault of the user's own"):
        fitted(spec_of(), splits(BINARY), tmp_path, breaks)
    assert calls == [True]


def test_t37_an_error_of_validation_is_raised_as_it_is(tmp_path):
    """T37: as above, where no gradient is taken."""
    model, calls = build(), []

    def breaks(module, x):
        if not module.training and len(x[0]) > 6:  # not where the parts are tried
            calls.append(torch.is_grad_enabled())
            raise RuntimeError("a fault of the user's own")

    model.train()
    model.likelihood.network[0].register_forward_pre_hook(breaks)
    spec = spec_of()
    with pytest.raises(RuntimeError, match="a fault of the user's own"):
        fit(model, Elbo(), splits(BINARY), spec, tmp_path, SILENT, "never")
    assert calls == [False]


@pytest.mark.parametrize("scale", [1e4, 1e8, 1e12])
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_t38_a_step_is_taken_however_large_the_gradient(clip_norm, scale):
    """T38: a step left out where the norm is above a threshold: training may stand still for good, without a word."""
    model, data, rate = build(), dataset(noise(20), BINARY), 0.01
    before = [parameter.detach().clone() for parameter in model.parameters()]

    def steep(model, x, step):
        loss, draw = Elbo()(model, x, step)
        return loss * scale, draw

    gradients = step_once(model, steep, data, TrainingConfig(clip_norm=clip_norm), rate)
    if clip_norm:
        norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
        assert norm == pytest.approx(clip_norm, rel=1e-4)
    for old, new, g in zip(before, model.parameters(), gradients, strict=True):
        moved = (old - new.detach())[g.abs() > 1e-5]  # far above Adam's epsilon: its first step is the sign's
        assert len(moved) > 0
        torch.testing.assert_close(moved, rate * g[g.abs() > 1e-5].sign(), rtol=0.01, atol=1e-6)
