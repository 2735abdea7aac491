import math

import pytest
import torch
from torch.distributions import Independent, Laplace, Normal
from torch.distributions import kl_divergence as torch_kl

from vaelab.distributions import diagonal_normal, full_normal, kl_divergence, kl_per_dimension, log_mean_exp


def pair(seed: int, shape=(7, 3)):
    generator = torch.Generator().manual_seed(seed)
    values = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(4)]
    return diagonal_normal(values[0], values[1]), diagonal_normal(values[2], values[3])


def test_closed_form_equals_torch():
    q, p = pair(0)
    torch.testing.assert_close(kl_divergence(q, p), torch_kl(q, p), rtol=1e-12, atol=0)


def test_closed_form_within_monte_carlo_error():
    q, p = pair(1)
    torch.manual_seed(0)
    z = q.sample((40_000,))
    terms = q.log_prob(z) - p.log_prob(z)
    error = terms.std(0) / math.sqrt(len(terms))
    # 7 divergences: beyond 4 standard errors once in 2,000 seeds
    assert ((terms.mean(0) - kl_divergence(q, p)).abs() < 4 * error).all()


def test_no_cancellation_for_a_collapsed_posterior():
    # log t = 2e-4: to second order KL = log_t^2 / 4 = 1e-8, which 1/2 (t - 1 - log t) in float32 loses
    q = diagonal_normal(torch.zeros(1), torch.full((1,), 1e-4))
    p = diagonal_normal(torch.zeros(1), torch.zeros(1))
    assert kl_divergence(q, p).item() == pytest.approx(1e-8, rel=1e-2)


def test_sum_over_dimensions():
    q, p = pair(2)
    torch.testing.assert_close(kl_per_dimension(q, p).sum(-1), kl_divergence(q, p))


def test_no_closed_form_is_none_not_a_guess():
    q, _ = pair(3)
    laplace = Independent(Laplace(torch.zeros(3), torch.ones(3)), 1)
    assert kl_divergence(q, laplace) is None
    assert kl_divergence(Normal(0.0, 1.0), Normal(0.0, 1.0)) is None  # not a vector event


def test_log_mean_exp():
    log_w = torch.tensor([[-1000.0, 3.0], [-1001.0, 5.0]], dtype=torch.float64)
    expected = torch.tensor([-1000 + math.log((1 + math.exp(-1)) / 2), math.log((math.e**3 + math.e**5) / 2)])
    torch.testing.assert_close(log_mean_exp(log_w), expected.double())


def full(seed: int, shape=(7, 3)):
    generator = torch.Generator().manual_seed(seed)
    mean, log_diagonal = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    below = torch.randn(*shape, shape[-1], generator=generator, dtype=torch.float64).tril(-1)
    return full_normal(mean, below + log_diagonal.exp().diag_embed())


def test_a_full_normal_to_a_diagonal_one_equals_torch():
    q, (_, p) = full(4), pair(1)
    dense = full_normal(p.base_dist.loc, p.base_dist.scale.diag_embed())
    torch.testing.assert_close(kl_divergence(q, p), torch_kl(q, dense), rtol=1e-12, atol=0)
    assert kl_per_dimension(q, p) is None
    assert kl_divergence(p, q) is None


def test_a_full_normal_without_correlation_is_a_diagonal_one():
    q, p = pair(5)
    same = full_normal(q.base_dist.loc, q.base_dist.scale.diag_embed())
    torch.testing.assert_close(kl_divergence(same, p), kl_divergence(q, p))
    collapsed = full_normal(torch.zeros(2), torch.eye(2) * math.exp(1e-4))
    assert kl_divergence(collapsed, diagonal_normal(torch.zeros(2), torch.zeros(2))).item() == pytest.approx(
        2e-8, rel=1e-2
    )
