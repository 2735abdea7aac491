"""Student's t and the beta distribution, against references and at sizes where plain formulas lose their digits."""

import math

import mpmath
import pytest
import torch
from scipy import stats

from vaelab.distributions import beta, student_t
from vaelab.distributions.beta import LARGE, _rest


@pytest.mark.parametrize("df", [1.01, 2.0, 5.0, 1e6])
def test_student_s_density_is_scipy_s_far_out_too(df):
    x = torch.tensor([-1e6, -3.0, 0.2, 0.5, 40.0, 1e9], dtype=torch.float64)
    for log_scale in (-6.0, 0.0, 2.0):
        p = student_t(df, torch.full((6,), 0.3, dtype=torch.float64), torch.tensor(log_scale).double(), event_dims=0)
        expected = torch.from_numpy(stats.t.logpdf(x, df, 0.3, math.exp(log_scale)))
        torch.testing.assert_close(p.log_prob(x), expected, rtol=1e-9, atol=1e-9)


def exact_beta(logit: float, log_nu: float, x: float) -> tuple[float, float, float]:
    """log p and its derivatives by logit and log nu, from 60 digits of the formula as it is written."""
    with mpmath.workdps(60):

        def log_p(logit, log_nu):
            mu, nu = 1 / (1 + mpmath.exp(-logit)), mpmath.exp(log_nu)
            a, b = mu * nu, nu - mu * nu
            log_beta = mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(nu)
            return (a - 1) * mpmath.log(x) + (b - 1) * mpmath.log1p(-x) - log_beta

        at, h = (mpmath.mpf(logit), mpmath.mpf(log_nu)), mpmath.mpf(10) ** -20
        by_logit = (log_p(at[0] + h, at[1]) - log_p(at[0] - h, at[1])) / (2 * h)
        by_log_nu = (log_p(at[0], at[1] + h) - log_p(at[0], at[1] - h)) / (2 * h)
        return float(log_p(*at)), float(by_logit), float(by_log_nu)


@pytest.mark.parametrize("logit", [-10.0, -6.0, -0.3, 0.0, 2.0, 10.0])
@pytest.mark.parametrize("log_nu", [-4.0, 0.0, math.log(8.0), 3.0, 8.0, 11.0])
def test_the_beta_density_and_its_gradients_are_exact_however_narrow(logit, log_nu):
    mu, sd = 1 / (1 + math.exp(-logit)), math.sqrt(1 / (1 + math.exp(logit)) / (1 + math.exp(-logit)))
    sd /= math.sqrt(1 + math.exp(log_nu))
    places = [2**-34, 1 - 2**-24, 0.5, *(mu + t * sd for t in (-2, -0.1, 1) if 0 < mu + t * sd < 1)]
    for dtype, rtol, nats in ((torch.float64, 1e-9, 1e-9), (torch.float32, 1e-5, 1e-5)):
        for place in places:
            x = torch.tensor(place, dtype=dtype)
            at = torch.tensor([logit, log_nu], dtype=dtype).requires_grad_()
            log_p = beta(at[0], at[1], event_dims=0).log_prob(x)
            slopes = torch.autograd.grad(log_p, at)[0]
            expected = exact_beta(*at.tolist(), x.item())
            # what rounds: log mu and log x, times the shape parameters
            slack = nats + 4 * torch.finfo(dtype).eps * math.exp(log_nu)
            assert log_p.item() == pytest.approx(expected[0], rel=rtol, abs=slack)
            assert slopes.tolist() == pytest.approx(expected[1:], rel=10 * rtol, abs=3 * slack)


def test_the_rest_of_stirling_s_formula_is_exact_on_both_sides_of_the_switch():
    """Each term of the series counts: the last one is 6e-12 where the series begins."""
    at = [0.3, 2.0, LARGE, LARGE + 1e-6, 9.0, 12.0, 40.0, 1e4]
    with mpmath.workdps(60):
        half = mpmath.mpf("0.5")
        expected = [
            float(mpmath.loggamma(t) - (t - half) * mpmath.log(t) + t - half * mpmath.log(2 * mpmath.pi))
            for t in map(mpmath.mpf, at)
        ]
    found = _rest(torch.tensor(at, dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_torch_s_own_beta_loses_what_this_one_keeps():
    """Why it is ours: hundredths of a nat a pixel, in float32, of one that is as narrow as a level."""
    logits = torch.linspace(-0.5, 0.5, 21)
    x, log_nu = logits.sigmoid() + 0.001, torch.tensor(11.0)
    expected = torch.tensor(
        [exact_beta(at, 11.0, value)[0] for at, value in zip(logits.tolist(), x.tolist(), strict=True)]
    )
    a, b = log_nu.exp() * logits.sigmoid(), log_nu.exp() * (-logits).sigmoid()
    assert (beta(logits, log_nu, event_dims=0).log_prob(x) - expected).abs().max() < 0.01
    assert (torch.distributions.Beta(a, b).log_prob(x) - expected).abs().max() > 0.03


def test_the_beta_density_is_scipy_s():
    x = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    for mu, nu in ((0.2, 0.7), (0.5, 2.0), (0.9, 40.0)):
        logit, log_nu = torch.tensor(math.log(mu / (1 - mu))).double(), torch.tensor(math.log(nu)).double()
        expected = torch.from_numpy(stats.beta.logpdf(x, mu * nu, (1 - mu) * nu))
        torch.testing.assert_close(beta(logit, log_nu, event_dims=0).log_prob(x), expected, rtol=1e-6, atol=1e-6)
