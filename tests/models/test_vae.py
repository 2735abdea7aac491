import math

import pytest
import torch
from torch.distributions import Independent, Normal

from tests.built import build_model
from tests.oracle import linear_gaussian
from vaelab.objectives.bounds import elbo, iwae, log_weights, rate
from vaelab.runs.spec import Spec

SPECS = {
    "bernoulli": Spec(latent=3, network="mlp:hidden=8"),
    "pixel sigma": Spec(latent=3, network="conv:channels=4", likelihood="gaussian:sigma=pixel"),
    "shared sigma": Spec(latent=3, network="article-conv:maps=2:hidden=6", likelihood="gaussian"),
}


@pytest.mark.parametrize("name", SPECS)
def test_shapes_and_densities_of_a_draw(name):
    model = build_model(SPECS[name], (2, 5, 4))
    torch.manual_seed(0)
    x = torch.rand(6, 2, 5, 4).round()
    draw = model(x, samples=7)
    assert draw.z.shape == (7, 6, 3)
    assert draw.log_lik.shape == draw.log_prior.shape == draw.log_post.shape == (7, 6)
    assert draw.kl.shape == (6,)
    standard = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    torch.testing.assert_close(draw.log_prior, standard.log_prob(draw.z))
    mu, log_var = model.posterior.network(x).chunk(2, -1)
    posterior = Independent(Normal(mu, (0.5 * log_var).exp()), 1)
    torch.testing.assert_close(draw.log_post, posterior.log_prob(draw.z))
    torch.testing.assert_close(draw.log_lik[2], model.likelihood(draw.z[2]).log_prob(x))


@pytest.mark.parametrize("name", SPECS)
def test_sampling_and_reconstruction(name):
    model = build_model(SPECS[name], (2, 5, 4))
    torch.manual_seed(0)
    assert model.sample(9).sample().shape == (9, 2, 5, 4)
    x = torch.rand(6, 2, 5, 4)
    many, few = model.reconstruct(x, 4000), model.reconstruct(x, 2)
    assert many.shape == x.shape
    q = model.posterior(x)
    truth = torch.stack([model.likelihood(q.sample()).mean for _ in range(4000)])
    error = truth.std(0) / math.sqrt(4000)
    # 240 pixels of two independent means: sqrt(2) standard errors each, beyond 5 of those once in 7,000 seeds
    assert ((many - truth.mean(0)).abs() <= 5 * math.sqrt(2) * error + 1e-6).all()
    assert not torch.equal(few, many)


def test_samples_spread_as_the_posterior_says():
    model = build_model(SPECS["bernoulli"], (2, 5, 4))
    torch.manual_seed(0)
    x = torch.rand(1, 2, 5, 4)
    draw = model(x, samples=20_000)
    sigma = draw.posterior.stddev[0]
    assert ((draw.z[:, 0].std(0) / sigma - 1).abs() < 4.5 / math.sqrt(2 * 20_000)).all()


def test_the_exact_posterior_makes_every_weight_the_evidence():
    oracle = linear_gaussian()
    torch.manual_seed(0)
    x = torch.randn(20, 1, 2, 3, dtype=torch.float64)
    draw = oracle.model(x, samples=5)
    exact = oracle.log_p(x)
    torch.testing.assert_close(log_weights(draw), exact.expand(5, -1), rtol=0, atol=1e-9)
    torch.testing.assert_close(iwae(draw), exact, rtol=0, atol=1e-9)


def test_elbo_at_the_exact_posterior_is_the_evidence_in_expectation():
    oracle = linear_gaussian()
    torch.manual_seed(0)
    x = torch.randn(1, 1, 2, 3, dtype=torch.float64)
    draw = oracle.model(x, samples=50_000)
    error = draw.log_lik.std() / math.sqrt(50_000)  # the rate is exact
    assert (elbo(draw) - oracle.log_p(x)).abs().item() < 4 * error


def test_the_gap_of_the_elbo_is_the_divergence_to_the_exact_posterior():
    off, exact = linear_gaussian(posterior_error=0.3), linear_gaussian()
    torch.manual_seed(0)
    x = torch.randn(1, 1, 2, 3, dtype=torch.float64)
    q, truth = off.model.posterior(x), exact.model.posterior(x)
    gap = torch.distributions.kl_divergence(q, truth)
    draw = off.model(x, samples=50_000)
    error = draw.log_lik.std() / math.sqrt(50_000)
    assert (exact.log_p(x) - elbo(draw) - gap).abs().item() < 4 * error


def test_one_seed_one_model():
    spec = Spec(latent=2, network="mlp:hidden=5")
    one, two = build_model(spec, (1, 4, 4)), build_model(spec, (1, 4, 4))
    other = build_model(spec.model_copy(update={"seed": 1}), (1, 4, 4))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_bfloat16_touches_networks_only():
    model = build_model(Spec(latent=3, network="mlp:hidden=64"), (1, 8, 8))
    x = torch.rand(10, 1, 8, 8).round()
    torch.manual_seed(0)
    full = model(x)
    model.posterior.use_bfloat16 = model.likelihood.use_bfloat16 = True
    torch.manual_seed(0)
    half = model(x)
    assert half.z.dtype == half.log_lik.dtype == half.kl.dtype == torch.float32
    assert not torch.equal(half.log_lik, full.log_lik)
    torch.testing.assert_close(half.log_lik, full.log_lik, rtol=2e-2, atol=0)
    torch.testing.assert_close(rate(half), rate(full), rtol=5e-2, atol=1e-3)
