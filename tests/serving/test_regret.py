from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

import vaelab as vl
from tests.built import build_model
from tests.oracle import PlainGaussian, linear_gaussian
from vaelab.data import Dataset
from vaelab.distributions import kl_divergence
from vaelab.distributions.normal import diagonal_normal
from vaelab.models import Conditional
from vaelab.posteriors import DiagonalGaussian, FullGaussian
from vaelab.priors import StandardNormal
from vaelab.serving import regret
from vaelab.serving.regret import likelihood_regret
from vaelab.system.errors import NonFiniteError, SpecError


def grey(count=12, shape=(1, 2, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def of(images):
    return Dataset("mine", "test", images, None, "grey")


def exact(oracle, images):
    """KL(encoder's q || p(z|x)): what the ELBO of the best q, which is exact here, gains."""
    x = torch.from_numpy(images).double() / 255
    mean, covariance = oracle.exact.moments(x.flatten(1))
    best = diagonal_normal(mean, 0.5 * torch.diagonal(covariance, dim1=1, dim2=2).log())
    with torch.no_grad():
        return kl_divergence(oracle.model.posterior(x), best).numpy()


@pytest.mark.parametrize("error", [0.0, 0.3, 1.0])
def test_it_is_that_of_a_linear_gaussian_model(error):
    """It agrees within 5 standard errors and 0.1 nats, which Adam may leave; the mean within 0.05 nats besides."""
    oracle, images = linear_gaussian(posterior_error=error), grey()
    found, true = likelihood_regret(oracle.model, of(images), 0), exact(oracle, images)
    off = found.nats - true
    assert (np.abs(off) <= 5 * found.se_nats + 0.1).all()
    assert abs(off.mean()) <= 3 * np.sqrt((found.se_nats**2).sum()) / len(off) + 0.05
    assert (found.nats >= -5 * found.se_nats - 0.1).all()


@pytest.mark.parametrize("step", [0.01, 0.03])
def test_too_small_steps_are_noticed(step, monkeypatch):
    """The comparison with the exact regret can fail: with so small a rate, Adam does not arrive."""
    monkeypatch.setattr(regret, "RATE", step)
    oracle, images = linear_gaussian(posterior_error=1.0), grey()
    found, true = likelihood_regret(oracle.model, of(images), 0), exact(oracle, images)
    assert (found.nats - true).mean() < -0.5


def small(**fields):
    torch.manual_seed(0)
    spec = vl.Spec(data="digits", latent=3, network="mlp:hidden=8", **fields)
    return build_model(spec, (1, 8, 8)).eval()


def binary(count=9, shape=(1, 8, 8)):
    return Dataset("mine", "test", grey(count, shape), None, "binary-dynamic")


@pytest.mark.parametrize("prior", ["normal", "vamp:components=4", "mixture:components=3", "flow"])
def test_it_gains_for_an_untrained_encoder_with_any_prior(prior):
    found = likelihood_regret(small(prior=prior), binary(), 0, steps=30)
    assert (found.nats > -5 * found.se_nats).all()
    assert found.nats.mean() > 0


def test_it_depends_on_the_image_and_not_on_its_place():
    model, data = small(), binary(150)
    found = likelihood_regret(model, data, 0, steps=5).nats
    order = np.random.default_rng(0).permutation(150)
    assert np.allclose(likelihood_regret(model, data.take(order), 0, steps=5).nats, found[order], atol=1e-4)
    assert (likelihood_regret(model, data, 0, steps=5).nats == found).all()
    assert not np.allclose(likelihood_regret(model, data, 1, steps=5).nats, found, atol=1e-4)


def test_memory_changes_no_number_beyond_rounding(monkeypatch):
    model, data = small(), binary(20)
    found = likelihood_regret(model, data, 0, steps=5).nats
    monkeypatch.setattr(regret, "MEMORY_MB", 1e-6)  # one image at a time
    assert np.allclose(likelihood_regret(model, data, 0, steps=5).nats, found, atol=1e-4)


def test_model_gradients_mode_and_generator_are_unchanged():
    model = small(prior="vamp:components=4").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.posterior.network[1].weight.grad = held = torch.ones_like(model.posterior.network[1].weight)
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    with torch.no_grad():  # as a caller may have it
        likelihood_regret(model, binary(), 0, steps=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.posterior.network[1].weight.grad is held
    assert torch.equal(held, torch.ones_like(held))
    assert all(parameter.grad is None for parameter in model.likelihood.parameters())


def test_a_model_with_labels_uses_that_of_each_image():
    labels = np.arange(9) % 3
    torch.manual_seed(0)
    spec = vl.Spec(data="digits", latent=3, network="mlp:hidden=8", condition="labels")
    model = build_model(spec, (1, 8, 8), labels).eval()
    data = Dataset("mine", "test", grey(9, (1, 8, 8)), labels, "binary-threshold")
    first, other = data.by_content[0], labels.copy()
    other[first] = (other[first] + 1) % 3
    found = likelihood_regret(model, data, 0, steps=5).nats
    changed = np.abs(likelihood_regret(model, replace(data, labels=other), 0, steps=5).nats - found) > 1e-3
    assert changed.nonzero()[0].tolist() == [first]


def dependent(head):
    """A linear model whose exact p(z|x) has dependent dimensions, and an encoder that is off."""
    torch.manual_seed(0)
    weight, sigma = torch.tensor([[1.0, 0.8], [0.2, 1.0], [1.0, 1.0], [0.5, 0.1], [0.0, 0.7], [0.9, 0.9]]), 0.4
    decoder = nn.Sequential(nn.Linear(2, 6, bias=False), nn.Unflatten(1, (1, 2, 3)))
    with torch.no_grad():
        decoder[0].weight.copy_(weight)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(6, *head.parameter_shape((2,))))
    q = Conditional(encoder, head, (1, 2, 3))
    model = vl.VAE(StandardNormal(2), q, Conditional(decoder, PlainGaussian(sigma), (2,)))
    covariance = torch.inverse(torch.eye(2) + weight.T @ weight / sigma**2)
    return model, lambda x: MultivariateNormal(x.flatten(1) @ weight @ covariance / sigma**2, covariance)


def test_a_full_covariance_reaches_what_a_diagonal_one_cannot():
    images = grey()
    x = torch.from_numpy(images).float() / 255
    model, exact = dependent(FullGaussian(2))
    found = likelihood_regret(model, of(images), 0)
    with torch.no_grad():
        true = torch.distributions.kl_divergence(model.posterior(x), exact(x)).numpy()  # the best q is p(z|x)
    assert true.min() > 1
    assert (np.abs(found.nats - true) <= 5 * found.se_nats + 0.1).all()
    model, exact = dependent(DiagonalGaussian())
    found = likelihood_regret(model, of(images), 0)
    with torch.no_grad():
        q = model.posterior(x).base_dist
        true = torch.distributions.kl_divergence(MultivariateNormal(q.loc, q.scale.square().diag_embed()), exact(x))
    assert (true.numpy() - found.nats).mean() > 0.3  # what no diagonal normal gains


@pytest.mark.parametrize("posterior", ["full", "flow", "flow:context=0"])
@pytest.mark.parametrize("prior", ["standard", "flow"])
def test_it_gains_for_other_posteriors(posterior, prior):
    model, data = small(posterior=posterior, prior=prior), binary()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = likelihood_regret(model, data, 0, steps=30)
    assert (found.nats > -5 * found.se_nats).all()
    assert found.nats.mean() > 0.1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"posterior": "von-mises-fisher", "prior": "sphere"}, "VonMisesFisher"),
        ({"posterior": "codes", "prior": "codes"}, "Quantised"),
    ],
)
def test_another_posterior_is_refused_in_one_line(fields, named):
    with pytest.raises(SpecError, match=f"of type {named}; expected .*diagonal, full or flow.*leave the regret out"):
        likelihood_regret(small(**fields), binary(), 0)


def test_no_step_and_no_number_are_refused():
    with pytest.raises(SpecError, match="steps = 0"):
        likelihood_regret(small(), binary(), 0, steps=0)
    model = small()
    with torch.no_grad():
        next(model.likelihood.parameters()).fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="regret of 9 images that is not finite"):
        likelihood_regret(model, binary(), 0, steps=1)
