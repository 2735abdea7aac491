"""What each objective is judged by, asked of every objective with every schedule that it has."""

from dataclasses import dataclass

import pytest
import torch

from tests.built import build_objective
from tests.traps.small import build_for, noise
from vaelab.objectives import OBJECTIVES
from vaelab.objectives.bounds import elbo, iwae, miwae
from vaelab.objectives.criterion import ELBO, Criterion, Ramp, criterion_of, in_words
from vaelab.objectives.losses import reported
from vaelab.runs.spec import Spec
from vaelab.system.errors import SpecError

X = torch.from_numpy(noise(6)) / 255
STEPS = (*range(30), 10**6)
FEW = (0, 3, 29, 10**6)
SMALL = {"factor": "factor:hidden=8", "mcem": "mcem:leapfrog=1", "capacity": "capacity:steps=1"}
LAST = 10**6  # of a long training

SCHEDULED = [
    "beta:beta=1:warmup=7", "beta:beta=3:warmup=7:free_nats=0.5", "beta:beta=1:warmup=7:cycle=11",
    "beta:beta=3:warmup=7:cycle=11", "beta:beta=1:warmup=7:cycle=7", "capacity:steps=7",
]  # fmt: skip
PLAIN = [
    *(SMALL.get(name, name) for name in OBJECTIVES), "beta:beta=1", "beta:beta=0.1",
    "beta:beta=1:free_nats=2", "elbo:samples=3:kl=path", "iwae:gradient=dreg", "dip:kind=2", "mmd:alpha=1",
]  # fmt: skip


def draw_of(text: str, step: int):
    """The loss [B] of the objective at `step`, and its Draw, on the same noise for every step."""
    name = text.split(":")[0]
    objective = build_objective(Spec(objective=text, latent=2), images=30)
    torch.manual_seed(0)
    loss, draw = objective(build_for(name), X, torch.tensor(step))
    return reported(loss).detach(), draw


@pytest.mark.parametrize("text", [*PLAIN, *SCHEDULED])
def test_an_objective_is_judged_by_what_it_minimises_at_every_step_at_rest(text):
    ramp = criterion_of(build_objective(Spec(objective=text, latent=2), images=30)).ramp
    end, _ = draw_of(text, ramp.end(LAST))
    for step in STEPS if text in SCHEDULED else FEW:
        loss, _ = draw_of(text, step)
        if ramp.at_rest_since(step) is not None:
            assert torch.equal(loss, end), step
        elif ramp.cycle != ramp.steps:  # whose factor never is 1
            assert not torch.equal(loss, end), step


@pytest.mark.parametrize("text", SCHEDULED)
def test_a_schedule_that_an_objective_has_is_one_that_it_declares(text):
    """Otherwise the test above could say nothing of it."""
    ramp = criterion_of(build_objective(Spec(objective=text))).ramp
    moving = [step for step in STEPS if ramp.at_rest_since(step) is None]
    assert moving
    if ramp.cycle == ramp.steps:
        assert moving == list(STEPS)
    elif ramp.cycle:
        assert moving[:14] == [*range(7), *range(11, 18)]
        assert {ramp.at_rest_since(step) for step in range(18, 22)} == {18}
    else:
        assert set(moving) <= set(range(7))
        assert ramp.at_rest_since(29) == 7


BOUNDS = {
    "-ELBO": elbo,
    "-IWAE bound, K = 5": iwae,
    "-IWAE bound, K = 25": iwae,
    "-MIWAE bound, M = 5, K = 5": lambda draw: miwae(draw, 5),
    "-CIWAE bound, K = 5, beta = 0.05": lambda draw: 0.05 * elbo(draw) + 0.95 * iwae(draw),
}
OTHERS = {
    "capacity:steps=7": "distortion + 30 |rate - 25|",
    "beta:beta=0.1": "distortion + 0.1 rate",
    "beta:beta=1:free_nats=2": "distortion + rate, 2 nats of each part free",
    "beta:beta=3:warmup=7:free_nats=0.5": "distortion + 3 rate, 0.5 nats of each part free",
    "beta-tc": "distortion + information + 6 total correlation + dimension-wise KL",
    "dip": "distortion + rate + DIP penalty",
    "mmd": "distortion + rate + 1000 MMD^2",
    "mmd:alpha=1": "distortion + 1000 MMD^2",
    "commitment": "distortion + rate + 0.25 commitment",
}
NOT_THEIR_LOSS = ("factor", "mcem", "path")  # they report another loss, or a noisier one of the same mean


@pytest.mark.parametrize("text", [*PLAIN, *SCHEDULED])
def test_the_name_of_a_criterion_is_true(text):
    criterion = criterion_of(build_objective(Spec(objective=text, latent=2), images=30))
    if text in OTHERS:
        assert criterion.name == OTHERS[text]
    if criterion.name in BOUNDS and not any(name in text for name in NOT_THEIR_LOSS) and criterion.ramp.cycle != 7:
        loss, draw = draw_of(text, criterion.ramp.end(LAST))
        torch.testing.assert_close(loss, -BOUNDS[criterion.name](draw).detach())
    assert criterion.own == (criterion.name != "-ELBO")


def test_a_criterion_knows_its_weights():
    assert in_words((1, "a"), (0, "b"), (0.5, "c")) == "a + 0.5 c"


def own(model, x, step):
    return x.flatten(1).sum(1), None


@dataclass(frozen=True)
class Declared:
    judged_by = Criterion(name="own value", ramp=Ramp(5))


@dataclass(frozen=True)
class Mistaken:
    judged_by = "elbo"


def test_an_objective_of_a_users_own():
    assert criterion_of(own) == Criterion(name="loss of own")
    assert criterion_of(own).ramp.end(99) == 99
    assert criterion_of(Declared()).ramp.end(99) == 5
    with pytest.raises(SpecError, match="objective Mistaken whose judged_by is a str"):
        criterion_of(Mistaken())
    assert criterion_of(OBJECTIVES["wake-sleep"]()) is ELBO
