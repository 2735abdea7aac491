import math

import pytest
import torch
from scipy import stats
from torch.distributions import Exponential, Laplace, Normal, Uniform

from vaelab.randomness.noise import Noise, key_of, threefry

KEY, STEP = key_of(2**62 + 12345), torch.tensor(3)
N = 200_000


def words(*numbers: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor(n, dtype=torch.uint32).view(torch.int32) for n in numbers)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [  # the known answers that Salmon et al. publish with their library
        ((0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xBA3E4725, 0xF27D669E)),
    ],
)
def test_the_words_are_those_of_threefry(key, counter, expected):
    found = threefry(words(*key), words(*counter))
    assert [word.item() & 0xFFFFFFFF for word in found] == list(expected)


def draws(key=KEY, step=STEP, mapped=False):
    """One draw of every kind."""
    with Noise(key, step, mapped):
        return [
            torch.rand(7),
            torch.rand((3, 5)),
            torch.randn(4, 3),
            torch.rand_like(torch.zeros(9, dtype=torch.float64)),
            torch.randn_like(torch.zeros(9)),
            torch.bernoulli(torch.full((40,), 0.5)),
            torch.normal(torch.zeros(3, 1), torch.ones(4)),
            torch.randperm(12),
            torch.empty(11).uniform_(-1, 1),
            torch.empty(11).normal_(2.0, 3.0),
            torch.empty(11).exponential_(2.0),
            Normal(torch.zeros(5, 2), torch.ones(2)).rsample((3,)),
        ]


def test_a_draw_is_a_function_of_key_step_and_number_of_the_draw():
    torch.manual_seed(0)
    first = draws()
    before = torch.get_rng_state()
    assert all(torch.equal(a, b) for a, b in zip(first, draws(), strict=True))
    assert torch.equal(torch.get_rng_state(), before)  # torch's own generator is not used
    for other in (draws(step=torch.tensor(4)), draws(key=key_of(2**62 + 12346)), draws(key=key_of(12345))):
        assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    with Noise(KEY, STEP):
        assert not torch.equal(torch.rand(50), torch.rand(50))


def test_a_draw_has_the_shape_and_the_type_that_were_asked_for():
    with Noise(KEY, STEP):
        assert torch.rand(3, 2).shape == torch.rand((3, 2)).shape == torch.rand(torch.Size([3, 2])).shape == (3, 2)
        assert torch.randn(5, dtype=torch.float64).dtype == torch.float64
        assert torch.empty(4, dtype=torch.float64).normal_().dtype == torch.float64
        assert torch.normal(torch.zeros(3, 1), torch.ones(4)).shape == (3, 4)
        assert sorted(torch.randperm(9).tolist()) == list(range(9))
        assert torch.rand(()).shape == ()
        assert torch.rand(0).shape == (0,)
        assert torch.rand(size=(3, 2)).shape == torch.randn(size=(3, 2)).shape == (3, 2)
        assert torch.normal(0.0, 1.0, (3, 4)).shape == torch.normal(mean=0.0, std=1.0, size=(3, 4)).shape == (3, 4)
        assert torch.normal(torch.zeros(5), 2.0).shape == (5,)
        assert torch.randn_like(torch.zeros(2), dtype=torch.float64).dtype == torch.float64


def test_who_brings_a_generator_draws_from_it():
    def drawn():
        return torch.rand(5, generator=torch.Generator().manual_seed(1))

    with Noise(KEY, STEP):
        assert torch.equal(drawn(), drawn())


@pytest.mark.parametrize(
    ("draw", "law"),
    [
        (lambda: torch.rand(N), "uniform"),
        (lambda: torch.randn(N + 1), "norm"),
        (lambda: torch.empty(N).normal_(), "norm"),
        (lambda: torch.empty(N).exponential_(), "expon"),
        (lambda: Exponential(torch.ones(N)).rsample(), "expon"),
        (lambda: Laplace(torch.zeros(N), torch.ones(N)).rsample(), "laplace"),
        (lambda: Uniform(torch.zeros(N), torch.ones(N)).rsample(), "uniform"),
    ],
)
def test_draws_follow_their_law(draw, law):
    with Noise(KEY, STEP):
        x = draw().double()
    assert x.isfinite().all()
    assert stats.kstest(x.numpy(), law).pvalue > 1e-3


def test_neighbours_in_place_step_draw_and_half_are_independent():
    with Noise(KEY, STEP):
        x, second_draw = torch.randn(N).double(), torch.randn(N).double()
    with Noise(KEY, STEP + 1):
        next_step = torch.randn(N).double()
    half = N // 2
    pairs = [(x[1:], x[:-1]), (x[:half], x[half:]), (x, second_draw), (x, next_step), (second_draw, next_step)]
    for a, b in pairs:
        for f, g in ((a, b), (a**2 - 1, b**2 - 1)):
            spread = (f**2).mean() * (g**2).mean()
            assert abs((f * g).mean()) < 4 * math.sqrt(spread / len(f))


def test_coins_fall_as_often_as_they_should():
    chance = torch.tensor([0.0, 0.02, 0.5, 1.0]).expand(N, 4)
    with Noise(KEY, STEP):
        share = torch.bernoulli(chance).double().mean(0)
    assert share[0] == 0
    assert share[3] == 1
    for got, expected in ((share[1], 0.02), (share[2], 0.5)):
        assert abs(got - expected) < 4 * math.sqrt(expected * (1 - expected) / N)


def test_mapped_draws_are_those_of_each_alone():
    keys, steps = torch.stack([KEY, key_of(5)]), torch.tensor([3, 8])
    vmapped = torch.func.vmap(lambda key, step: draws(key, step, mapped=True))(keys, steps)
    for i in range(2):
        for a, b in zip(vmapped, draws(keys[i], steps[i]), strict=True):
            torch.testing.assert_close(a[i], b, rtol=0, atol=1e-6)


def test_a_mapped_draw_into_a_tensor_that_all_share_is_not_taken_for_one():
    """The draw is what is returned; the tensor itself cannot hold one of each."""

    def wrong(key):
        with Noise(key, STEP, mapped=True):
            shared = torch.empty(4)
            shared.normal_()
            return shared + key[0]

    assert torch.func.vmap(wrong)(torch.stack([KEY, key_of(5)])).isnan().all()
