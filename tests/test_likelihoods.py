"""The contract of every likelihood head: a density of images that it can be held to."""

import math

import pytest
import torch

from vaelab.data.protocol import PROTOCOLS
from vaelab.errors import SpecError
from vaelab.likelihoods import LIKELIHOODS, LOG_SCALE_FLOOR, LOG_SIGMA_FLOOR, DiscretisedLogistic, Gaussian
from vaelab.parts import make

HEADS = [
    "bernoulli", "gaussian:sigma=0.2", "gaussian:sigma=shared", "gaussian:sigma=pixel",
    "logistic", "logistic:scale=pixel", "logistic:components=3", "logistic:components=3:scale=pixel",
]  # fmt: skip
LOGISTICS = [head for head in HEADS if head.startswith("logistic")]
SHAPE = (2, 3, 4)  # C, H, W


def head_and_parameters(text: str, batch=(5,), scale=1.0):
    head = make("likelihood", LIKELIHOODS, text).double()
    generator = torch.Generator().manual_seed(3)
    parameters = torch.randn(*batch, *head.parameter_shape(SHAPE), generator=generator, dtype=torch.float64) * scale
    return head, parameters.requires_grad_()


@pytest.mark.parametrize("text", HEADS)
class TestContract:
    def test_the_image_is_the_event(self, text):
        head, parameters = head_and_parameters(text, batch=(4, 5))
        p = head(parameters)
        assert p.batch_shape == (4, 5)
        assert p.event_shape == SHAPE
        assert p.mean.shape == (4, 5, *SHAPE)
        x = p.sample()
        assert p.log_prob(x).shape == (4, 5)
        assert p.log_prob(x[0]).shape == (4, 5)  # one image against S samples

    def test_mean_lies_where_pixels_do(self, text):
        head, parameters = head_and_parameters(text, scale=5)
        mean = head(parameters).mean
        assert ((mean >= -1e-12) & (mean <= 1 + 1e-12)).all()
        assert text in LOGISTICS or ((mean > 0) & (mean < 1)).all()  # theirs may be sure of black or white

    def test_every_parameter_gets_a_gradient(self, text):
        head, parameters = head_and_parameters(text)
        p = head(parameters)
        p.log_prob(p.sample()).sum().backward()
        for tensor in (parameters, *head.parameters()):
            assert tensor.grad is not None
            assert (tensor.grad != 0).all()

    def test_finite_at_extreme_parameters(self, text):
        for scale in (1e2, 1e4):
            head, parameters = head_and_parameters(text, scale=scale)
            for x in (torch.zeros(SHAPE), torch.ones(SHAPE)):
                assert head(parameters).log_prob(x.double()).isfinite().all()

    def test_state_round_trips(self, text):
        head, parameters = head_and_parameters(text)
        for tensor in head.parameters():
            tensor.data += 0.3
        other = make("likelihood", LIKELIHOODS, text).double()
        other.load_state_dict(head.state_dict())
        x = torch.full(SHAPE, 0.5, dtype=torch.float64)
        assert torch.equal(other(parameters).log_prob(x), head(parameters).log_prob(x))

    def test_protocols_exist(self, text):
        head = make("likelihood", LIKELIHOODS, text)
        assert {*head.protocols, *head.admitted} <= PROTOCOLS.keys()


def test_bernoulli_sums_to_one():
    head = make("likelihood", LIKELIHOODS, "bernoulli")
    logits = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = torch.tensor([[int(b) for b in f"{i:04b}"] for i in range(16)]).double().reshape(16, 1, 2, 2)
    assert head(logits).log_prob(images).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("text", [h for h in HEADS if h.startswith("gaussian")])
def test_gaussian_integrates_to_one(text):
    head = make("likelihood", LIKELIHOODS, text).double()
    parameters = torch.randn(head.parameter_shape((1, 1, 2)), generator=torch.Generator().manual_seed(0)).double()
    axis = torch.linspace(-4, 5, 1501, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis).reshape(-1, 1, 1, 2)
    density = head(parameters).log_prob(grid).exp()
    assert (density.sum() * (axis[1] - axis[0]) ** 2).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("text", LOGISTICS)
def test_logistic_sums_to_one_over_the_levels(text):
    head = make("likelihood", LIKELIHOODS, text).double()
    for scale in (0.3, 3.0, 30.0):
        parameters = torch.randn(head.parameter_shape((1, 1, 2)), generator=torch.Generator().manual_seed(0)) * scale
        x = torch.cartesian_prod(torch.arange(256), torch.arange(256)).reshape(-1, 1, 1, 2) / 255
        assert head(parameters.double()).log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-10)


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


def test_bernoulli_samples_fit_the_density():
    head = make("likelihood", LIKELIHOODS, "bernoulli")
    p = head(torch.tensor([[[-2.0, 0.0, 1.5]]]))
    torch.manual_seed(0)
    n = 20_000
    frequency = p.sample((n,)).mean(0)
    error = (p.mean * (1 - p.mean) / n).sqrt()
    assert ((frequency - p.mean).abs() < 4.5 * error).all()  # fails for one seed in 50,000
