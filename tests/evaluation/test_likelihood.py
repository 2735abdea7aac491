"""The evaluator against exact answers, and against itself in other chunks."""

import math

import numpy as np
import pytest
import torch

from tests.oracle import linear_gaussian
from vaelab.assemble import build_model, completed, load_data
from vaelab.data import Dataset
from vaelab.evaluation import likelihood
from vaelab.evaluation.likelihood import evaluate
from vaelab.evaluation.metrics import active_units, kl_of_dimensions, metrics
from vaelab.spec import Spec


def dataset(n: int = 230, protocol: str = "grey", shape=(1, 2, 3)) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)
    return Dataset("made", "test", images, None, protocol)


def double(data: Dataset) -> torch.Tensor:
    return (torch.from_numpy(data.images).float() / 255).double()


@pytest.mark.parametrize("samples", [1, 7, 2500])
def test_at_the_exact_posterior_the_nll_is_exact_with_any_number_of_samples(samples):
    oracle, data = linear_gaussian(), dataset(20)
    evaluation = evaluate(oracle.model, data, samples, seed=0)
    torch.testing.assert_close(evaluation.nll, -oracle.log_p(double(data)), rtol=0, atol=1e-9)
    assert evaluation.samples == samples


def test_off_the_exact_posterior_the_nll_comes_down_to_it():
    oracle, data = linear_gaussian(posterior_error=0.5), dataset(150)
    truth = -oracle.log_p(double(data))
    gaps = [(evaluate(oracle.model, data, k, seed=1).nll - truth).mean().item() for k in (1, 10, 100, 2000)]
    assert gaps == sorted(gaps, reverse=True)
    assert 0 <= gaps[3] < 0.02 * gaps[0]


def test_bounds_are_ordered_and_the_rate_is_the_closed_form():
    oracle, data = linear_gaussian(posterior_error=0.5), dataset(150)
    evaluation = evaluate(oracle.model, data, 50, seed=0)
    x = double(data)
    truth = -oracle.log_p(x)
    kl = torch.distributions.kl_divergence(oracle.model.posterior(x), oracle.model.prior())
    torch.testing.assert_close(evaluation.rate, kl.detach())
    torch.testing.assert_close(evaluation.kl_per_dimension.sum(1), kl.detach())
    assert truth.mean() < evaluation.nll.mean() < -evaluation.elbo.mean()
    torch.testing.assert_close(evaluation.elbo, -evaluation.rate - evaluation.distortion)


def test_the_number_of_passes_at_a_time_does_not_matter_beyond_the_draws(monkeypatch):
    oracle, data = linear_gaussian(), dataset(130)
    monkeypatch.setattr(likelihood, "PASSES", 150)  # one sample at a time
    one = evaluate(oracle.model, data, 3, seed=0)
    monkeypatch.setattr(likelihood, "PASSES", 100_000)
    many = evaluate(oracle.model, data, 3, seed=0)
    torch.testing.assert_close(one.nll, many.nll, rtol=0, atol=1e-9)  # exact posterior: no Monte Carlo error at all
    assert len(one.nll) == len(many.nll) == 130


def test_images_are_counted_once_and_in_order():
    oracle, data = linear_gaussian(), dataset(230)
    whole = evaluate(oracle.model, data, 2, seed=0)
    last = Dataset("made", "test", data.images[200:], None, "grey")
    torch.testing.assert_close(evaluate(oracle.model, last, 2, seed=0).nll, whole.nll[200:], rtol=0, atol=1e-9)


def test_a_seed_fixes_every_draw_and_the_global_generator_is_left_alone():
    spec = completed(Spec(latent=2, network="mlp:hidden=5"))
    data = load_data(spec).test
    model = build_model(spec, data.shape).train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = evaluate(model, data, 3, seed=0), evaluate(model, data, 3, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.nll, two.nll)
    assert not torch.equal(one.nll, evaluate(model, data, 3, seed=1).nll)
    assert model.training
    assert not one.nll.requires_grad


def test_eight_bit_nats_are_those_of_the_levels():
    """A decoder that knows nothing but a wide sigma: -log P(u) of uniform noise is at least log 256 a dimension."""
    spec = Spec(data="digits", likelihood="gaussian:sigma=0.35", latent=2, network="mlp:hidden=5")
    model = build_model(spec, (1, 8, 8))
    data = dataset(100, "8bit", (1, 8, 8))
    evaluation = evaluate(model, data, 20, seed=0)
    rows = {m.name: m for m in metrics(evaluation, data, "")}
    assert rows["bits_per_dim"].value == pytest.approx(rows["nll"].value / (64 * math.log(2)))
    assert 8 < rows["bits_per_dim"].value < 9
    grey = {m.name: m for m in metrics(evaluate(model, dataset(100, "grey", (1, 8, 8)), 20, 0), dataset(100), "")}
    assert "bits_per_dim" not in grey
    assert rows["nll"].value - grey["nll"].value == pytest.approx(64 * math.log(256), rel=1e-3)


def test_metrics_carry_what_is_needed_to_compare_them():
    oracle, data = linear_gaussian(), dataset(100)
    evaluation = evaluate(oracle.model, data, 4, seed=0)
    rows = {m.name: m for m in metrics(evaluation, data, "not a likelihood")}
    nll = rows["nll"]
    assert (nll.unit, nll.split, nll.protocol, nll.samples, nll.images) == ("nats/image", "test", "grey", 4, 100)
    assert nll.note == rows["elbo"].note == "not a likelihood"
    assert nll.se == pytest.approx(evaluation.nll.std().item() / 10)
    assert rows["rate"].note == ""
    assert rows["active_units"].se is None
    assert len(kl_of_dimensions(evaluation)) == 2


def test_reconstruction_error_is_of_the_mean_over_posterior_samples():
    oracle, data = linear_gaussian(posterior_error=0.8), dataset(100)
    few, many = (evaluate(oracle.model, data, k, seed=0).squared_error.mean().item() for k in (1, 400))
    x = double(data)
    q = oracle.model.posterior(x)
    exact = (
        (x - oracle.model.likelihood(q.mean).mean).square().mean().item()
    )  # linear: mean of means = mean at the mean
    assert many == pytest.approx(exact, rel=0.02)
    assert few > many


def test_active_units_have_a_mean_that_varies_by_more_than_a_hundredth():
    mean = torch.zeros(1000, 4)
    mean[:, 1] = torch.linspace(-1, 1, 1000)
    mean[:, 2] = torch.linspace(-0.16, 0.16, 1000)  # variance 0.0085
    mean[:, 3] = 5.0
    assert active_units(mean) == 1
    assert active_units(mean[:1]) == 0
