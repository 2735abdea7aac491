"""The continuous Bernoulli against torch's own, and against the formula where that one is not exact."""

import mpmath
import pytest
import torch
from torch.distributions import ContinuousBernoulli as Reference

from vaelab.distributions import continuous_bernoulli

SIZES = [0.0, 1e-30, 1e-9, 1e-4, 0.03, 0.19999, 0.2, 0.20001, 0.7, 3.0, 20.0, 90.0, 400.0, 1e4, 1e8]
LOGITS = sorted({sign * size for size in SIZES for sign in (-1, 1)})


def of(logits, dtype=torch.float64):
    """The distribution of one pixel each, and its logits."""
    l = torch.tensor(logits, dtype=dtype).requires_grad_()  # noqa: E741
    return continuous_bernoulli(l.view(-1, 1, 1, 1)), l


def exact(logit: float, x: float) -> tuple[float, float]:
    """log p(x) and E[x], from 150 digits of the formulas as they are written."""
    with mpmath.workdps(150):
        l = mpmath.mpf(logit)  # noqa: E741
        if l == 0:
            return 0.0, 0.5
        log_c = mpmath.log(mpmath.expm1(l) / l) if l < 1e5 else l - mpmath.log(l)
        mean = 1 / (1 - mpmath.exp(-l)) - 1 / l if l > -1e5 else -1 / l
        return float(l * mpmath.mpf(x) - log_c), float(mean)


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_density_mean_and_gradient_are_exact_at_any_logit(x, dtype):
    p, logits = of(LOGITS, dtype)
    x = torch.tensor(x, dtype=dtype).item()
    found = p.log_prob(torch.full((1, 1, 1), x, dtype=dtype))
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    eps = torch.finfo(dtype).eps
    for i, logit in enumerate(logits.tolist()):
        log_p, mean = exact(logit, x)
        assert found[i].item() == pytest.approx(log_p, abs=4 * eps * (1 + abs(logit)) + 1e-13)
        assert p.mean[i].item() == pytest.approx(mean, abs=16 * eps + 2e-14)
        assert gradient[i].item() == pytest.approx(
            x - mean, abs=16 * eps + 2e-14
        )  # log p = l x - log Z, Z' / Z the mean


def test_it_is_torch_s_own_where_that_one_does_not_clamp():
    logits = torch.linspace(-12, 12, 49, dtype=torch.float64).view(-1, 1, 1, 1)
    x = torch.rand(49, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p, q = continuous_bernoulli(logits), Reference(logits=logits, lims=(0.5 - 1e-5, 0.5 + 1e-5))
    torch.testing.assert_close(p.log_prob(x), q.log_prob(x).sum((1, 2, 3)), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(p.mean, q.mean, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_lie_in_the_unit_interval_and_have_the_mean(dtype):
    p, _ = of(LOGITS, dtype)
    torch.manual_seed(0)
    n = 4000
    x = p.sample((n,))
    assert x.dtype == dtype
    assert ((x >= 0) & (x <= 1)).all()
    assert (
        (x.mean(0) - p.mean).abs() < 5 * (x.std(0) / n**0.5 + torch.finfo(dtype).eps)
    ).all()  # fails for one seed in 50,000
