"""The discretised logistic: a probability of levels, to the last digit, at any mean and scale."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.thorough import each_value
from vaelab.data.protocol import protocol
from vaelab.distributions import discretised_logistic
from vaelab.distributions.discretised import LOGISTIC

LEVELS = torch.arange(256) / 255
MEANS = [-3.0, -0.01, 0.0, 0.2, 0.5, 128 / 255, 128.5 / 255, 1.0, 1.7]
LOG_SCALES = [-12.0, -9.0, -7.0, -5.6, -5.5, -4.0, -2.0, 0.0, 3.0, 8.0]


def levels(mean, log_scale, logits=None, dtype=torch.float64):
    """The distribution of one pixel, 256 times, so that all levels can be asked for."""
    mean, log_scale = (torch.as_tensor(value, dtype=dtype).reshape(-1).expand(256, -1) for value in (mean, log_scale))
    if logits is None:
        return discretised_logistic(mean.squeeze(-1), log_scale.squeeze(-1), event_dims=0)
    return discretised_logistic(mean, log_scale, torch.as_tensor(logits, dtype=dtype).expand(256, -1), event_dims=0)


def exact(mean: float, log_scale: float, u: int) -> tuple[float, float, float]:
    """log P(u) and its derivatives by mean and log s, from 2,000 digits of the formula as it is written."""
    with mpmath.workdps(2000):

        def log_p(mu, log_s):
            def sigma(bound):
                return 1 / (1 + mpmath.exp(-(bound - mu) / mpmath.exp(log_s)))

            upper = 1 if u == 255 else sigma((u + mpmath.mpf("0.5")) / 255)
            lower = 0 if u == 0 else sigma((u - mpmath.mpf("0.5")) / 255)
            return mpmath.log(upper - lower)

        at = mpmath.mpf(mean), mpmath.mpf(log_scale)
        h = mpmath.mpf(10) ** -600

        def slope(i):
            up, down = ([a + sign * h * (j == i) for j, a in enumerate(at)] for sign in (1, -1))
            return (log_p(*up) - log_p(*down)) / (2 * h)

        return float(log_p(*at)), float(slope(0)), float(slope(1))


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("log_scale", LOG_SCALES)
def test_probabilities_of_the_256_levels_sum_to_one(mean, log_scale):
    assert levels(mean, log_scale).log_prob(LEVELS).exp().sum().item() == pytest.approx(1, abs=1e-13)
    single = levels(mean, log_scale, dtype=torch.float32).log_prob(LEVELS)
    assert single.double().exp().sum().item() == pytest.approx(1, abs=3e-7)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    st.lists(st.tuples(st.floats(-4, 5), st.floats(-20, 20), st.floats(-50, 50)), min_size=1, max_size=6),
    st.booleans(),
)
def test_probabilities_of_any_mixture_sum_to_one(components, mixed):
    mean, log_scale, logits = (torch.tensor(values, dtype=torch.float64) for values in zip(*components, strict=True))
    p = levels(mean, log_scale, logits) if mixed else levels(mean[:1], log_scale[:1])
    log_p = p.log_prob(LEVELS)
    assert log_p.isfinite().all()
    assert (log_p <= 0).all()
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("mean", "log_scale", "u"),
    [
        (0.5, -2.0, 127), (0.5, -2.0, 0), (0.5, -2.0, 255), (0.5, -6.0, 3), (0.5, -6.0, 250),  # far tails
        (0.25, -7.0, 255), (0.75, -7.0, 0), (3.0, -4.0, 128), (-2.0, -4.0, 255), (-2.0, -4.0, 0), (3.0, -4.0, 255),
        (0.5, 6.0, 100), (0.5, 6.0, 0), (0.501953125, -8.0, 128), (0.501953125, -8.0, 129), (0.0, -8.0, 0),
    ],
)  # fmt: skip
def test_log_probability_and_gradients_are_exact_in_every_tail(mean, log_scale, u):
    expected = exact(mean, log_scale, u)
    for dtype, rtol in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        at = torch.tensor([mean, log_scale], dtype=dtype).requires_grad_()
        log_p = discretised_logistic(at[0], at[1], event_dims=0).log_prob(torch.tensor(u / 255, dtype=dtype))
        slopes = torch.autograd.grad(log_p, at)[0]
        # what rounds: the terms that the sum is made of, of which the largest are log s and the distance in scales
        size = 1 + abs(log_scale) + (abs(mean) + 1) * math.exp(-log_scale) * (1e-2 if dtype == torch.float32 else 1)
        slack = 20 * torch.finfo(dtype).eps * size
        assert log_p.item() == pytest.approx(expected[0], rel=rtol, abs=slack)
        assert slopes[0].item() == pytest.approx(expected[1], rel=rtol, abs=slack * math.exp(-log_scale))
        assert slopes[1].item() == pytest.approx(expected[2], rel=rtol, abs=slack * 2)


@pytest.mark.parametrize("log_scale", [-7.0, -5.0, -1.0, 4.0])
def test_gradients_pass_a_check_by_differences(log_scale):
    mean = torch.linspace(-0.5, 1.5, 12, dtype=torch.float64).view(1, 2, 6)
    mean = (mean + torch.tensor([0.0, 0.1]).view(2, 1, 1)).requires_grad_()
    logits = torch.randn(2, 2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    s = torch.full((2, 2, 6), log_scale, dtype=torch.float64).requires_grad_()
    x = torch.tensor([[0, 1, 77, 128, 254, 255]]).double() / 255
    eps = 1e-6 * min(1.0, math.exp(log_scale) * 100)
    for inputs in ((mean, s, logits), (mean[0], s[0])):
        assert torch.autograd.gradcheck(
            lambda *a: discretised_logistic(*a, event_dims=2).log_prob(x), inputs, eps=eps, rtol=1e-4
        )


@pytest.mark.thorough(0.25, kinds=each_value)
@pytest.mark.parametrize("u", [0, 1, 100, 254, 255])
@pytest.mark.parametrize("mean", [-2.0, 0.0, 0.4, 1.0, 3.0])
@pytest.mark.parametrize("log_scale", [-30.0, -15.0, -9.0, 0.0, 15.0, 30.0])
def test_float32_has_finite_gradients_at_any_scale_and_those_of_float64(u, mean, log_scale):
    found = {}
    for dtype in (torch.float32, torch.float64):
        at = torch.tensor([mean, log_scale], dtype=torch.float32).to(dtype).requires_grad_()
        log_p = discretised_logistic(at[0], at[1], event_dims=0).log_prob(torch.tensor(u / 255, dtype=dtype))
        found[dtype] = torch.cat([log_p.detach().view(1), torch.autograd.grad(log_p, at)[0]]).double()
    assert found[torch.float32].isfinite().all()
    steep = math.exp(-log_scale)
    slack = torch.tensor([1e-6 * (1 + steep), 1e-6 * steep, 1e-6 * (1 + steep)])
    assert ((found[torch.float32] - found[torch.float64]).abs() <= 1e-5 * found[torch.float64].abs() + slack).all()


def test_no_floor_stands_under_a_probability():
    """Past 1e-7 and 1e-12, where faults of other libraries begin, each level further off costs 1 / (255 s) nats."""
    log_p = levels(0.0, -5.0).log_prob(LEVELS)
    assert log_p[254] < -140
    torch.testing.assert_close(log_p[100:255].diff(), torch.full((154,), -math.exp(5) / 255, dtype=torch.float64))


@pytest.mark.thorough(0.25, kinds=each_value)
@pytest.mark.parametrize("mean", [*MEANS, *np.random.default_rng(0).uniform(-0.5, 1.5, 10)])
@pytest.mark.parametrize("log_scale", [*LOG_SCALES, -math.log(255) - 1e-9, -math.log(255)])
def test_mean_is_the_sum_over_levels(mean, log_scale):
    p = levels(mean, log_scale)
    expected = (p.log_prob(LEVELS).exp() * torch.arange(256)).sum().item()
    assert 255 * p.mean[0].item() == pytest.approx(expected, abs=2e-6)
    single = levels(mean, log_scale, dtype=torch.float32).mean
    assert single.dtype == torch.float32
    terms = 255 * (1 + abs(mean) + math.exp(log_scale))  # what the sum is the difference of, in levels
    assert 255 * single[0].item() == pytest.approx(expected, abs=1e-5 + 3e-7 * terms)


def test_derivatives_of_the_sigmoid_are_exact():
    """The first, third and fifth, which correct the mean. The fifth changes sign near 0.9 and 3.2."""
    at = [-20.0, -3.2, -1.0, 0.0, 0.85, 3.15, 12.0]
    with mpmath.workdps(60):
        expected = [[float(mpmath.diff(lambda t: 1 / (1 + mpmath.exp(-t)), a, n)) for a in at] for n in (1, 3, 5)]
    found = torch.stack(LOGISTIC.derivatives(torch.tensor(at, dtype=torch.float64)))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-14)


def test_mean_of_a_mixture_is_the_sum_over_levels():
    p = levels([0.1, 0.9, -0.3], [-6.0, -3.0, 0.0], [0.0, 1.0, 2.0])
    expected = (p.log_prob(LEVELS).exp() * LEVELS.double()).sum()
    assert p.mean[0].item() == pytest.approx(expected.item(), abs=1e-8)


@pytest.mark.parametrize("parameters", [(0.3, -3.0), (0.02, -4.0), (1.1, -2.0), ([0.2, 0.9], [-4.0, -6.0], [0.0, 1.0])])
def test_samples_are_levels_with_these_probabilities(parameters):
    p = levels(*parameters)
    torch.manual_seed(0)
    n = 400
    x = p.sample((n,))
    assert x.shape == (n, 256)
    u = (255 * x).round()
    torch.testing.assert_close(x, u / 255, rtol=0, atol=0)
    counts = torch.bincount(u.long().flatten(), minlength=256).double()
    expected = p.log_prob(LEVELS).exp() * n * 256
    often = expected > 10
    chi2 = ((counts - expected).square() / expected)[often].sum()
    assert stats.chi2.sf(chi2, often.sum() - 1) > 1e-4
    assert counts[~often].sum() < 10 * (~often).sum()


def test_an_image_is_one_event_and_a_value_is_the_nearest_level():
    p = discretised_logistic(torch.rand(5, 2, 3, 4), torch.tensor(-3.0))
    assert (p.batch_shape, p.event_shape) == ((5,), (2, 3, 4))
    x = torch.randint(0, 256, (2, 3, 4)) / 255
    torch.testing.assert_close(p.log_prob(x), p.log_prob(x + 0.4 / 255), rtol=0, atol=0)
    assert "DiscretisedLogistic" in repr(p)


@pytest.mark.thorough(0.5)
@pytest.mark.parametrize("components", [1, 3])
def test_log_probability_compiles_whole_and_agrees_with_eager(components):
    shape = (4, *(() if components == 1 else (components,)), 2, 3, 4)
    inputs = [torch.randn(shape, generator=torch.Generator().manual_seed(i)).requires_grad_() for i in range(3)]
    x = torch.randint(0, 256, (2, 3, 4), generator=torch.Generator().manual_seed(9)) / 255

    def log_p(mean, log_scale, logits):
        return discretised_logistic(mean, log_scale - 3, logits if components > 1 else None).log_prob(x)

    compiled = torch.compile(log_p, fullgraph=True, backend="aot_eager")
    used = inputs if components > 1 else inputs[:2]
    for f in (compiled(*inputs), log_p(*inputs)):
        torch.testing.assert_close(f, log_p(*inputs), rtol=1e-5, atol=1e-4)
        for a, b in zip(
            torch.autograd.grad(f.sum(), used), torch.autograd.grad(log_p(*inputs).sum(), used), strict=True
        ):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0, 30.0])
def test_a_dequantised_density_has_no_fewer_nats_than_its_own_levels(scale):
    """-log P(u) <= E_U[-log p((u + U) / 256)] + log 256 with equality where p is flat (Theis et al. 2016, section 3.1).

    p is the logistic whose integral over a level is P(u): mean and scale are in levels, a level's middle is u + 1/2.
    """
    mean = 90.3
    noise = (np.arange(200) + 0.5) / 200
    x = (np.arange(256)[:, None] + noise) / 256
    density = stats.logistic.logpdf(x, (mean + 0.5) / 256, scale / 256)
    dequantised = -density.mean(1) + protocol("8bit").nats_offset((1, 1, 1))
    gap = dequantised + levels(mean / 255, math.log(scale / 255)).log_prob(LEVELS).numpy()
    assert (gap > -1e-9).all()
    within = gap[1:255]  # the outermost levels have their open ends besides
    # to second order half of the variance of log p over a level, at most 1 / (24 scale^2) where its slope is 1 / scale
    assert within.max() == pytest.approx(1 / (24 * scale**2), rel=0.15)
    weight = np.exp(levels(mean / 255, math.log(scale / 255)).log_prob(LEVELS).numpy())
    assert (weight * gap).sum() > 1e-6
