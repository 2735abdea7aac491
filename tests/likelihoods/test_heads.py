"""What each likelihood head makes of its options, and the limits within which it learns."""

import math
from itertools import pairwise

import pytest
import torch

from vaelab.likelihoods import LIKELIHOODS, LOG_SCALE_FLOOR, LOG_SIGMA_FLOOR, DiscretisedLogistic, Gaussian
from vaelab.likelihoods.heavy_tailed import FIRST_CONCENTRATION, Beta, Laplace, StudentT
from vaelab.likelihoods.limits import SoftLimits
from vaelab.parts.names import make
from vaelab.system.errors import SpecError

SHAPE = (2, 3, 4)  # C, H, W


def test_options_of_a_logistic_are_what_was_asked_for():
    asked = {
        "logistic": 1,
        "logistic:scale=pixel": 2,
        "logistic:components=3": 6,
    }  # numbers a channel, each pixel's own
    for text, kinds in {**asked, "logistic:components=3:scale=pixel": 9}.items():
        head = make("likelihood", LIKELIHOODS, text)
        assert head.parameter_shape(SHAPE) == (2 * kinds, 3, 4)
        learned = 0 if "pixel" in text else 3 if "components" in text else 1
        assert sum(p.numel() for p in head.parameters()) == learned


def test_a_logistic_starts_as_wide_as_natural_pixels_with_its_components_apart():
    head = DiscretisedLogistic()
    u = torch.arange(256).view(-1, 1, 1, 1) / 255
    p = head(torch.zeros(256, 1, 1, 1)).log_prob(u).exp()
    assert (p * (u.flatten() - 0.5) ** 2).sum().sqrt().item() == pytest.approx(
        0.25, abs=0.03
    )  # less what the open ends cut off
    three = DiscretisedLogistic(components=3)(torch.zeros(6, 1, 1)).base_dist
    means = three.components.mean.flatten()
    assert ((means[1:] - means[:-1]) > 0.2).all()
    torch.testing.assert_close(three.logits.softmax(-4).flatten(), torch.full((3,), 1 / 3))


@pytest.mark.parametrize("u", [0, 255])
def test_a_logistic_s_mean_may_leave_the_pixels_range_to_be_sure_of_black_or_white(u):
    head = DiscretisedLogistic()
    m = torch.full((1, 1, 1), 30.0 if u else -30.0)
    assert head(m).log_prob(torch.full((1, 1, 1), u / 255)).item() > -1e-6
    assert head(m).mean.item() == pytest.approx(u / 255, abs=1e-6)
    m.requires_grad_()
    (gradient,) = torch.autograd.grad(head(m).log_prob(torch.full((1, 1, 1), 128 / 255)), m)
    assert abs(gradient.item()) > 1  # no saturated sigmoid between a wrong mean and its way back


def test_the_limits_of_a_logistic_s_scale_are_soft_and_the_lower_one_does_not_bind():
    head = DiscretisedLogistic()
    middle = torch.full((1, 1, 1), (128 / 255 - 0.5) * 4)  # of level 128
    for s in (-20.0, -12.0, 0.0, 5.0):
        head.s.data.fill_(s)
        elsewhere = head(middle).log_prob(torch.full((1, 1, 1), 140 / 255))
        (gradient,) = torch.autograd.grad(elsewhere, head.s)
        assert gradient.isfinite().all()
        assert gradient.ne(0).all()
    head.s.data.fill_(-20.0)
    p = head(middle)
    assert p.base_dist.log_scale.item() == pytest.approx(LOG_SCALE_FLOOR, abs=1e-3)
    assert p.log_prob(torch.full((1, 1, 1), 128 / 255)).item() > -1e-6


@pytest.mark.parametrize("components", [0, -2])
def test_impossible_components(components):
    with pytest.raises(SpecError, match=f"components = {components}; expected at least 1"):
        DiscretisedLogistic(components=components)


@pytest.mark.parametrize("scale", ["wide", "0.1"])
def test_unknown_scale(scale):
    with pytest.raises(SpecError, match=f"scale of likelihood 'logistic' is '{scale}'"):
        make("likelihood", LIKELIHOODS, f"logistic:scale={scale}")


def test_sigma_is_what_was_asked_for():
    fixed = make("likelihood", LIKELIHOODS, "gaussian:sigma=0.2")
    assert not list(fixed.parameters())
    torch.testing.assert_close(fixed(torch.zeros(1, 2, 2)).stddev, torch.full((1, 2, 2), 0.2))
    shared = make("likelihood", LIKELIHOODS, "gaussian:sigma=shared")
    assert [p.numel() for p in shared.parameters()] == [1]
    torch.testing.assert_close(shared(torch.zeros(1, 2, 2)).stddev, torch.full((1, 2, 2), 0.25))
    pixel = make("likelihood", LIKELIHOODS, "gaussian:sigma=pixel")
    assert pixel(torch.randn(2, 2, 2)).stddev.unique().numel() == 4


def test_sigma_has_a_soft_floor_with_a_gradient():
    head = Gaussian(sigma="shared")
    head.s.data.fill_(-7.0)
    p = head(torch.zeros(1, 2, 2))
    assert p.stddev.min() > math.exp(LOG_SIGMA_FLOOR)
    p.log_prob(torch.full((1, 2, 2), 0.5)).backward()
    assert head.s.grad.abs() > 0


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_impossible_sigma(sigma):
    with pytest.raises(SpecError, match="positive"):
        Gaussian(sigma=sigma)


@pytest.mark.parametrize("limits", [SoftLimits(-6, 2), SoftLimits(-9, 2), SoftLimits(-10, 10)])
def test_soft_limits_rise_between_them_and_are_undone(limits):
    s = torch.linspace(limits.floor - 20, limits.ceiling + 20, 400, dtype=torch.float64).requires_grad_()
    limited = limits(s)
    below = math.exp(limits.floor - limits.ceiling)  # by which the ceiling moves the floor
    assert ((limited > limits.floor - below) & (limited < limits.ceiling)).all()
    assert all(a < b for a, b in pairwise(limited.tolist()))
    assert (torch.autograd.grad(limited.sum(), s)[0] > 0).all()
    for value in (limits.floor + 0.01, -1.0, limits.ceiling - 0.01):
        at = torch.tensor(limits.inverse(value), dtype=torch.float64)
        assert limits(at).item() == pytest.approx(value, abs=1e-9)


SCALED = {"gaussian": "sigma", "laplace": "scale", "student-t": "scale", "beta": "concentration"}
SCALED["discretised-gaussian"] = "sigma"


@pytest.mark.parametrize("name", SCALED)
def test_a_scale_is_a_number_one_that_is_learned_or_an_output_for_each_pixel(name):
    asked = {"0.3": (2, 0), "shared": (2, 1), "pixel": (4, 0)}  # outputs a pixel of two channels, parameters
    for value, (outputs, learned) in asked.items():
        head = make("likelihood", LIKELIHOODS, f"{name}:{SCALED[name]}={value}")
        assert head.parameter_shape(SHAPE) == (outputs, 3, 4)
        assert sum(p.numel() for p in head.parameters()) == learned
        assert value in repr(head)
    for value in ("0", "-1", "inf", "nan"):
        with pytest.raises(SpecError, match=f"{SCALED[name]} = {value}; expected a positive number"):
            make("likelihood", LIKELIHOODS, f"{name}:{SCALED[name]}={value}")


def test_a_standard_deviation_is_a_quarter_at_first():
    at = torch.zeros(1, 1, 1)
    assert Laplace()(at).stddev.item() == pytest.approx(0.25)
    beta = Beta()(at).base_dist
    assert math.sqrt(0.25 / (beta.log_nu.exp().item() + 1)) == pytest.approx(0.25, rel=1e-3)
    assert pytest.approx(3) == FIRST_CONCENTRATION


@pytest.mark.parametrize("df", [1.0, 0.0, -2.0, math.inf, math.nan])
def test_degrees_of_freedom_without_a_mean_are_refused(df):
    with pytest.raises(SpecError, match=r"df = .*expected a number above 1"):
        StudentT(df=df)


def test_more_degrees_of_freedom_are_lighter_tails():
    far, at = torch.ones(1, 1, 1), torch.full((1, 1, 1), -9.0)
    tails = [StudentT(df=df, scale=0.1)(at).log_prob(far).item() for df in (1.5, 3.0, 30.0)]
    assert tails == sorted(tails, reverse=True)


def test_a_free_mean_has_the_slope_of_the_sigmoid_and_no_limits():
    m = torch.tensor([-8.0, 0.0, 8.0]).view(3, 1, 1, 1)
    assert Gaussian(mean="free")(m).mean.flatten().tolist() == [-1.5, 0.5, 2.5]
    small = torch.full((1, 1, 1), 1e-3)
    torch.testing.assert_close(Gaussian(mean="free")(small).mean, Gaussian()(small).mean, rtol=0, atol=1e-7)


def test_channels_that_are_coupled_have_a_component_for_the_pixel_and_coefficients():
    text = "logistic:components=5:scale=pixel:channels=coupled"
    for channels, outputs in ((1, 5 * 3), (2, 5 * (2 * 2 + 1 + 1)), (3, 5 * (2 * 3 + 1 + 3)), (4, 5 * (2 * 4 + 1 + 6))):
        assert make("likelihood", LIKELIHOODS, text).parameter_shape((channels, 3, 4)) == (outputs, 3, 4)


@pytest.mark.parametrize("options", ["", ":components=3", ":components=3:scale=pixel"])
def test_of_one_channel_a_coupled_mixture_is_the_independent_one(options):
    plain = make("likelihood", LIKELIHOODS, f"logistic{options}")
    coupled = make("likelihood", LIKELIHOODS, f"logistic{options}:channels=coupled")
    assert plain.parameter_shape((1, 3, 4)) == coupled.parameter_shape((1, 3, 4))
    generator = torch.Generator().manual_seed(0)
    parameters = torch.randn(5, *plain.parameter_shape((1, 3, 4)), generator=generator)
    x = torch.randint(0, 256, (5, 1, 3, 4), generator=generator) / 255
    p, q = plain(parameters), coupled(parameters)
    torch.testing.assert_close(p.log_prob(x), q.log_prob(x))
    torch.testing.assert_close(p.mean, q.mean)


@pytest.mark.parametrize("name", SCALED)
def test_a_scale_for_each_pixel_starts_where_the_one_for_all_does(name):
    x = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    shared, pixel = (make("likelihood", LIKELIHOODS, f"{name}:{SCALED[name]}={kind}") for kind in ("shared", "pixel"))
    found = [head(torch.zeros(head.parameter_shape(SHAPE))).log_prob(x) for head in (shared, pixel)]
    torch.testing.assert_close(*found)


def test_coefficients_lie_between_minus_one_and_one():
    head = DiscretisedLogistic(components=2, channels="coupled")
    parameters = 3 * torch.randn(5, *head.parameter_shape((3, 2, 2)), generator=torch.Generator().manual_seed(0))
    coefficients = parameters[:, -6:].view(5, 2, 3, 2, 2)
    torch.testing.assert_close(head(parameters).coefficients, coefficients.tanh())
