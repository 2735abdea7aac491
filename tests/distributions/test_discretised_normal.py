"""The discretised normal: a probability of levels, to the last digit, at any mean and scale."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thorough import each_value
from vaelab.distributions import discretised_normal

LEVELS = torch.arange(256) / 255
MEANS = [-3.0, -0.01, 0.0, 0.2, 0.5, 128 / 255, 128.5 / 255, 1.0, 1.7]
LOG_STDS = [-12.0, -9.0, -7.0, -5.6, -5.0, -4.85, -4.0, -2.0, 0.0, 3.0, 8.0]


def levels(mean, log_std, dtype=torch.float64):
    """The distribution of one pixel, 256 times, so that all levels can be asked for."""
    mean, log_std = (torch.as_tensor(value, dtype=dtype).expand(256) for value in (mean, log_std))
    return discretised_normal(mean, log_std, event_dims=0)


def exact(mean: float, log_std: float, u: int) -> tuple[float, float, float]:
    """log P(u) and its derivatives by mean and log sigma, from 80 digits behind what underflows."""
    with mpmath.workdps(80):
        mu, sigma = mpmath.mpf(mean), mpmath.exp(mpmath.mpf(log_std))
        a, b = ((u - mpmath.mpf(0.5)) / 255 - mu) / sigma, ((u + mpmath.mpf(0.5)) / 255 - mu) / sigma
        if a + b < 0:
            a, b, flip = -b, -a, -1
        else:
            flip = 1
        low_open, high_open = (u == 0, u == 255) if flip == 1 else (u == 255, u == 0)

        def above(t):
            return mpmath.erfc(t / mpmath.sqrt(2)) / 2

        def phi(t):
            return mpmath.npdf(t)

        upper = 0 if high_open else above(b)
        p = (1 if low_open else above(a)) - upper
        at_a, at_b = 0 if low_open else phi(a), 0 if high_open else phi(b)
        by_mean = flip * (at_a - at_b) / sigma / p
        by_log_std = ((a * at_a if at_a else 0) - (b * at_b if at_b else 0)) / p
        return float(mpmath.log(p)), float(by_mean), float(by_log_std)


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("log_std", LOG_STDS)
def test_probabilities_of_the_256_levels_sum_to_one(mean, log_std):
    assert levels(mean, log_std).log_prob(LEVELS).exp().sum().item() == pytest.approx(1, abs=1e-11)
    single = levels(mean, log_std, torch.float32).log_prob(LEVELS)
    assert single.double().exp().sum().item() == pytest.approx(1, abs=2e-6)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.floats(-4, 5), st.floats(-10, 8), st.integers(0, 255))
def test_log_probability_and_gradients_are_exact_at_any_place(mean, log_std, u):
    expected = exact(mean, log_std, u)
    steep = math.exp(-log_std)
    for dtype, rtol in ((torch.float64, 1e-10), (torch.float32, 2e-5)):
        at = torch.tensor([mean, log_std], dtype=torch.float64).to(dtype).requires_grad_()
        if dtype == torch.float32:
            expected = exact(*at.double().tolist(), u)
        log_p = discretised_normal(at[0], at[1], event_dims=0).log_prob(torch.tensor(u / 255, dtype=dtype))
        slopes = torch.autograd.grad(log_p, at)[0]
        # what rounds: the mean in sigmas, times how far away the level is, of which log P is half the square
        eps, away = torch.finfo(dtype).eps, abs(u / 255 - mean) * steep
        slack = 20 * eps * (1 + abs(log_std) + (1 + abs(mean)) * steep * (1 + away))
        slope = 20 * eps * (1 + abs(mean)) * steep * (1 + steep)
        assert log_p.item() == pytest.approx(expected[0], rel=rtol, abs=slack + 1e-11)
        assert slopes[0].item() == pytest.approx(expected[1], rel=rtol, abs=slope + 1e-9)
        assert slopes[1].item() == pytest.approx(expected[2], rel=rtol, abs=2 * slack * (1 + away) + 1e-9)


@pytest.mark.thorough(0.25, kinds=each_value)
@pytest.mark.parametrize("u", [0, 1, 100, 254, 255])
@pytest.mark.parametrize("mean", [-1e6, -2.0, 0.0, 100 / 255, 0.4, 1.0, 3.0, 1e6])
@pytest.mark.parametrize("log_std", [-9.0, -3.0, 0.0, 5.0, 15.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_however_far_away(u, mean, log_std, dtype):
    at = torch.tensor([mean, log_std], dtype=dtype).requires_grad_()
    log_p = discretised_normal(at[0], at[1], event_dims=0).log_prob(torch.tensor(u / 255, dtype=dtype))
    assert log_p.isfinite()
    (slopes,) = torch.autograd.grad(log_p, at)
    assert slopes.isfinite().all()
    if abs(mean) == 1e6 and log_std < 10 and (u in (1, 100, 254) or (u == 0) == (mean > 0)):
        assert slopes[0].item() == pytest.approx(-mean * math.exp(-2 * log_std), rel=1e-2)  # a way back from anywhere


@pytest.mark.thorough(0.25, kinds=each_value)
@pytest.mark.parametrize("mean", [*MEANS, 0.3333, 0.7171])
@pytest.mark.parametrize("log_std", [*LOG_STDS, math.log(2 / 255) - 1e-9, math.log(2 / 255)])
def test_mean_is_the_sum_over_levels(mean, log_std):
    p = levels(mean, log_std)
    expected = (p.log_prob(LEVELS).exp() * torch.arange(256)).sum().item()
    assert 255 * p.mean[0].item() == pytest.approx(expected, abs=1e-7 if log_std < 5 else 1e-6)
    single = levels(mean, log_std, torch.float32).mean
    terms = 255 * (1 + abs(mean) + math.exp(log_std))  # what the sum is the difference of, in levels
    assert 255 * single[0].item() == pytest.approx(expected, abs=1e-5 + 5e-7 * terms)
