"""A batch in shards: the sum of their gradients, whoever computes them; and what cannot be cut."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

import vaelab as vl
from vaelab.randomness.noise import Noise
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.build import build_model, build_objective, load_splits
from vaelab.system import world
from vaelab.system.errors import SpecError
from vaelab.system.world import World, tree_sum
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.sharded import Asked, ShardedStep
from vaelab.training.step.step import TrainState

SPEC = vl.Spec(data="digits", latent=2, network="mlp:hidden=6", batch=16, shards=4)


def made(spec: vl.Spec, here: World = world.ALONE) -> tuple[TrainingSetup, TrainState, ShardedStep]:
    blueprint = blueprint_of(spec)
    data = load_splits(blueprint)
    model = build_model(blueprint, data.train.shape)
    world._joined = here
    try:
        setup = TrainingSetup.of(model, build_objective(blueprint, len(data.train)), data.train, spec)
    finally:
        world._joined = world.ALONE
    state = TrainState.start(model, spec, setup.objective)
    step = setup.step(state)
    assert isinstance(step, ShardedStep)
    return setup, state, step


def weights(state: TrainState) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in state.parameters]


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
def test_the_sum_is_the_same_for_any_number_of_groups(count: int):
    torch.manual_seed(count)
    numbers = [torch.randn(50) * 10.0 ** torch.randint(-6, 6, (50,)) for _ in range(16)]
    groups = [tree_sum(numbers[i : i + 16 // count]) for i in range(0, 16, 16 // count)]
    assert torch.equal(tree_sum(groups), tree_sum(numbers))
    in_order = sum(numbers[1:], numbers[0])
    assert not torch.equal(in_order, tree_sum(numbers)), "numbers for which the order does not matter show nothing"


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_a_step_is_adam_on_the_mean_of_the_gradients_of_the_shards(clip: float):
    spec = SPEC.model_copy(update={"clip_norm": clip})
    setup, state, step = made(spec)
    theirs = build_model(blueprint_of(spec), setup.model.image_shape).train()
    theirs.load_state_dict(setup.model.state_dict())
    optimiser = torch.optim.Adam(theirs.parameters(), lr=spec.learning_rate)
    for t in range(3):
        images, number = setup.batch(t), torch.tensor(t)
        optimiser.zero_grad()
        for shard in range(4):
            with Noise(setup.keys[shard], number):
                x = setup.reading.pixels(images[4 * shard : 4 * shard + 4])
                loss, _ = setup.objective(theirs, x, number)
            (loss.mean() / 4).backward()
        if clip:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        optimiser.step()
        setup.take(step, t)
    # The weights themselves move by the sign of a gradient that is about 0
    for m, v, p in zip(state.mean, state.square, theirs.parameters(), strict=True):
        assert torch.allclose(m, optimiser.state[p]["exp_avg"], rtol=1e-4, atol=1e-5)
        assert torch.allclose(v, optimiser.state[p]["exp_avg_sq"], rtol=1e-4, atol=1e-5)


def test_no_two_shards_have_the_same_noise():
    setup, _, _ = made(SPEC)
    drawn = []
    for key in setup.keys:
        with Noise(key, torch.tensor(0)):
            drawn.append(torch.randn(5))
    assert all(not torch.equal(one, other) for one, other in itertools.combinations(drawn, 2))


def test_one_shard_is_the_plain_step_and_the_plain_spec():
    setup, _, _ = made(SPEC)
    plain = replace(setup, config=SPEC.model_copy(update={"shards": 1}))
    assert not isinstance(plain.step(TrainState.start(plain.model, plain.config)), ShardedStep)
    assert vl.Spec(shards=1).hash == vl.Spec().hash != vl.Spec(shards=2).hash


@pytest.mark.parametrize("size", [2, 4])
def test_workers_share_the_shards(size: int, monkeypatch: pytest.MonkeyPatch):
    """Each worker in turn, with the sums of the others put in the place of what it would receive."""
    setup, state, step = made(SPEC)
    for t in range(2):
        setup.take(step, t)
    expected = weights(state)

    workers = [made(SPEC, World(rank, size)) for rank in range(size)]
    for t in range(2):
        sums: list[torch.Tensor] = []
        monkeypatch.setattr(World, "sum", lambda self, numbers, reduce, sums=sums: sums.append(numbers.clone()))
        before = [
            [tensor.clone() for tensor in (*state.parameters, *state.mean, *state.square)] for _, state, _ in workers
        ]
        for setup, _, step in workers:
            setup.take(step, t)
        whole = tree_sum(sums)
        monkeypatch.setattr(World, "sum", lambda self, numbers, reduce, whole=whole: numbers.copy_(whole))
        for (setup, state, step), old in zip(workers, before, strict=True):
            with torch.no_grad():
                for tensor, value in zip((*state.parameters, *state.mean, *state.square), old, strict=True):
                    tensor.copy_(value)
            setup.take(step, t)
    for _, state, _ in workers:
        assert all(map(torch.equal, weights(state), expected))


def test_a_worker_reads_only_its_own_images():
    whole, _, _ = made(SPEC)
    parts = [made(SPEC, World(rank, 2))[0] for rank in range(2)]
    for t in (0, 5, 200):
        assert torch.equal(torch.cat([part.batch(t) for part in parts]), whole.batch(t))


def test_the_workers_do_what_one_of_them_asks_for(monkeypatch: pytest.MonkeyPatch):
    setup, _, step = made(SPEC)
    monkeypatch.setattr(World, "sum", lambda self, numbers, reduce: numbers[-3:].add_(torch.tensor([0.0, 1.0, 0.0])))
    step.ask(Asked(save=True))
    setup.take(step, 0)
    assert step.agreed == Asked(stop=False, show=True, save=True)


REFUSED = {
    "objective=mmd": "compares the images of a batch",
    "objective=beta-tc": "compares the images of a batch",
    "objective=factor": "compares the images of a batch",
    "objective=dip": "compares the images of a batch",
    "objective=capacity": "compares the images of a batch",
    "objective=beta:free_nats=0.5": "compares the images of a batch",
    "likelihood=gaussian:sigma=optimal,protocol=grey": "scale is computed from the batch",
    "objective=mcem": "learns in the forward pass (objective.log_size)",
    "posterior=codes,prior=codes,objective=commitment": "learns in the forward pass (posterior.head.books.0.codes)",
}


@pytest.mark.parametrize("parts", REFUSED)
def test_what_looks_at_the_whole_batch_is_refused(parts: str):
    fields = dict(part.split("=", 1) for part in parts.split(","))
    with pytest.raises(SpecError, match="use --shards 1, or ") as error:
        made(SPEC.model_copy(update=fields))[0].refuse_changed()
    assert REFUSED[parts] in error.value.found


def test_a_refused_part_is_as_it_was_before():
    setup, _, _ = made(SPEC.model_copy(update={"objective": "mcem"}))
    assert isinstance(setup.objective, nn.Module)
    before = setup.objective.log_size.clone()
    with pytest.raises(SpecError):
        setup.refuse_changed()
    assert torch.equal(setup.objective.log_size, before)


@pytest.mark.parametrize(
    ("change", "size", "says"),
    [
        (
            {"batch": 18},
            1,
            "shards = 4 of a batch of 18 images; expected shards of equally many images; use --batch 20",
        ),
        (
            {},
            8,
            "8 workers for shards = 4; expected a number of workers that divides the number of shards; use --shards 8",
        ),
        ({"shards": 1}, 3, "3 workers for shards = 1; .*; use --shards 4"),
    ],
)
def test_what_cannot_be_divided_is_refused(change: dict[str, int], size: int, says: str):
    with pytest.raises(SpecError, match=says):
        made(SPEC.model_copy(update=change), World(0, size))


def test_shards_are_a_power_of_two():
    with pytest.raises(SpecError, match="shards = 3; expected 1, 2, 4, 8 or another power of two"):
        vl.Spec(shards=3)
