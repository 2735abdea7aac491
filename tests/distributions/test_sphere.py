"""The von Mises-Fisher distribution against Bessel functions, and its quantiles and gradients against quadrature."""

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from vaelab.distributions import UniformSphere, VonMisesFisher, kl_divergence
from vaelab.distributions.sphere import _Angle, log_area

KAPPA = torch.tensor([1e-3, 0.1, 1.0, 7.0, 50.0, 1e3, 1e4], dtype=torch.float64)
DIMENSIONS = [2, 3, 4, 10, 31, 100]


def pole(dimension: int, dtype=torch.float64) -> torch.Tensor:
    return torch.eye(dimension, dtype=dtype)[0]


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_constant_and_mean_are_ratios_of_bessel_functions(dimension):
    """log C = D/2 log 2 pi + log I_nu(kappa) - nu log kappa and E[t] = I_(nu+1) / I_nu, nu = D/2 - 1."""
    nu, kappa = dimension / 2 - 1, KAPPA.numpy()
    bessel = special.ive(nu, kappa)
    known = bessel > 0  # scipy's underflows at small kappa in many dimensions
    assert known.sum() >= 5
    with np.errstate(divide="ignore"):
        log_c = dimension / 2 * math.log(2 * math.pi) + np.log(bessel) + kappa - nu * np.log(kappa)
    p = VonMisesFisher(pole(dimension).expand(len(KAPPA), -1), KAPPA)
    ours = KAPPA - p.log_prob(pole(dimension))
    np.testing.assert_allclose(ours[known], log_c[known], rtol=1e-13, atol=2e-12)
    expected = special.ive(nu + 1, kappa)[known] / bessel[known]
    np.testing.assert_allclose(p.mean[known, 0], expected, rtol=1e-12, atol=1e-14)
    assert torch.equal(p.mean[:, 1:], torch.zeros(len(KAPPA), dimension - 1).double())


@pytest.mark.parametrize("dimension", [2, 10, 100])
def test_in_float32_the_constant_is_right_to_rounding(dimension):
    wide = VonMisesFisher(pole(dimension).expand(len(KAPPA), -1), KAPPA)
    narrow = VonMisesFisher(pole(dimension, torch.float32).expand(len(KAPPA), -1), KAPPA.float())
    torch.manual_seed(0)
    z = wide.sample((100,))
    log_p = wide.log_prob(z)
    error = (narrow.log_prob(z.float()).double() - log_p).abs()
    # of log C, and of z: kappa |z - mu| 6e-8, with |z - mu| about sqrt(D / kappa)
    assert (error < 3e-7 * log_p.abs() + 5e-7 * (KAPPA * dimension).sqrt() + 1e-6).all()


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_without_concentration_it_is_uniform(dimension):
    p, uniform = VonMisesFisher(pole(dimension), torch.tensor(0.0).double()), UniformSphere(pole(dimension))
    z = uniform.sample((50,))
    torch.testing.assert_close(p.log_prob(z), uniform.log_prob(z), rtol=1e-13, atol=1e-13)
    assert kl_divergence(p, uniform).abs() < 1e-12
    assert log_area(3) == pytest.approx(math.log(4 * math.pi))


def test_the_librarys_density_is_ours():
    mu = torch.nn.functional.normalize(torch.randn(5, generator=torch.Generator().manual_seed(0)).double(), dim=0)
    p = VonMisesFisher(mu, torch.tensor(6.5).double())
    torch.manual_seed(0)
    z = p.sample((20,))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(20).double())
    np.testing.assert_allclose(p.log_prob(z), stats.vonmises_fisher(mu.numpy(), 6.5).logpdf(z.numpy()), rtol=1e-10)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("kappa", [0.0, 0.5, 30.0, 1e4])
def test_quantiles_are_those_of_an_integration_by_another(dimension, kappa):
    """To nine digits; at the two outermost of 2^24 shares, to 1e-7."""
    angle = _Angle(torch.tensor(kappa).double(), dimension)
    u = (torch.tensor([1, 10, 1e3, 1e5, 3e6, 8e6, 1.6e7, 2**24 - 1]) * 2.0**-24).double()
    theta = angle.quantile(u.double()).numpy()

    def density(x):
        return np.exp(special.xlogy(dimension - 2, np.sin(x)) - 2 * kappa * np.sin(x / 2) ** 2 - angle.log_z.item())

    start, below = 0.0, 0.0
    for t, share in zip(theta, (u + 2**-25).tolist(), strict=True):
        edges = np.linspace(start, t, 9)
        below += sum(integrate.quad(density, a, b, epsrel=1e-12)[0] for a, b in pairwise(edges))
        start = t
        assert below == pytest.approx(share, rel=1e-9, abs=1e-11 if share < 1 - 1e-5 else 1e-7)


@pytest.mark.parametrize("dimension", [300, 3000])
@pytest.mark.parametrize("kappa", [0.0, 50.0, 1e4])
def test_in_many_dimensions_the_range_of_angles_begins_above_0(kappa, dimension):
    """The density is cut off on both sides, where it is lost in rounding."""
    angle = _Angle(torch.tensor(kappa).double(), dimension)
    low, high = angle.quantile(torch.tensor([0.0, 1 - 2.0**-24]).double()).tolist()

    def log_density(x):
        return special.xlogy(dimension - 2, np.sin(x)) - 2 * kappa * np.sin(x / 2) ** 2 - angle.log_z.item()

    assert low > 0.01
    total = integrate.quad(lambda x: math.exp(log_density(x)), low, high, epsrel=1e-12)[0]
    assert total == pytest.approx(1 - 2.0**-24, abs=2e-7)


@pytest.mark.parametrize("kappa", [50.0, 1e3, 1e4])
def test_in_many_dimensions_too_constant_and_mean_are_ratios_of_bessel_functions(kappa):
    """The range of angles is narrow enough for the quadrature to be exact."""
    angle = _Angle(torch.tensor(kappa).double(), 3000)
    with mpmath.workdps(40):
        bessel = mpmath.besseli(1499, kappa)
        log_c = 1500 * mpmath.log(2 * mpmath.pi) + mpmath.log(bessel) - 1499 * mpmath.log(kappa)
        log_area_around = mpmath.log(2) + 2999 * mpmath.log(mpmath.pi) / 2 - mpmath.loggamma(mpmath.mpf(2999) / 2)
        log_z, fall = log_c - kappa - log_area_around, 1 - mpmath.besseli(1500, kappa) / bessel
    assert angle.log_z.item() == pytest.approx(float(log_z), abs=1e-10)
    assert angle.fall.item() == pytest.approx(float(fall), abs=1e-13)


@pytest.mark.parametrize("dimension", [2, 3, 20, 100])
def test_a_draw_moves_with_kappa_as_its_quantile_does(dimension):
    """The implicit gradient against the difference of two quantiles."""
    u = (torch.arange(1, 16) / 16).double()
    for kappa in (1e-3, 0.7, 12.0, 400.0, 1e4):
        at = torch.full((15,), kappa, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(_Angle(at, dimension).quantile(u).sum(), at)
        step = 1e-4 * kappa
        up, down = (_Angle(at.detach() + d, dimension).quantile(u) for d in (step, -step))
        torch.testing.assert_close(slope, (up - down) / (2 * step), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("dimension", [2, 7, 60])
def test_constant_mean_and_divergence_move_with_kappa(dimension):
    kappa = torch.tensor([0.0, 0.3, 5.0, 200.0], dtype=torch.float64, requires_grad=True)
    uniform = UniformSphere(pole(dimension))
    z = uniform.sample()

    def terms(kappa):
        q = VonMisesFisher(pole(dimension).expand(4, -1), kappa)
        return q.log_prob(z), q.mean[:, 0], kl_divergence(q, uniform)

    step = 1e-5
    for one, up, down in zip(terms(kappa), terms(kappa + step), terms(kappa - step), strict=True):
        (slope,) = torch.autograd.grad(one.sum(), kappa, retain_graph=True)
        # at 0 from below is no distribution, but the formulas go on
        torch.testing.assert_close(slope[1:], ((up - down) / (2 * step))[1:].detach(), rtol=1e-6, atol=1e-8)
        assert slope.isfinite().all()


def test_the_divergence_to_uniform_is_what_draws_say():
    torch.manual_seed(0)
    q = VonMisesFisher(pole(6).expand(4, -1), torch.tensor([0.5, 3.0, 20.0, 300.0]).double())
    uniform = UniformSphere(pole(6))
    z = q.sample((20_000,))
    terms = q.log_prob(z) - uniform.log_prob(z)
    error = terms.std(0) / math.sqrt(len(terms))
    assert ((terms.mean(0) - kl_divergence(q, uniform)).abs() < 4 * error).all()  # once in 4,000 seeds


@pytest.mark.parametrize("mu", [pole(4), -pole(4), torch.full((4,), 0.5).double()])
def test_around_mu_the_draws_point_everywhere_alike(mu):
    q = VonMisesFisher(mu, torch.tensor(2.0).double())
    torch.manual_seed(0)
    z = q.sample((40_000,))
    along = z @ mu
    across = z - along.unsqueeze(-1) * mu
    spread = across.T @ across / len(z)
    expected = (1 - along.square().mean()) / 3 * (torch.eye(4).double() - mu.outer(mu))
    torch.testing.assert_close(spread, expected, rtol=0, atol=0.006)  # 4 standard errors
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-12
    one = q.mean - z.mean(0)
    assert (one.abs() < 4.5 * z.std(0) / 200).all()


def test_both_distributions_say_that_their_draws_carry_gradients():
    uniform = UniformSphere(pole(3))
    assert uniform.has_rsample
    assert VonMisesFisher(pole(3), torch.tensor(1.0).double()).has_rsample


def test_in_float32_draws_stay_on_the_sphere():
    torch.manual_seed(0)
    for dimension in (2, 50):
        q = VonMisesFisher(pole(dimension, torch.float32).expand(3, -1), torch.tensor([0.0, 10.0, 1e6]))
        z = q.rsample((5_000,))
        assert z.dtype == torch.float32
        assert (z.double().norm(dim=-1) - 1).abs().max() < 5e-7
