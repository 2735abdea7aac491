"""The measure `Annealed`: what its metrics say, on which images, and what it refuses."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.built import build_model
from tests.oracle import linear_gaussian, two_level
from vaelab.data import Dataset
from vaelab.evaluation.ais import annealed as annealing
from vaelab.evaluation.ais import chains, hamiltonian
from vaelab.evaluation.ais.annealed import Annealed, importance_weighted, simulate
from vaelab.evaluation.measure import EvaluationContext, Metric
from vaelab.runs.spec import Spec
from vaelab.system.errors import DataError, SpecError

FEW = Annealed(temperatures=5, chains=4, leapfrog=2, images=6, simulated=0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(chains, "BANDS", 25)


def dataset(n: int = 6, protocol: str = "grey", shape=(1, 2, 3)) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)
    return Dataset("made", "test", images, None, protocol)


def context(model, data: Dataset | None = None, seed: int = 0, note: str = "") -> EvaluationContext:
    data = dataset() if data is None else data
    return EvaluationContext(model, data, data, seed, note, Path("unused"))


def measured(measure: Annealed, of: EvaluationContext) -> dict[str, Metric]:
    measure.check(of)
    return {metric.name: metric for metric in measure(of, lambda share: None)}


def pixels(data: Dataset) -> torch.Tensor:
    return (torch.from_numpy(data.images).float() / 255).double()


def test_at_the_exact_posterior_every_number_is_exact_and_every_image_counted_once():
    oracle, data = linear_gaussian(), dataset()
    metrics = measured(replace(FEW, start="posterior", simulated=7, samples=3), context(oracle.model, data))
    truth = -oracle.log_p(pixels(data))
    nll = metrics["nll_ais"]
    assert nll.value == pytest.approx(truth.mean().item(), abs=1e-6)
    assert nll.se == pytest.approx(truth.std().item() / math.sqrt(6), abs=1e-6)
    assert nll.monte_carlo_se == pytest.approx(0, abs=1e-6)
    assert metrics["ais_ess"].value == pytest.approx(4)
    for name in ("bdmc_gap", "iw_gap"):
        assert metrics[name].value == pytest.approx(0, abs=1e-6)
    assert metrics["bdmc_lower"].value == pytest.approx(metrics["bdmc_upper"].value)


def test_metrics_carry_what_is_needed_to_compare_them():
    of = context(two_level().model, dataset(9), note="not a likelihood")
    metrics = measured(replace(FEW, simulated=5, samples=11), of)
    said = {name: (m.unit, m.images, m.samples) for name, m in metrics.items()}
    assert said == {
        "nll_ais": ("nats/image", 6, 4),
        "ais_acceptance": ("probability", 6, 4),
        "ais_ess": ("chains", 6, 4),
        "bdmc_lower": ("nats/image", 5, 4),
        "bdmc_upper": ("nats/image", 5, 4),
        "bdmc_gap": ("nats/image", 5, 4),
        "iw_gap": ("nats/image", 5, 11),
    }
    assert "not a likelihood; 5 temperatures of 2 leapfrog steps, from the prior" in metrics["nll_ais"].note
    assert all("simulated by the model, not of data" in metrics[n].note for n in said if n.startswith(("bdmc", "iw")))
    assert all(m.se > 0 and (m.split, m.protocol) == ("test", "grey") for m in metrics.values())
    assert metrics["nll_ais"].monte_carlo_se > 0
    assert metrics["bdmc_gap"].value == pytest.approx(metrics["bdmc_upper"].value - metrics["bdmc_lower"].value)
    one = measured(replace(FEW, chains=1, images=1), of)["nll_ais"]
    assert one.se is None
    assert one.monte_carlo_se is None


def test_the_gap_of_the_importance_weighted_bound_is_found_on_images_whose_truth_is_known():
    oracle = linear_gaussian(posterior_error=0.7)
    measure = Annealed(temperatures=30, chains=16, leapfrog=2, images=1, start="posterior", simulated=40, samples=1)
    gaps = {}
    for samples in (1, 1500):
        gap = measured(replace(measure, samples=samples), context(oracle.model))["iw_gap"]
        with torch.random.fork_rng(), torch.no_grad():
            x, _ = simulate(oracle.model, 40, seed=0)
            error = oracle.log_p(x) - importance_weighted(oracle.model, x, samples, seed=2)
        assert abs(gap.value - error.mean().item()) < 4 * math.hypot(gap.se, error.std().item() / math.sqrt(40))
        gaps[samples] = gap.value
    assert gaps[1] > 0.2
    assert gaps[1500] == pytest.approx(0, abs=0.05)


def test_simulated_images_come_with_samples_of_their_posteriors():
    """z given x is normal with the exact posterior's mean and variance, which this oracle's encoder knows."""
    oracle = linear_gaussian()
    with torch.random.fork_rng(), torch.no_grad():
        x, z = simulate(oracle.model, 4000, seed=0)
        q = oracle.model.posterior(x)
    white = (z - q.mean) / q.stddev
    assert (white.mean(0).abs() < 4 / math.sqrt(4000)).all()
    assert ((white.square().mean(0) - 1).abs() < 4 * math.sqrt(2 / 4000)).all()
    assert x.std() > 0.5


def test_importance_weighted_draws_k_exactly_in_however_many_parts(monkeypatch):
    oracle, drawn = linear_gaussian(posterior_error=0.5), []
    draw = oracle.model.draw
    monkeypatch.setattr(oracle.model, "draw", lambda x, q, n: drawn.append(n) or draw(x, q, n))
    monkeypatch.setattr(annealing, "PASSES", 4)
    with torch.random.fork_rng(), torch.no_grad():
        importance_weighted(oracle.model, torch.zeros(2, 1, 2, 3, dtype=torch.float64), 10, seed=0)
    assert drawn == [4, 4, 2, 4, 4, 2]


def test_the_order_of_the_images_does_not_matter():
    oracle, data = two_level(), dataset(20)
    shuffled = replace(data, images=np.ascontiguousarray(data.images[np.random.default_rng(1).permutation(20)]))
    for protocol in ("grey", "8bit"):  # without and with noise in the pixels
        one, other = (
            measured(FEW, context(oracle.model, replace(d, protocol=protocol)))["nll_ais"] for d in (data, shuffled)
        )
        assert one.value == pytest.approx(other.value, abs=1e-9)
        assert one.monte_carlo_se == pytest.approx(other.monte_carlo_se, abs=1e-9)


def test_nats_of_eight_bit_images_are_those_of_the_levels():
    oracle, grey, eight_bit = linear_gaussian(), dataset(), dataset(protocol="8bit")
    options = replace(FEW, start="posterior", simulated=3)
    a, b = measured(options, context(oracle.model, grey)), measured(options, context(oracle.model, eight_bit))
    assert b["nll_ais"].value - a["nll_ais"].value == pytest.approx(6 * math.log(256), abs=0.1)
    assert a["bdmc_lower"].value - b["bdmc_lower"].value == pytest.approx(6 * math.log(256))
    assert a["bdmc_upper"].value - b["bdmc_upper"].value == pytest.approx(6 * math.log(256))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian:sigma=pixel"])
def test_a_seed_fixes_every_draw_and_the_model_and_generator_are_left_as_they_were(likelihood):
    protocol = "binary-dynamic" if likelihood == "bernoulli" else "8bit"
    model = build_model(Spec(latent=3, network="mlp:hidden=8", likelihood=likelihood), (1, 8, 8)).train()
    data = dataset(6, protocol, (1, 8, 8))
    options = replace(FEW, simulated=3, samples=5)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = measured(options, context(model, data)), measured(options, context(model, data))
    assert torch.equal(torch.get_rng_state(), before)
    assert one == two
    assert one["nll_ais"].value != measured(options, context(model, data, seed=1))["nll_ais"].value
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_dropout_is_off_while_it_measures():
    model = linear_gaussian().model
    model.likelihood.network.insert(0, torch.nn.Dropout(0.9))
    truth = -linear_gaussian().log_p(pixels(dataset())).mean().item()
    assert measured(replace(FEW, start="posterior"), context(model))["nll_ais"].value == pytest.approx(truth, abs=1e-6)


def test_progress_goes_to_one_without_going_back(monkeypatch):
    monkeypatch.setattr(chains, "PASSES", 8)
    shares: list[float] = []
    replace(FEW, simulated=3)(context(two_level().model), shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_bad_acceptance_rate_and_too_few_effective_chains_are_said(monkeypatch):
    monkeypatch.setattr(hamiltonian, "TARGET", 0.2)
    tight = linear_gaussian(sigma=0.02)
    metrics = measured(replace(FEW, temperatures=2), context(tight.model))
    assert "warning: acceptance 0." in metrics["ais_acceptance"].note
    assert "effective chains" in metrics["ais_ess"].note
    assert metrics["nll_ais"].note.count("warning") == 2
    monkeypatch.undo()
    fine = measured(replace(FEW, start="posterior"), context(linear_gaussian().model))
    assert not any("warning" in metric.note for metric in fine.values())


def test_options_that_make_no_sense_are_refused():
    for option in ("chains", "leapfrog", "images", "samples"):
        with pytest.raises(SpecError, match=f"{option} = 0; expected at least 1"):
            replace(FEW, **{option: 0})
    with pytest.raises(SpecError, match="temperatures = 1; expected at least 2"):
        replace(FEW, temperatures=1)
    with pytest.raises(SpecError, match="simulated = -1; expected at least 0"):
        replace(FEW, simulated=-1)
    with pytest.raises(SpecError, match="did you mean 'posterior'"):
        replace(FEW, start="posteriors")
    with pytest.raises(SpecError, match=r"chains = 1,001; expected at most 1,000"):
        replace(FEW, chains=1001)


def test_more_images_than_there_are_is_refused_with_their_number():
    with pytest.raises(DataError, match=r"of 6 test images; expected at least 7"):
        replace(FEW, images=7).check(context(two_level().model))
