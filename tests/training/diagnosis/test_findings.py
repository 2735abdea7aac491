"""What is said of a model while it is trained: of one that has collapsed, once, and of a sound one nothing."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.built import build_model, build_objective, completed, load_splits
from tests.training.test_loop import stop_at, without_time
from vaelab.runs.spec import Spec
from vaelab.system.errors import Interrupted
from vaelab.training.callback import SILENT, Log
from vaelab.training.diagnosis.findings import IMAGES, as_row, find_findings, tell_new, timely, what_to_try
from vaelab.training.diagnosis.health import Finding
from vaelab.training.loop import fit

SOUND = completed(
    Spec(data="digits", latent=2, network="mlp:hidden=32", epochs=8, batch=50, learning_rate=1e-2, validate_every=1)
)
DATA = load_splits(SOUND)
COLLAPSE = Finding("posterior-collapse", "z is ignored", "try this")


class Deaf(torch.nn.Module):
    """A decoder's first layer that hears nothing of z."""

    def forward(self, z):
        return 0 * z


def deafen(model):
    model.likelihood.network[0] = Deaf()


def trained(folder: Path, spec=SOUND, change=lambda model: None, data=DATA, callback=SILENT):
    """The log of a training, and what was said."""
    said = []
    folder.mkdir(exist_ok=True)
    model = build_model(spec, data.train.shape)
    change(model)
    with suppress(Interrupted):
        fit(model, build_objective(spec), data, spec, folder, replace(callback, say=said.append), "never")
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()], said


def kinds(row):
    return [finding["kind"] for finding in row.get("findings", [])]


@pytest.mark.parametrize("validation", [True, False])
def test_a_decoder_that_ignores_z_is_said_to_once_and_in_every_line(tmp_path, validation):
    data = DATA if validation else replace(DATA, validation=None)
    log, said = trained(tmp_path, change=deafen, data=data)
    where = "validation" if validation else "train"
    assert not any(kinds(row) for row in log[:3])  # of 8 epochs half are for it to settle
    for row in log[4:]:
        assert kinds(row) == ["posterior-collapse"]
        assert row["findings"][0].keys() == {"kind", "says", "do"}
    assert log[-1]["findings"][0]["says"].startswith(f"the rate is {log[-1][where]['rate']:.3g} nats")
    told = [line for line in said if line.startswith("posterior-collapse: ")]
    assert len(told) == 1


@pytest.mark.parametrize("spec", [{}, {"ema_decay": 0.9}, {"validation": 0.0}, {"precision": "bfloat16"}])
def test_of_a_sound_model_nothing_is_said(tmp_path, spec):
    spec = SOUND.model_copy(update={"epochs": 4.0, **spec})
    log, said = trained(tmp_path, spec, data=load_splits(spec))
    assert len(log) == 4
    assert not any("findings" in row for row in log)
    assert not any("collapse" in line for line in said)


def test_nothing_is_said_of_a_posterior_before_it_had_time(tmp_path):
    """A model that starts without a posterior: not in the first epoch, but at the end of a training of one."""
    spec = SOUND.model_copy(update={"epochs": 1.0, "validate_every": 0.25})
    log, said = trained(tmp_path, spec, deafen)
    assert log[0]["validation"]["rate"] < 0.1, "the case tells nothing"
    assert [kinds(row) for row in log] == [[], [], [], ["posterior-collapse"]]
    assert len([line for line in said if line.startswith("posterior-collapse: ")]) == 1
    assert max(map(len, said)) <= 100


def test_when_a_finding_means_something():
    other = Finding("sigma-collapse", "", "")
    both = [COLLAPSE, other]
    assert timely(both, 29, 3000, 30.0) == [other]
    assert timely(both, 499, 3000, 30.0) == [other]  # time to settle
    assert timely(both, 500, 3000, 30.0) == both
    assert timely(both, 999, 10_000, 30.0) == [other]  # a tenth
    assert timely(both, 1000, 10_000, 30.0) == both
    assert timely(both, 15, 450, 15.0) == [other]  # one epoch of a small data set
    assert timely(both, 225, 450, 15.0) == both  # half
    assert timely(both, 600, 2000, 700.0) == [other]  # an epoch
    assert timely(both, 20, 20, 30.0) == both  # the end


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"posterior": "full"},
        {"posterior": "flow"},
        {"prior": "vamp:components=5"},
        {"model": "ladder:groups=1"},
        {"condition": "labels"},
    ],
)
def test_an_encoder_that_tells_no_images_apart_is_found_for_every_posterior(fields):
    """Its rate is high, so that the KL alone says nothing; z is that of any other image."""
    model = build_model(completed(SOUND.model_copy(update=fields)), DATA.train.shape, DATA.train.labels)
    for name, tensor in model.named_parameters():
        if name.startswith("posterior.network") and "weight" in name:
            tensor.data.zero_()
    found = find_findings(model, DATA.train, 4.0, 0)
    assert [f.kind for f in found if f.kind != "stuck-units"] in (["constant-encoder"], ["posterior-collapse"])


def test_advice_fits_the_run():
    def said(objective: str, fixed_sigma: bool = False) -> str:
        return what_to_try(build_objective(completed(SOUND.model_copy(update={"objective": objective}))), fixed_sigma)

    assert "iwae:samples=5" in said("elbo")
    assert "sigma" not in said("elbo")  # a Bernoulli has none
    assert "smaller sigma" in said("elbo", fixed_sigma=True)
    assert said("iwae:samples=5") == "train for longer"  # nothing that changes the objective under study
    assert "a beta below 4" in said("beta:beta=4")
    assert "warmup" not in said("beta:beta=1:warmup=100")
    assert what_to_try(None, False).startswith("train for longer")


def test_a_kind_is_said_again_only_where_it_went_away_and_came_back(tmp_path):
    log, said = Log(tmp_path / "log.jsonl", 0, print), []
    for bad in (False, True, True, False, True, True):
        row = {"step": 1, "epoch": 1.0, "train": {"elbo": -3.0, "rate": 1.0, "distortion": 2.0}} | as_row(
            [COLLAPSE] if bad else []
        )
        tell_new(row, log.last, said.append)
        length = log.append(row)
        log = Log(tmp_path / "log.jsonl", length, print)  # as if it was stopped and gone on with
    assert said == ["posterior-collapse: z is ignored; try this"] * 2


def test_a_training_that_was_stopped_says_and_logs_what_one_that_was_not_does(tmp_path):
    _, said = trained(tmp_path / "whole", change=deafen)
    _, before = trained(tmp_path / "halved", change=deafen, callback=stop_at(100))
    _, after = trained(tmp_path / "halved", change=deafen)
    assert any("resuming from step 100" in line for line in after)
    assert without_time(tmp_path / "whole/log.jsonl") == without_time(tmp_path / "halved/log.jsonl")
    told = [[line for line in lines if "collapse" in line] for lines in (said, before, after)]
    assert told[0] == told[1] + told[2] != []


def at_floor(model):
    model.likelihood.head.s.data.fill_(-20.0)


def test_a_learned_sigma_at_its_floor_is_said_and_a_fixed_one_is_not(tmp_path):
    grey = SOUND.model_copy(update={"protocol": "grey", "epochs": 1.0, "learning_rate": 1e-4, "start": "zero"})
    data = load_splits(grey)
    learned = completed(grey.model_copy(update={"likelihood": "gaussian:sigma=shared"}))
    log, said = trained(tmp_path / "learned", learned, at_floor, data)
    assert "sigma-collapse" in kinds(log[0])
    assert len([line for line in said if line.startswith("sigma-collapse: mean log sigma is -6.0")]) == 1
    for number, likelihood in enumerate(("gaussian:sigma=0.00248", "gaussian:sigma=pixel", "bernoulli")):
        spec = completed(grey.model_copy(update={"likelihood": likelihood}))
        log, _ = trained(tmp_path / str(number), spec, data=data)
        assert "sigma-collapse" not in kinds(log[0])


def test_looking_changes_nothing():
    model = build_model(SOUND, DATA.train.shape).train()
    before = torch.get_rng_state()
    weights = [p.clone() for p in model.parameters()]
    assert find_findings(model, DATA.train, 5.0, 0) == find_findings(model, DATA.train, 5.0, 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert all(torch.equal(a, b) and a.grad is None for a, b in zip(model.parameters(), weights, strict=True))


def test_the_images_looked_at_are_spread_over_the_whole(monkeypatch):
    seen = []
    model = build_model(SOUND, DATA.train.shape)
    model.posterior.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    data = replace(DATA.train, protocol="grey")
    find_findings(model, data, 5.0, 0)
    stride = len(data) // IMAGES
    assert stride > 1
    assert len(seen[0]) == IMAGES
    assert torch.equal(seen[0], torch.from_numpy(data.images[::stride][:IMAGES]).float() / 255)
