"""The contract of every likelihood head: a density of images that it can be held to."""

import math

import pytest
import torch

from vaelab.data.protocol import PROTOCOLS
from vaelab.errors import SpecError
from vaelab.likelihoods import LIKELIHOODS, LOG_SIGMA_FLOOR, Gaussian
from vaelab.parts import make

HEADS = ["bernoulli", "gaussian:sigma=0.2", "gaussian:sigma=shared", "gaussian:sigma=pixel"]
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
        assert ((head(parameters).mean > 0) & (head(parameters).mean < 1)).all()

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
