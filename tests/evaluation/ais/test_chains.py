"""Annealed importance sampling against exact log p(x), forward and in reverse."""

import math
from types import SimpleNamespace

import pytest
import torch

from tests.oracle import linear_gaussian, mixture_prior, two_level
from vaelab.evaluation.ais import chains, hamiltonian
from vaelab.evaluation.ais.annealed import simulate
from vaelab.evaluation.ais.chains import AnnealingSettings, Chains, run_chains, schedule
from vaelab.system.errors import NonFiniteError


@pytest.fixture(autouse=True)
def _quick_and_with_a_generator_of_its_own(monkeypatch):
    monkeypatch.setattr(chains, "BANDS", 25)
    with torch.random.fork_rng():
        yield


def settings(temperatures: int = 8, chains: int = 8, leapfrog: int = 3, start: str = "prior") -> AnnealingSettings:
    return AnnealingSettings(temperatures=temperatures, chains=chains, leapfrog=leapfrog, start=start)


def within(values: torch.Tensor, truth: float, standard_errors: float = 4) -> bool:
    return bool((values.mean() - truth).abs() < standard_errors * values.std() / math.sqrt(len(values)))


@pytest.mark.parametrize("temperatures", [1, 2, 7, 500])
def test_the_schedule_runs_from_0_to_1_exactly_and_always_upwards(temperatures):
    b = schedule(temperatures)
    assert len(b) == temperatures + 1
    assert (b[0], b[-1]) == (0, 1)
    assert (b.diff() > 0).all()
    torch.testing.assert_close(b, 1 - b.flip(0))  # as slow at one end as at the other
    assert temperatures < 7 or b.diff()[0] < b.diff().max() / 2


def test_from_the_exact_posterior_every_weight_is_exact():
    oracle = linear_gaussian()
    x, z = simulate(oracle.model, 5, seed=0)
    result = run_chains(oracle.model, x, settings(start="posterior"), 0, exact=z)
    truth = oracle.log_p(x).expand(8, 5)
    torch.testing.assert_close(result.log_w, truth, rtol=0, atol=1e-9)
    torch.testing.assert_close(result.log_v, -truth, rtol=0, atol=1e-9)
    torch.testing.assert_close(result.ess, torch.full((5,), 8.0).double())
    assert result.variance.max() < 1e-12


@pytest.mark.parametrize(
    ("oracle", "start"),
    [
        (linear_gaussian(posterior_error=0.5), "posterior"),
        (mixture_prior(), "prior"),
        (two_level(), "prior"),
    ],
    ids=["linear", "mixture", "two levels"],
)
def test_weights_are_unbiased_forward_and_in_reverse_with_few_temperatures(oracle, start):
    """E[w] = p(x) and E[v] = 1 / p(x) however few the temperatures: what every bound here rests on."""
    x, z = simulate(oracle.model, 150, seed=1)
    result = run_chains(oracle.model, x, settings(temperatures=6, start=start), 0, exact=z)
    truth = oracle.log_p(x)
    assert within((result.log_w - truth).exp().mean(0), 1)
    assert within((result.log_v + truth).exp().mean(0), 1)
    assert result.lower.mean() < truth.mean() < result.upper.mean()
    assert 0.5 < result.acceptance.mean() < 0.8


def test_without_a_transition_it_is_plain_importance_sampling():
    oracle = linear_gaussian(posterior_error=0.5)
    x, _ = simulate(oracle.model, 150, seed=1)
    result = run_chains(oracle.model, x, settings(temperatures=1, start="posterior"), 0)
    assert within((result.log_w - oracle.log_p(x)).exp().mean(0), 1)
    assert result.acceptance.isnan().all()


@pytest.mark.parametrize("start", ["prior", "posterior"])
def test_more_temperatures_close_the_bounds(start):
    oracle = linear_gaussian(posterior_error=0.5)
    x, z = simulate(oracle.model, 40, seed=0)
    gaps = []
    for temperatures in (4, 16, 64):
        result = run_chains(oracle.model, x, settings(temperatures, chains=4, start=start), 0, exact=z)
        gaps.append((result.upper - result.lower).mean().item())
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]
    assert gaps[2] > -0.01


def test_the_acceptance_is_the_mean_over_every_transition(monkeypatch):
    monkeypatch.setattr(chains, "transition", lambda path, here, *rest: (here, torch.ones_like(here.log_ratio)))
    oracle = linear_gaussian()
    x, _ = simulate(oracle.model, 3, seed=0)
    assert run_chains(oracle.model, x, settings(temperatures=4), 0).acceptance.tolist() == [1, 1, 1]


def test_each_transition_has_the_temperature_and_step_size_of_its_place(monkeypatch):
    given = []

    def recorded(path, here, b, step, *rest):
        given.append((b, step.item()))
        return here, torch.ones(1, 1)

    monkeypatch.setattr(chains, "at", lambda path, z: SimpleNamespace(log_ratio=torch.zeros(1, 1)))
    monkeypatch.setattr(chains, "transition", recorded)
    b, steps = [0.0, 0.1, 0.4, 0.8, 1.0], torch.tensor([[1.0], [2.0], [3.0]])
    chains.anneal(None, torch.zeros(1, 1, 2), b, steps, 1, iter([None] * 3), lambda count: None)
    assert given == [(0.1, 1), (0.4, 2), (0.8, 3)]


def test_the_effective_number_and_variance_are_those_of_the_weights():
    w = torch.tensor([[1.0, 3.0], [1.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    result = Chains(w.log() + 700, None, torch.ones(2))  # exp(700 * 2) is beyond float64
    assert result.ess.tolist() == pytest.approx([3, 16 / 10])
    left = torch.tensor([1.0, 3.0, 4.0], dtype=torch.float64).log() - math.log(2)  # means of the other two weights
    variance = 2 / 3 * (left - left.mean()).square().sum().item()
    assert result.variance.tolist() == pytest.approx([0, variance], abs=1e-12)
    assert result.lower.tolist() == pytest.approx([700, 700 + math.log(4 / 3)])


def test_how_many_images_are_annealed_at_a_time_does_not_matter(monkeypatch):
    oracle = two_level()
    x, z = simulate(oracle.model, 5, seed=0)
    whole = run_chains(oracle.model, x, settings(), 0, exact=z)
    monkeypatch.setattr(chains, "PASSES", 16)  # two at a time
    ticks: list[int] = []
    parts = run_chains(oracle.model, x, settings(), 0, exact=z, tick=ticks.append)
    torch.testing.assert_close(parts.log_w, whole.log_w, rtol=0, atol=1e-9)
    torch.testing.assert_close(parts.log_v, whole.log_v, rtol=0, atol=1e-9)
    torch.testing.assert_close(parts.acceptance, whole.acceptance, rtol=0, atol=1e-9)
    assert sum(ticks) == 5 * settings().transitions(reverse=True)


def test_equal_images_draw_for_themselves():
    oracle = two_level()
    x = torch.full((2, 1, 2, 3), 0.5, dtype=torch.float64)
    result = run_chains(oracle.model, x, settings(), 0)
    assert not torch.isclose(result.log_w[:, 0], result.log_w[:, 1]).any()
    assert not torch.isclose(result.log_w[:, 0], run_chains(oracle.model, x, settings(), 1).log_w[:, 0]).any()


def test_the_step_sizes_of_the_measured_run_are_not_its_own(monkeypatch):
    """The measured run neither adapts nor shares a draw with the run that does."""
    oracle = linear_gaussian(posterior_error=0.5)
    x, _ = simulate(oracle.model, 3, seed=0)
    measured = run_chains(oracle.model, x, settings(), 0)
    frozen = chains.find_steps
    monkeypatch.setattr(chains, "find_steps", lambda *a: frozen(*a) * 0 + 0.3)
    fixed = [run_chains(oracle.model, x, settings(), 0).log_w]
    monkeypatch.setattr(chains, "WARM_UP", 3)
    fixed.append(run_chains(oracle.model, x, settings(), 0).log_w)
    assert torch.equal(*fixed)
    assert not torch.isclose(measured.log_w, fixed[0]).any()
    monkeypatch.setattr(hamiltonian, "GAIN", 0.0)
    assert torch.equal(run_chains(oracle.model, x, settings(), 0).log_w, fixed[0])


def test_weights_that_are_not_finite_are_an_error():
    oracle = linear_gaussian()
    with torch.no_grad():
        oracle.model.likelihood.network[0].bias[0] = torch.inf
    with pytest.raises(NonFiniteError, match="for 2 of 2 images"):
        run_chains(oracle.model, torch.zeros(2, 1, 2, 3, dtype=torch.float64), settings(), 0)
