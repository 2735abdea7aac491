"""Models whose log p(x), posterior and optimum are known exactly, against the whole of evaluation and training."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from tests.built import build_model, build_objective
from tests.oracle import Double, linear_gaussian, mixture_prior, two_level
from vaelab.data import Dataset, Splits
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.models import VAE
from vaelab.runs.spec import Spec
from vaelab.training.callback import SILENT
from vaelab.training.loop import fit

ORACLES = {"linear": linear_gaussian, "mixture": mixture_prior, "two levels": two_level}
# ... and with encoders that are off the posterior.
OFF = {**ORACLES, "linear": lambda: linear_gaussian(posterior_error=0.4)}
SHAPE = (1, 2, 3)


def dataset(n: int, seed: int = 0) -> Dataset:
    return Dataset("made", "test", np.random.default_rng(seed).integers(0, 256, (n, *SHAPE), np.uint8), None, "grey")


def pixels(data: Dataset) -> Tensor:
    return (torch.from_numpy(data.images).float() / 255).double()


def at_the_posterior(oracle) -> VAE:
    return VAE(oracle.model.prior, Double(nn.Flatten(), oracle.exact, SHAPE), oracle.model.likelihood)


def distortion(oracle, x: Tensor) -> Tensor:
    """-E_{p(z|x)}[log p(x|z)], [B]: P/2 log 2 pi sigma^2 + (|x - b - W E z|^2 + tr W Cov(z) W') / 2 sigma^2."""
    exact, flat = oracle.exact, x.flatten(1)
    mean, covariance = exact.moments(flat)
    error = (flat - exact.bias - mean @ exact.weight.T).square().sum(1)
    spread = torch.einsum("pd,bde,pe->b", exact.weight, covariance, exact.weight)
    variance = exact.sigma**2
    return 0.5 * flat.shape[1] * math.log(2 * math.pi * variance) + (error + spread) / (2 * variance)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("samples", [1, 30])
def test_at_the_exact_posterior_every_bound_is_log_p(name, samples):
    """Every weight is p(x) (Burda, Grosse & Salakhutdinov 2016, section 3), and no draw differs from another."""
    oracle, data = ORACLES[name](), dataset(120)
    found, truth = estimate_bounds(at_the_posterior(oracle), data, samples, seed=0), oracle.log_p(pixels(data))
    for bound in (found.elbo, -found.nll, *found.bounds.values()):
        torch.testing.assert_close(bound, truth, rtol=0, atol=1e-6)
    if samples > 1:
        torch.testing.assert_close(found.nll_variance, torch.zeros(120).double(), rtol=0, atol=1e-12)
        torch.testing.assert_close(found.effective, torch.full((120,), float(samples)).double())


@pytest.mark.parametrize("name", ORACLES)
def test_rate_and_distortion_at_the_exact_posterior_are_their_closed_forms(name):
    """KL(p(z|x) || p(z)) = E[log p(x|z)] - log p(x), both known, also where the prior is a mixture."""
    oracle, data = ORACLES[name](), dataset(200)
    x = pixels(data)
    found = estimate_bounds(at_the_posterior(oracle), data, 400, seed=0)
    truth = distortion(oracle, x)
    for got, expected in ((found.distortion, truth), (found.rate, -oracle.log_p(x) - truth)):
        error = got - expected  # of the draws, one for each image
        assert abs(error.mean()) < 4 * error.std() / math.sqrt(200)
        assert error.std() < 0.4
        assert expected.std() > 2 * error.std()  # so that the images' own numbers are told apart


def test_the_closed_form_of_the_rate_is_the_exact_divergence():
    """With it, and with no draw at all, the ELBO of the linear model at its diagonal posterior is log p(x)."""
    oracle, data = linear_gaussian(), dataset(100)
    x = pixels(data)
    found = estimate_bounds(oracle.model, data, 1, seed=0)
    q = oracle.exact(x.flatten(1)).component_distribution
    prior = MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(found.rate, kl_divergence(q, prior).squeeze(1), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(-found.rate - distortion(oracle, x), oracle.log_p(x), rtol=0, atol=1e-6)


def test_the_exact_divergence_of_two_levels():
    oracle, data = two_level(), dataset(200)
    x = pixels(data)
    q = oracle.exact(x.flatten(1)).component_distribution
    prior = MultivariateNormal(oracle.exact.mean, precision_matrix=oracle.exact.precision)
    exact = kl_divergence(q, prior).squeeze(1)
    torch.testing.assert_close(exact + distortion(oracle, x), -oracle.log_p(x), rtol=0, atol=1e-6)
    error = estimate_bounds(at_the_posterior(oracle), data, 100, seed=0).rate - exact
    assert abs(error.mean()) < 4 * error.std() / math.sqrt(200)


@pytest.mark.parametrize("name", OFF)
def test_bounds_rise_with_k_to_log_p_and_their_gap_falls_as_one_over_k(name):
    """Burda et al. 2016, theorem 1; Domke & Sheldon 2018, theorem 3: K times the gap tends to Var(w / p(x)) / 2.

    As log p(x) is known, so is E[w / p(x)] = 1: the mean weight of all draws less 1 takes the first-order noise away.
    """
    oracle, data = OFF[name](), dataset(100)
    truth = oracle.log_p(pixels(data))
    found = estimate_bounds(oracle.model, data, 4_000, seed=0)
    excess = torch.expm1(-found.nll - truth)
    gap = {k: (truth - bound + excess).mean().item() for k, bound in found.bounds.items()}
    assert list(gap) == [1, 10, 100, 1000]
    assert gap[1] > gap[10] > gap[100] > gap[1000] > 0
    assert gap[100] / gap[1000] == pytest.approx(10, rel=0.25)
    assert 1_000 * gap[1000] == pytest.approx(4_000 * found.nll_variance.mean().item() / 2, rel=0.25)


def linear_data(n: int = 1000) -> Dataset:
    """Images of 3 x 4 pixels: two directions with standard deviations 0.4 and 0.25 in noise of 0.08, as levels."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((12, 2)))
    x = 0.5 + rng.standard_normal((n, 2)) * [0.4, 0.25] @ basis.T + 0.08 * rng.standard_normal((n, 12))
    levels = np.clip(np.round(255 * x), 0, 255).astype(np.uint8)
    return Dataset("made", "train", levels.reshape(n, 1, 3, 4), None, "grey")


def maximum_likelihood(x: np.ndarray, latent: int) -> tuple[np.ndarray, np.ndarray, float]:
    """W_ML = U_q (Lambda_q - sigma^2 I)^1/2, mean and sigma^2_ML, of x [N, P] (Tipping & Bishop 1999)."""
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    variance = values[:-latent].mean()
    return vectors[:, -latent:] * np.sqrt(values[-latent:] - variance), x.mean(0), variance


def log_p(x: np.ndarray, weight: np.ndarray, mean: np.ndarray, variance: float) -> float:
    """Mean log p(x) of probabilistic PCA."""
    covariance = torch.from_numpy(weight @ weight.T + variance * np.eye(len(mean)))
    return MultivariateNormal(torch.from_numpy(mean), covariance).log_prob(torch.from_numpy(x)).mean().item()


@pytest.mark.thorough(0.5, group="trained whole")
@pytest.mark.parametrize("objective", ["elbo", pytest.param("iwae:samples=3", marks=pytest.mark.slow)])
def test_training_reaches_the_maximum_likelihood_subspace(objective, tmp_path):
    """The ELBO of a linear VAE has no other maxima than log p(x) has (Lucas, Tucker, Grosse & Norouzi 2019)."""
    data = linear_data()
    spec = Spec(
        protocol="grey", latent=2, network="mlp:hidden=", likelihood="tests.oracle:LearnedGaussian", epochs=2000,
        batch=1000, learning_rate=0.05, schedule="cosine", objective=objective, validation=0, validate_every=2000,
    )  # fmt: skip
    model = build_model(spec, data.shape)
    fit(model, build_objective(spec), Splits(data, None, data), spec, tmp_path, SILENT, "never")
    x = data.images.reshape(len(data), 12) / 255
    weight, mean, variance = maximum_likelihood(x, 2)
    (linear,) = (module for module in model.likelihood.network.modules() if isinstance(module, nn.Linear))
    found, bias = linear.weight.detach().double().numpy(), linear.bias.detach().double().numpy()
    learned = math.exp(2 * model.likelihood.head.log_sigma.item())
    angle = np.degrees(subspace_angles(found, weight).max())
    best = log_p(x, weight, mean, variance)
    reached = log_p(x, found, bias, learned)
    assert angle < 1  # degree
    assert 0 <= best - reached < 0.03  # nats; 0.0005 to 0.023 with seeds 0 to 3 of either of two generators
    assert learned == pytest.approx(variance, rel=0.02)
    if objective == "elbo":  # whose posterior is the exact one, so that its bound is log p(x) in every draw
        error = estimate_bounds(model, data, 10, seed=0).elbo.mean().item() - reached
        assert error == pytest.approx(0, abs=0.05)
