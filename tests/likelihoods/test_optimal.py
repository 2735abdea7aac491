"""The sigma that is best for the images: of the very batch in training, of training images when measured."""

import math

import numpy as np
import pytest
import torch

from tests.traps.small import answers, build, dataset, noise
from vaelab.likelihoods import LOG_SIGMA_CEILING, LOG_SIGMA_FLOOR, Gaussian
from vaelab.training.calibrate import calibrate

TEXT = "gaussian:sigma=optimal"


def mean_and_images(residual=0.3):
    generator = torch.Generator().manual_seed(0)
    mu = torch.rand(4, 5, 2, 3, 4, generator=generator, dtype=torch.float64)
    return mu.requires_grad_(), mu[0].detach() + residual * torch.randn(5, 2, 3, 4, generator=generator).double()


def head_of(mu):
    """The distribution in training, with the means `mu`."""
    return Gaussian(sigma="optimal", mean="free").double()(4 * (mu - 0.5))


def test_in_training_sigma_is_the_best_for_all_that_is_asked_for():
    mu, x = mean_and_images()
    found = head_of(mu).log_prob(x).sum()
    count = mu.numel()
    best = (x - mu).square().mean().sqrt()
    assert found.item() == pytest.approx(-count * (0.5 * math.log(2 * math.pi) + best.log().item() + 0.5), rel=1e-9)
    for other in (0.9, 1.1):
        assert torch.distributions.Normal(mu, other * best.detach()).log_prob(x).sum() < found


def test_the_gradient_is_that_of_the_maximum_over_sigma():
    """The envelope theorem: it is the gradient of -n/2 log sum (x - mu)^2, sigma being a function of mu there."""
    mu, x = mean_and_images()
    (found,) = torch.autograd.grad(head_of(mu).log_prob(x).sum(), mu)
    (expected,) = torch.autograd.grad(-mu.numel() / 2 * (x - mu).square().sum().log(), mu)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("residual", "limit"), [(1e-5, LOG_SIGMA_FLOOR), (0.0, LOG_SIGMA_FLOOR), (1e3, LOG_SIGMA_CEILING)]
)
def test_sigma_keeps_to_the_limits_of_a_learned_one(residual, limit):
    mu = torch.full((1, 2, 2), 0.5)
    expected = torch.distributions.Normal(mu, math.exp(limit)).log_prob(mu + residual).sum()
    torch.testing.assert_close(
        head_of(mu.double()).log_prob(mu.double() + residual), expected.double(), rtol=1e-5, atol=0
    )


def test_settled_it_is_the_root_of_the_mean_squared_residual_of_the_training_images():
    data = dataset(noise(250, (1, 4, 4)), "grey", "train")
    model = build(TEXT)
    answers(model.likelihood, 0.4)  # whatever z is
    calibrate(model, data, seed=0)
    residual = data.images.astype(np.float64) / 255 - 1 / (1 + math.exp(-0.4))
    assert model.likelihood.head.log_sigma.item() == pytest.approx(0.5 * math.log((residual**2).mean()), abs=1e-6)
    assert model.training
    some = data.take(data.by_content[:120])
    calibrate(model, data, seed=0, images=120)
    residual = some.images.astype(np.float64) / 255 - 1 / (1 + math.exp(-0.4))
    assert model.likelihood.head.log_sigma.item() == pytest.approx(0.5 * math.log((residual**2).mean()), abs=1e-6)


@pytest.mark.parametrize("protocol", ["grey", "8bit"])
def test_what_is_drawn_while_it_settles_is_a_function_of_seed_and_images_alone(protocol):
    data = dataset(noise(250, (1, 4, 4)), protocol, "train")
    found = []
    for images, seed, state in ((data, 0, 1), (data.take(np.arange(250)[::-1]), 0, 2), (data, 1, 1)):
        model = build(TEXT)
        torch.manual_seed(state)
        before = torch.random.get_rng_state()
        calibrate(model, images, seed)
        assert torch.equal(torch.random.get_rng_state(), before)
        found.append(model.likelihood.head.log_sigma.item())
    assert found[0] == found[1] != found[2]


def test_another_sigma_looks_at_no_image():
    class Unseen:
        def __iter__(self):
            raise AssertionError

    for sigma in (0.1, "shared", "pixel"):
        Gaussian(sigma=sigma).calibrate(Unseen())
