import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from vaelab.distributions import diagonal_normal, is_diagonal_normal
from vaelab.evaluation.latents import aggregate
from vaelab.evaluation.latents.aggregate import in_float64, log_aggregate, pairwise_log_prob


def posteriors(images: int, latent: int, sigma: float, offset: float = 0.0) -> Independent:
    generator = torch.Generator().manual_seed(0)
    mu = torch.randn(images, latent, generator=generator, dtype=torch.float64) + offset
    log_sigma = torch.randn(images, latent, generator=generator, dtype=torch.float64) / 4 + np.log(sigma)
    return diagonal_normal(mu, log_sigma)


def direct(q: Independent, z: torch.Tensor) -> np.ndarray:
    """In extended precision, pair by pair."""
    mu, sigma = (part.numpy().astype(np.longdouble) for part in (q.base_dist.loc, q.base_dist.scale))
    away = (z.numpy().astype(np.longdouble)[:, None] - mu) / sigma
    return (-0.5 * away**2 - np.log(sigma) - 0.5 * np.log(2 * np.longdouble(np.pi))).sum(-1)


@pytest.mark.parametrize("offset", [0.0, 300.0])
@pytest.mark.parametrize("sigma", [1.0, 0.1, 1e-2, 1e-3, 1e-5])
def test_pairs_are_those_of_the_direct_formula_however_narrow_or_far_the_posteriors(sigma: float, offset: float):
    q = posteriors(40, 10, sigma, offset)
    torch.manual_seed(0)
    z = q.sample()
    truth = direct(q, z)
    error = np.abs(pairwise_log_prob(q, z).numpy() - truth)
    assert (error <= 1e-9 * np.maximum(1, np.abs(truth))).all()
    own = truth.diagonal()
    assert np.abs(pairwise_log_prob(q, z).diagonal().numpy() - own).max() < 2e-9 + 1e-14 * offset / sigma * 10


def test_the_aggregate_is_the_mean_density_in_groups_and_blocks_of_any_size(monkeypatch):
    q = posteriors(30, 3, 0.3)
    torch.manual_seed(0)
    z = torch.randn(50, 3, dtype=torch.float64)
    truth = logsumexp(direct(q, z).astype(float), axis=1) - np.log(30)
    mixture = MixtureSameFamily(Categorical(logits=torch.zeros(30, dtype=torch.float64)), q)
    np.testing.assert_allclose(mixture.log_prob(z), truth, atol=1e-12)
    parts = [diagonal_normal(q.base_dist.loc[a:b], q.base_dist.scale[a:b].log()) for a, b in ((0, 7), (7, 8), (8, 30))]
    np.testing.assert_allclose(log_aggregate([q], z), truth, atol=1e-12)
    told: list[float] = []
    monkeypatch.setattr(aggregate, "POINTS", 20)
    monkeypatch.setattr(aggregate, "NUMBERS", 100)
    np.testing.assert_allclose(log_aggregate(parts, z, told.append), truth, atol=1e-12)
    assert told == [0.4, 0.8, 1.0]


def test_any_posterior_that_broadcasts_has_an_aggregate():
    q = posteriors(30, 3, 0.3)
    torch.manual_seed(0)
    z = torch.randn(50, 3, dtype=torch.float64)
    full = MultivariateNormal(q.base_dist.loc, scale_tril=torch.diag_embed(q.base_dist.scale))
    assert is_diagonal_normal(q)
    assert not is_diagonal_normal(full)
    torch.testing.assert_close(log_aggregate([full], z), log_aggregate([q], z), rtol=0, atol=1e-10)


def test_an_image_of_normals_is_no_diagonal_normal_over_a_vector():
    assert not is_diagonal_normal(Independent(Normal(torch.zeros(2, 3, 4), 1.0), 2))


def test_in_float64_keeps_the_distribution():
    single = diagonal_normal(torch.randn(4, 2), torch.randn(4, 2))
    double = in_float64(single)
    assert double.mean.dtype == torch.float64
    torch.testing.assert_close(double.mean.float(), single.mean, rtol=0, atol=0)
    torch.testing.assert_close(double.variance.float(), single.variance)
    assert double.batch_shape == single.batch_shape
