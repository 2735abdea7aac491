"""Batches, schedules, meters and the update, each against what it says it is."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.objectives.losses import Losses
from vaelab.parts.names import make
from vaelab.system.errors import SpecError
from vaelab.training.config import TrainingConfig
from vaelab.training.meters import Meters
from vaelab.training.sampler import Sampler, lowered
from vaelab.training.schedules import SCHEDULES
from vaelab.training.step.step import TrainState, adam, clip, global_norm, gradients_of
from vaelab.training.trainer import crosses_multiple


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 60), share=st.floats(0.01, 1), seed=st.integers(0, 5))
def test_every_epoch_sees_every_image_once(count, share, seed):
    batch = max(1, int(share * count))
    batches = Sampler(count, batch, seed)
    steps = math.ceil(3 * count / batch)
    sequence = torch.cat([batches(t) for t in range(steps)])
    assert all(len(batches(t)) == batch for t in range(steps))
    for epoch in range(3):
        assert sequence[epoch * count : (epoch + 1) * count].sort().values.tolist() == list(range(count))


def test_a_batch_is_a_function_of_seed_and_step_alone():
    one, two = Sampler(50, 7, seed=3), Sampler(50, 7, seed=3)
    forwards = [one(t) for t in range(30)]
    assert all(torch.equal(two(t), forwards[t]) for t in reversed(range(30)))
    assert not torch.equal(Sampler(50, 7, seed=4)(0), forwards[0])
    assert not torch.equal(torch.cat(forwards[:7])[:49], torch.cat(forwards[7:15])[1:50])


def test_a_batch_larger_than_the_data_is_said_in_words():
    assert lowered(50, 50) == ""
    assert lowered(51, 50) == "batch = 51: each step takes all 50 training images, because there are no more"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("constant", {0: 1, 0.5: 1, 1: 1}),
        ("cosine:final=0", {0: 1, 0.5: 0.5, 0.25: (1 + math.sqrt(0.5)) / 2, 1: 0}),
        ("cosine:warmup=0.2:final=0.1", {0: 0, 0.1: 0.5, 0.2: 1, 0.6: 0.55, 1: 0.1}),
        ("step:at=0.5,0.75:factor=0.1", {0: 1, 0.49: 1, 0.5: 0.1, 0.75: 0.01}),
    ],
)
def test_schedules(text, values):
    schedule = make("schedule", SCHEDULES, text)
    assert {done: schedule(done) for done in values} == pytest.approx(values)


@pytest.mark.parametrize("text", ["cosine:warmup=1", "cosine:final=2", "step:at=0,0.5", "step:factor=-1"])
def test_impossible_schedules(text):
    with pytest.raises(SpecError):
        make("schedule", SCHEDULES, text)


def test_meters_are_the_moments():
    torch.manual_seed(0)
    meters = Meters.zero(torch.device("cpu"))
    batches = [torch.randn(3, n) * 5 + 100 for n in (4, 9, 2)]
    for number, batch in enumerate(batches):
        meters.add(torch.tensor(number), *batch)
    values = torch.cat(batches, 1).double()
    read = meters.read()
    assert [read[k] for k in ("loss", "rate", "distortion")] == pytest.approx(values.mean(1).tolist())
    errors = (values.std(1, correction=0) / math.sqrt(15)).tolist()
    assert [read[f"{k}_se"] for k in ("loss", "rate", "distortion")] == pytest.approx(errors, rel=1e-6)
    assert read["elbo"] == pytest.approx(-read["rate"] - read["distortion"])
    assert meters.first_bad() is None
    meters.reset()
    meters.add(torch.tensor(7), torch.ones(2), torch.ones(2), torch.ones(2))
    assert meters.read()["loss"] == 1


def test_meters_remember_the_first_bad_step_and_its_terms():
    meters = Meters.zero(torch.device("cpu"))
    good, bad = torch.ones(2), torch.tensor([1.0, math.nan])
    meters.add(torch.tensor(4), good, good, good)
    meters.add(torch.tensor(5), bad, good, bad)
    meters.add(torch.tensor(6), bad, bad, bad)
    meters.reset()
    assert meters.first_bad() == (5, "loss and distortion")


def test_the_update_is_adam():
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(4, 3, dtype=torch.float64)) for _ in range(2)]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    reference = torch.optim.Adam(theirs, lr=0.03)
    model = torch.nn.Module()
    model.posterior = torch.nn.ParameterList(ours)
    state = TrainState.start(model, TrainingConfig())  # type: ignore[arg-type]
    with torch.no_grad():
        for number in range(25):
            gradients = tuple(torch.randn_like(p) * 10 for p in ours)
            for p, g in zip(theirs, gradients, strict=True):
                p.grad = g.clone()
            reference.step()
            adam(state, gradients, torch.tensor(0.03, dtype=torch.float64), torch.tensor(number))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_clipping_is_by_the_norm_of_all_gradients():
    gradients = (torch.full((2, 2), 3.0), torch.full((1,), 8.0))  # norm 10
    clipped = clip(gradients, 5.0, global_norm(gradients))
    assert [t.flatten()[0].item() for t in clipped] == pytest.approx([1.5, 4.0])
    assert all(torch.equal(a, b) for a, b in zip(clip(gradients, 11.0, global_norm(gradients)), gradients, strict=True))


def test_epochs_end_once_each_even_where_they_are_not_whole_steps():
    ends = [step for step in range(1, 100) if crosses_multiple(step, 9.7)]
    assert len(ends) == 10
    assert [math.ceil(9.7 * e) for e in range(1, 11)] == ends


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0), ("batch", 0), ("learning_rate", -1e-3), ("learning_rate", math.nan), ("clip_norm", -1),
        ("ema_decay", 1.0), ("precision", "float16"), ("patience", -1), ("seed", -1), ("epocs", 3),
    ],
)  # fmt: skip
def test_impossible_plans_are_told_in_one_line(field, value):
    with pytest.raises(SpecError) as caught:
        TrainingConfig(**{field: value})
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gradient_whose_square_overflows_is_clipped_and_not_skipped():
    gradients = (torch.full((3,), 1e25), torch.tensor([-2e25]))
    clipped = clip(gradients, 5.0, global_norm(gradients))
    assert torch.cat(clipped).norm().item() == pytest.approx(5.0, rel=1e-5)
    torch.testing.assert_close(clipped[0] / clipped[1], torch.full((3,), -0.5))


def test_each_roles_loss_is_averaged_over_the_batch():
    """The objective's own too, which would otherwise grow with the batch, and be clipped sooner."""
    weights = {role: torch.tensor(2.0, requires_grad=True) for role in ("generative", "inference", "own")}
    slopes = torch.tensor([1.0, 2.0, 6.0])
    losses = Losses(*(slopes * weights[role] for role in Losses._fields))
    state = SimpleNamespace(parameters=[weights[role] for role in Losses._fields], roles=list(Losses._fields))
    assert [g.item() for g in gradients_of(losses, state)] == [3.0, 3.0, 3.0]
    state = SimpleNamespace(parameters=[weights["own"]], roles=["own"])
    assert [g.item() for g in gradients_of(slopes * weights["own"], state)] == [3.0]
