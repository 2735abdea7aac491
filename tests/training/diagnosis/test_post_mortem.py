"""The autopsy: each of term, image, layer, parameter and step is named as it was planted."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.built import build_model, build_objective, completed, load_splits
from vaelab.cli.main import main
from vaelab.objectives.criterion import ELBO
from vaelab.runs.directory import Run
from vaelab.runs.provenance import fingerprint
from vaelab.runs.replay import replay
from vaelab.runs.spec import Spec
from vaelab.system.errors import Interrupted, NonFiniteError, RunError
from vaelab.training import loop
from vaelab.training.callback import Callback
from vaelab.training.diagnosis import post_mortem as post_mortem
from vaelab.training.diagnosis.post_mortem import PostMortem
from vaelab.training.diagnosis.replay import replay_step
from vaelab.training.loop import fit
from vaelab.training.sampler import Sampler
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.step import TrainState

# 29 steps an epoch, 59 in all; grey pixels, so that an image is known by its content
BASE = completed(
    Spec(data="digits", protocol="grey", latent=3, network="mlp:hidden=16", epochs=2, batch=50, learning_rate=3e-3)
)
DATA = load_splits(BASE)
TARGET = 123  # the training image to which things happen
BATCHES = Sampler(len(DATA.train), BASE.batch, BASE.seed)
VISIT = next(t for t in range(59) if TARGET in BATCHES(t))  # the first step that sees it
SILENT = Callback(say=lambda line: None, show=lambda status: None)
WATCHFUL = replace(SILENT, show_every=0.0)
PLAIN = build_objective(BASE)


def is_target(x):
    """Which images [B] are the target."""
    image = torch.from_numpy(DATA.train.images[TARGET]).float() / 255
    return (x == image).flatten(1).all(1)


def failed(folder: Path, objective=PLAIN, spec=BASE, change=lambda model: None, callback=SILENT, compile="never"):
    """The autopsy of a training that fails, and the error."""
    model = build_model(spec, DATA.train.shape)
    change(model)
    folder.mkdir(exist_ok=True)
    with pytest.raises(NonFiniteError) as caught:
        fit(model, objective, DATA, spec, folder, callback, compile, fingerprint(spec, DATA))
    assert "\n" not in str(caught.value)
    return PostMortem.read(folder), str(caught.value)


def at_step(number: int, **terms: float):
    """An objective one of whose terms is not finite at a step."""

    def objective(model, x, step):
        loss, draw = PLAIN(model, x, step)
        bad = {name: getattr(draw, name) + torch.where(step == number, value, 0.0) for name, value in terms.items()}
        return loss, replace(draw, **bad)

    return objective


def fails_at(number: int, value=math.nan):
    def objective(model, x, step):
        loss, draw = PLAIN(model, x, step)
        return loss + torch.where(step == number, value, 0.0), draw

    return objective


class Fragile(torch.nn.Module):
    """tanh, but infinite where its input is above a limit."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, h):
        return torch.where(h > self.limit, math.inf, h.tanh())


class Root(torch.nn.Module):
    """A square root of what is zero half of the time, as if guarded by `where`: its gradient is not."""

    def forward(self, h):
        return torch.where(h > 0, (h + h.abs()).sqrt(), 0.0)


@pytest.mark.parametrize(
    ("term", "said", "seen"),
    [("kl", "KL(q(z|x) || p(z))", "rate"), ("log_lik", "log p(x|z)", "distortion"), ("loss", "loss", "loss")],
)
def test_the_term_and_the_image_are_named(tmp_path, term, said, seen):
    def objective(model, x, step):
        loss, draw = PLAIN(model, x, step)
        if term == "loss":
            return torch.where(is_target(x), math.inf, loss), draw
        return loss, replace(draw, **{term: torch.where(is_target(x), math.nan, getattr(draw, term))})

    found, line = failed(tmp_path, objective)
    seen_at = found.report
    assert (found.failure.terms, found.failure.step, seen_at.step) == (seen, VISIT, VISIT)
    assert (seen_at.stage, seen_at.where, seen_at.images) == ("forward", said, (TARGET,))
    assert seen_at.batch == tuple(BATCHES(VISIT).tolist())
    assert {t.name: t.images for t in seen_at.terms if t.images} == {said: (TARGET,)}
    assert f"{seen} not finite at step {VISIT} (image {TARGET} of the batch): first in {said}, forward;" in line
    assert f"`vaelab replay {tmp_path}` shows it again" in line


@pytest.mark.parametrize(  # a limit that no activation reaches at first, and a rate at which one soon does
    ("part", "index", "limit", "learning_rate"), [("posterior", 2, 1.5, 0.03), ("likelihood", 2, 10.0, 0.2)]
)
def test_the_layer_is_named(tmp_path, part, index, limit, learning_rate):

    def change(model):
        getattr(model, part).network[index] = Fragile(limit)

    found, line = failed(tmp_path, change=change, spec=BASE.model_copy(update={"learning_rate": learning_rate}))
    seen = found.report
    name = f"{part}.network.{index}"
    assert (seen.stage, seen.where) == ("forward", f"{name} (Fragile)")
    assert seen.step == found.failure.step > 0
    assert f"first in {name} (Fragile), forward" in line
    by_name = {layer.name: layer for layer in seen.layers}
    before = by_name[f"{part}.network.{index - 1}"]
    assert before.kind == "Linear"
    assert before.not_finite == 0
    assert before.largest > limit
    assert by_name[name].not_finite > 0
    assert 0 < len(seen.images) < BASE.batch


def test_layers_come_in_the_order_of_the_forward_pass_once_each_without_what_only_hands_on(tmp_path):
    found, _ = failed(tmp_path, fails_at(3))
    inside = [f"network.{i}" for i in range(5)] + ["head"]
    expected = [f"posterior.{n}" for n in inside] + ["prior"] + [f"likelihood.{n}" for n in inside]
    assert [layer.name for layer in found.report.layers] == expected


def test_a_gradient_of_one_parameter_is_named(tmp_path):
    def objective(model, x, step):
        loss, draw = PLAIN(model, x, step)
        bias = model.likelihood.network[3].bias
        return loss + ((bias - bias.detach()).abs().sqrt().sum() if step == 40 else 0.0), draw

    found, line = failed(tmp_path, objective)
    seen = found.report
    # no term of step 40 shows it: those of step 41 are the first
    assert (found.failure.step, seen.step, seen.stage) == (41, 40, "backward")
    assert seen.where == "the gradient of likelihood.network.3.bias"
    assert [g.name for g in seen.gradients if g.not_finite] == ["likelihood.network.3.bias"]
    assert seen.gradient_norm is None
    assert seen.weights_not_finite == ()
    assert not any(term.images for term in seen.terms)
    assert seen.images == ()
    assert "at step 41: first in the gradient of likelihood.network.3.bias of step 40" in line


def test_a_gradient_of_one_image_is_named(tmp_path):
    def objective(model, x, step):
        loss, draw = PLAIN(model, x, step)
        z = draw.z.sum((0, 2))
        return loss + torch.where(is_target(x), (z - z.detach()).abs().sqrt(), 0.0), draw

    def indexed(model, x, step):  # the `where` above poisons every image's gradient; indexing does not
        loss, draw = PLAIN(model, x, step)
        chosen = is_target(x)
        z = draw.z.sum((0, 2))[chosen]
        return loss.index_add(0, chosen.nonzero()[:, 0], (z - z.detach()).abs().sqrt()), draw

    everyone, _ = failed(tmp_path / "everyone", objective)
    assert everyone.report.step == 0
    assert set(everyone.report.images) == set(BATCHES(0).tolist())
    found, _ = failed(tmp_path / "one", indexed)
    seen = found.report
    assert (seen.step, seen.stage, seen.images) == (VISIT, "backward", (TARGET,))
    assert seen.where == "the gradient of the output of posterior.head (DiagonalGaussian)"
    bad = {g.name.split(".")[0] for g in seen.gradients if g.not_finite}
    assert bad == {"posterior"}


def test_a_layer_whose_backward_pass_fails_is_named_and_not_the_one_before_it(tmp_path):
    def change(model):
        model.likelihood.network[2] = Root()

    found, line = failed(tmp_path, change=change)
    seen = found.report
    assert (seen.step, seen.stage, seen.where) == (0, "backward", "likelihood.network.2 (Root)")
    assert "likelihood.network.2 (Root), backward" in line
    assert "correct that part: nothing was learned yet" in line


def test_weights_that_are_not_finite_before_the_step_are_named(tmp_path):
    def change(model):
        model.likelihood.network[3].weight.data[5, 0] = math.inf

    found, line = failed(tmp_path, change=change)
    seen = found.report
    assert (seen.step, seen.stage, seen.where) == (0, "weights", "likelihood.network.3.weight")
    assert seen.weights_not_finite == ("likelihood.network.3.weight",)
    assert "first in likelihood.network.3.weight, before the step" in line


def test_an_update_that_leaves_the_real_numbers_is_named(tmp_path):
    found, line = failed(tmp_path, spec=BASE.model_copy(update={"learning_rate": 1e38}))
    seen = found.report
    assert (seen.step, seen.stage) == (0, "update")
    assert seen.updates_not_finite[0] == seen.where == "posterior.network.1.weight"
    assert all(g.not_finite == 0 for g in seen.gradients)
    assert "lower --learning-rate" in line


def test_moments_of_adam_that_would_stop_a_weight_for_good_are_found(tmp_path):
    """g^2 overflows, v is infinite, and m / sqrt(v) is 0 from then on, with every term and weight finite."""

    def objective(model, x, step):
        loss, draw = PLAIN(model, x, step)
        bias = model.posterior.network[3].bias
        return loss + torch.where(step == 20, 1e25, 0.0) * (bias - bias.detach()).sum(), draw

    found, line = failed(tmp_path, objective)
    seen = found.report
    assert found.failure.terms == "moments of Adam"
    assert (seen.step, seen.stage, seen.where) == (20, "update", "posterior.network.3.bias")
    assert seen.updates_not_finite == ("posterior.network.3.bias",)
    assert seen.images == ()
    assert "in the update of step 20" in line


def test_exploding_by_a_learning_rate(tmp_path):
    found, _ = failed(tmp_path, spec=BASE.model_copy(update={"learning_rate": 1e6}))
    seen = found.report
    assert seen.step == found.failure.step == 1
    assert seen.stage == "forward"
    assert seen.learning_rate == 1e6
    # exp(1/2 log sigma^2) is infinite in the head, or 0 and log sigma infinite in the KL
    assert seen.where in ("posterior.head (DiagonalGaussian)", "KL(q(z|x) || p(z))")
    encoder = [layer for layer in seen.layers if layer.name.startswith("posterior.network")]
    assert not any(layer.not_finite for layer in encoder)
    assert max(layer.largest for layer in encoder) > 1e6


CASES = {
    "before the first checkpoint": {},
    "average": {"ema_decay": 0.9},
    "bfloat16": {"precision": "bfloat16"},
    "clipped, scheduled": {"clip_norm": 1.0, "schedule": "cosine:warmup=0.1"},
}


def stop_at(step: int) -> Callback:
    import os
    import signal

    def show(status):
        if status.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return replace(WATCHFUL, show=show)


def healthy(folder: Path, spec: Spec, step: int) -> Path:
    """A checkpoint of a training that was stopped behind `step` steps."""
    folder.mkdir(exist_ok=True)
    model = build_model(spec, DATA.train.shape)
    with pytest.raises(Interrupted):
        fit(model, PLAIN, DATA, spec, folder, stop_at(step), "never", fingerprint(spec, DATA))
    return folder / "checkpoint.safetensors"


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_state_before_the_step_is_that_of_a_healthy_training(tmp_path, case, resumed):
    spec = BASE.model_copy(update=CASES[case])
    oracle = load_file(healthy(tmp_path / "healthy", spec, 40))
    folder = tmp_path / "failing"
    kept = healthy(folder, spec, 33).read_bytes() if resumed else b""
    said = []
    found, line = failed(folder, fails_at(40), spec, callback=replace(WATCHFUL, say=said.append))
    assert found.failure == post_mortem.Failure(40, "loss")
    assert found.replayed_from == (33 if resumed else 0)
    assert (found.report.step, found.report.where) == (40, "loss")
    state = load_file(folder / "post_mortem.safetensors")
    taken = [name for name in oracle if name.startswith(("model/", "adam/", "average/"))]
    buffers = 2  # what the encoder is centred at, and what the decoder starts at
    assert len(taken) == 8 * (4 if "ema_decay" in CASES[case] else 3) + buffers
    assert all(torch.equal(state[name], oracle[name]) for name in taken)
    assert f"taking the steps from {33 if resumed else 0} again" in said[-1]
    checkpoint = folder / "checkpoint.safetensors"
    if resumed:
        assert checkpoint.read_bytes() == kept
    assert ("checkpoint.safetensors" in line) == checkpoint.exists() == resumed


def test_what_is_examined_is_the_step_that_is_taken(tmp_path):
    """Bit for bit: looking at a step does not change it."""
    spec = BASE.model_copy(update={"ema_decay": 0.9, "clip_norm": 5.0})
    states = []
    for find_findings in (False, True):
        model = build_model(spec, DATA.train.shape)
        state = TrainState.start(model, spec)
        setup = TrainingSetup.of(model, PLAIN, DATA.train, spec)
        step = setup.step(state)
        for t in range(4):
            if find_findings:
                seen = replay_step(setup, state, t)
                assert seen.stage == seen.where == ""
                assert seen.images == seen.updates_not_finite == ()
            else:
                setup.take(step, t)
        states.append([*state.parameters, *state.mean, *state.square, *state.average, state.meters.moments])
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def test_the_numbers_of_an_examination(tmp_path):
    """Against the gradient taken by hand."""
    model = build_model(BASE, DATA.train.shape)
    state = TrainState.start(model, BASE)
    setup = TrainingSetup.of(model, PLAIN, DATA.train, BASE)
    with setup.noise(7):
        loss, draw = PLAIN(model, setup.reading.pixels(setup.batch(7)), torch.tensor(7))
    loss.mean().backward()
    by_hand = {name: p.grad.double().norm().item() for name, p in model.named_parameters()}
    seen = replay_step(setup, state, 7)
    assert {g.name: g.norm for g in seen.gradients} == pytest.approx(by_hand)
    assert seen.gradient_norm == pytest.approx(math.hypot(*by_hand.values()), rel=1e-5)
    terms = {term.name: term for term in seen.terms}
    assert terms["loss"].largest == pytest.approx(loss.max().item())
    assert terms["log p(x|z)"].least == pytest.approx(draw.log_lik.min().item())
    logits = draw.likelihood.base_dist.logits
    assert seen.layers[-1].largest == pytest.approx(logits.abs().max().item())


def test_a_failure_that_does_not_come_again_is_said_to(tmp_path):
    calls = []

    def once(model, x, step):  # no function of its arguments, as arithmetic that rounds otherwise
        calls.append(0)
        loss, draw = PLAIN(model, x, step)
        return loss * (math.nan if len(calls) == 31 else 1.0), draw

    once.judged_by = ELBO  # so that only the steps of the training are counted
    found, line = failed(tmp_path, once)
    seen = found.report
    assert found.failure == post_mortem.Failure(30, "loss")
    assert (seen.step, seen.stage, seen.where, seen.images) == (30, "", "", ())
    assert "every number is finite when that step is taken again eagerly" in line
    assert "first in" not in line


def test_a_long_replay_shows_how_far_it_is_and_can_be_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(post_mortem, "SAY_STEPS", 20)
    said = []
    failed(tmp_path, fails_at(50), callback=Callback(said.append, lambda status: None))
    assert [line for line in said if "taken again" in line] == [
        "step 20 of 50 taken again",
        "step 40 of 50 taken again",
    ]
    model = build_model(BASE, DATA.train.shape)
    state = TrainState.start(model, BASE)
    setup = TrainingSetup.of(model, PLAIN, DATA.train, BASE)
    with pytest.raises(Interrupted, match="rerun the command"):
        post_mortem.replay(
            setup, setup.step(state), state, 0, post_mortem.Failure(50, "loss"), said.append, lambda: True
        )


def test_a_failure_is_seen_at_the_next_look_and_not_at_the_end_of_the_epoch(tmp_path):
    calls = []

    def objective(model, x, step):
        calls.append(int(step))
        return fails_at(5)(model, x, step)

    failed(tmp_path, objective, callback=WATCHFUL)
    assert calls == [0, 1, 2, 3, 4, 5] * 2 + [5, 5]  # training, the way again, and the examination with its update


def test_the_record_is_plain_json_without_numbers_that_are_none(tmp_path):
    failed(tmp_path, fails_at(3, math.inf))

    def refuse(name):
        raise AssertionError(name)

    record = json.loads((tmp_path / "post_mortem.json").read_text(), parse_constant=refuse)
    assert record["failure"] == {"step": 3, "terms": "loss"}


def test_a_training_that_was_mended_keeps_no_autopsy(tmp_path):
    failed(tmp_path, fails_at(3))
    fit(build_model(BASE, DATA.train.shape), PLAIN, DATA, BASE, tmp_path, SILENT, "never", fingerprint(BASE, DATA))
    assert not list(tmp_path.glob("autopsy*"))


def test_the_command_takes_the_step_again(tmp_path, capsys):
    words = ["train", "--learning-rate", "1e6", "--latent", "2", "--network", "mlp:hidden=8", "--name", "run"]
    assert main([*words, "--precision", "bfloat16", "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err.strip()
    assert len(told.splitlines()) == 1
    run = Run(tmp_path / "run")
    recorded = PostMortem.read(run.path)
    files = {path: path.read_bytes() for path in run.path.iterdir()}
    assert replay(run) == recorded
    assert main(["replay", str(run.path)]) == 0
    shown = capsys.readouterr().out
    assert recorded.report.where in shown
    assert f"not finite at step {recorded.failure.step}" in shown
    assert all(layer.name in shown for layer in recorded.report.layers)
    assert all(gradient.name in shown for gradient in recorded.report.gradients)
    assert max(map(len, shown.splitlines())) <= 100 + len(str(tmp_path))
    assert files == {path: path.read_bytes() for path in run.path.iterdir()}  # it only looks

    (run.path / "post_mortem.json").write_text(json.dumps({"failure": 3}))
    with pytest.raises(RunError, match="is not a post-mortem"):
        replay(run)
    (run.path / "post_mortem.json").unlink()
    assert main(["replay", str(run.path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "there is nothing to replay" in line


def test_the_images_of_a_stopped_run_may_have_moved(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "here.npz", images=images)
    words = ["train", "--learning-rate", "1e9", "--network", "mlp:hidden=8", "--validate-every", "100", "--name", "run"]
    source = ["--data", f"npz:{tmp_path / 'here.npz'}", "--protocol", "8bit", "--likelihood", "gaussian"]
    assert main([*words, *source, "--out", str(tmp_path)]) == 2
    recorded = PostMortem.read(tmp_path / "run")
    (tmp_path / "here.npz").rename(tmp_path / "there.npz")
    assert main(["replay", str(tmp_path / "run")]) == 2
    capsys.readouterr()
    assert main(["replay", str(tmp_path / "run"), "--data", f"npz:{tmp_path / 'there.npz'}"]) == 0
    assert f"not finite at step {recorded.failure.step}" in capsys.readouterr().out


def test_an_autopsy_made_on_another_kind_of_device(tmp_path, monkeypatch):
    (tmp_path / "spec.json").write_text(BASE.canonical_json())
    found, _ = failed(tmp_path, fails_at(3))
    (tmp_path / "post_mortem.json").write_bytes(replace(found, device="cuda").as_json())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match="replay it where it was trained"):
        replay(Run(tmp_path))


def test_the_way_to_the_step_is_gone_by_the_function_that_failed(tmp_path, monkeypatch):
    """A compiled step rounds otherwise than an eager one, and training magnifies it: here by a step of another rate."""

    def another(step, *rest):
        return (lambda images, learning_rate, number: step(images, 1.01 * learning_rate, number)), False

    monkeypatch.setattr(loop, "choose_step", another)
    oracle = load_file(healthy(tmp_path / "healthy", BASE, 25))
    failed(tmp_path / "failing", fails_at(25), callback=WATCHFUL)
    state = load_file(tmp_path / "failing/post_mortem.safetensors")
    assert all(torch.equal(state[name], oracle[name]) for name in oracle if name.startswith("model/"))
    monkeypatch.undo()
    failed(tmp_path / "plain", fails_at(25))
    plain = load_file(tmp_path / "plain/post_mortem.safetensors")
    learned = [f"model/{name}" for name, _ in build_model(BASE, DATA.train.shape).named_parameters()]
    assert not any(torch.equal(plain[name], oracle[name]) for name in learned)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("c++") is None, reason="no compiler to test with")
def test_a_compiled_training_has_an_autopsy(tmp_path):
    said = []
    found, _ = failed(tmp_path, fails_at(40), compile="always", callback=Callback(said.append, lambda status: None))
    assert said[0].startswith("compiling")
    assert len(said) == 2  # it did compile
    assert (found.failure.step, found.report.step, found.report.where) == (40, 40, "loss")
