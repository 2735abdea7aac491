"""Log-densities: every factor, constant and sign, at any size, and what a decoder can express."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from tests.traps.small import answers, build, dataset, noise, posterior_is_prior
from vaelab.distributions import diagonal_normal, kl_divergence, log_mean_exp
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.likelihoods import LIKELIHOODS, Bernoulli, Gaussian
from vaelab.networks import NETWORKS
from vaelab.parts.names import canonical, make
from vaelab.posteriors import DiagonalGaussian

HEADS = ["bernoulli", "gaussian:sigma=0.3", "gaussian:sigma=shared", "gaussian:sigma=pixel"]
GAUSSIANS = [head for head in HEADS if head.startswith("gaussian")]
LOGISTICS = ["logistic", "logistic:scale=pixel", "logistic:components=3:scale=pixel"]


def uniform(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(low, high, shape))


def test_t04_the_normal_density_and_its_divergence_have_their_parentheses_right():
    """T4: -1/2 (log v + (z - m)^2) / v in place of -1/2 (log v + (z - m)^2 / v)."""
    mean, log_std, z = uniform(50, 3), uniform(50, 3, seed=1), uniform(50, 3, low=-5, high=5, seed=2)
    q, p = diagonal_normal(mean, log_std), diagonal_normal(mean.flip(0), log_std.flip(0))
    expected = stats.norm.logpdf(z, mean, log_std.exp()).sum(-1)
    np.testing.assert_allclose(q.log_prob(z), expected, rtol=1e-12)
    np.testing.assert_allclose(q.entropy(), stats.norm.entropy(mean, log_std.exp()).sum(-1), rtol=1e-12)
    torch.testing.assert_close(kl_divergence(q, p), torch.distributions.kl_divergence(q, p), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("text", HEADS)
def test_t04_a_head_turns_parameters_into_the_density_of_the_formula(text):
    """T4: as above, in a likelihood, from the decoder's numbers on."""
    head, shape = make("likelihood", LIKELIHOODS, text).double(), (2, 3, 4)
    parameters, x = uniform(5, *head.parameter_shape(shape)), uniform(5, *shape, low=0, high=1)
    p = head(parameters)
    mean = 1 / (1 + np.exp(-parameters[:, :2].numpy()))
    if text == "bernoulli":
        x = x.round()
        terms = stats.bernoulli.logpmf(x, mean)
    else:
        terms = stats.norm.logpdf(x, mean, p.stddev.detach())
    np.testing.assert_allclose(p.log_prob(x).detach(), terms.sum((1, 2, 3)), rtol=1e-10)


OTHERS = [
    "continuous-bernoulli", "laplace", "student-t:scale=pixel", "discretised-gaussian:sigma=pixel", "categorical",
]  # fmt: skip


@pytest.mark.parametrize("text", [*HEADS, *LOGISTICS, *OTHERS])
def test_t19_the_channels_of_a_colour_image_are_summed(text):
    """T19: a loss that averages the channels and sums the rest, right for grey images alone."""
    head = make("likelihood", LIKELIHOODS, text).double()
    parameters, x = uniform(4, *head.parameter_shape((1, 5, 6))), uniform(4, 1, 5, 6, low=0, high=1).round()
    halves = parameters.chunk(parameters.shape[1], 1)  # of each kind of parameter
    colour = torch.cat([half.expand(-1, 3, -1, -1) for half in halves], 1)
    torch.testing.assert_close(head(colour).log_prob(x.expand(-1, 3, -1, -1)), 3 * head(parameters).log_prob(x))


@pytest.mark.parametrize("network", NETWORKS)
def test_t21_logits_are_squashed_once(network):
    """T21: logits taken from a decoder that ends in a sigmoid, so that p cannot leave (0.5, 0.73)."""
    model = build("bernoulli", (1, 8, 8), network=network)
    z = torch.zeros(1, 1, 2)
    for logit in (-12.0, -1.0, 0.0, 3.0, 12.0):
        answers(model.likelihood, logit)
        expected = torch.full((1, 1, 1, 8, 8), 1 / (1 + math.exp(-logit)))
        torch.testing.assert_close(model.likelihood(z).mean.detach(), expected, rtol=1e-5, atol=0)


def test_t22_sigma_of_a_gaussian_is_learned_unless_said_otherwise():
    """T22: a unit variance for pixels between 0 and 1 as the default."""
    assert canonical("likelihood", LIKELIHOODS, "gaussian") == "gaussian:sigma=shared:mean=sigmoid"
    head = Gaussian().double()
    at = torch.zeros(1, 4, 4, dtype=torch.float64)
    start = head(at).stddev.max().item()
    assert start < 0.5
    # the likelihood pulls sigma to the root mean square of the residuals (Rybkin et al. 2021) and nowhere else
    for residual, pull in ((start / 2, -1), (start, 0), (start * 2, 1)):
        (gradient,) = torch.autograd.grad(head(at).log_prob(at + 0.5 + residual), list(head.parameters()))
        assert math.copysign(1, gradient.item()) == pull or (pull == 0 and abs(gradient.item()) < 1e-9)


@pytest.mark.parametrize("text", GAUSSIANS)
@pytest.mark.parametrize("network", NETWORKS)
def test_t23_the_mean_reaches_black_and_white_and_nothing_beyond(network, text):
    """T23: a decoder that ends in tanh for pixels in [0, 1]: half of its range is no image."""
    model = build(text, (3, 8, 8), network=network)
    for value, low, high in ((-9.0, 0, 1e-3), (0.0, 0.5, 0.5), (9.0, 1 - 1e-3, 1)):
        answers(model.likelihood, value)
        mean = model.likelihood(torch.zeros(1, 1, 2)).mean
        assert low <= mean.min() <= mean.max() <= high
    answers(model.likelihood, math.log(0.02 / 0.98))  # a pixel nearly black, while the image has it white
    parameters = list(model.likelihood.network.parameters())
    log_lik = model.likelihood(torch.zeros(1, 1, 2)).log_prob(torch.ones(3, 8, 8))
    bias = torch.autograd.grad(log_lik.sum(), parameters)[-1]
    assert bias.abs().max() > 0.01


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0])
def test_t24_squared_errors_are_halved_and_on_the_scale_of_the_pixels(sigma):
    """T24: squared errors without the 1/2, or of levels 0 to 255: another weight beside the KL."""
    model = build(f"gaussian:sigma={sigma}")
    answers(model.likelihood, 0.0)  # mean 1/2
    levels = np.array([0, 51, 102, 255], np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (4, 1, 4, 4)).copy()
    distortion = estimate_bounds(model, dataset(images, "grey"), 2, seed=0).distortion
    error = (np.array([0, 0.2, 0.4, 1]) - 0.5) ** 2
    expected = 16 * (0.5 * math.log(2 * math.pi * sigma**2) + error / (2 * sigma**2))
    np.testing.assert_allclose(distortion, expected, rtol=1e-5)


@pytest.mark.parametrize("latent", [1, 3, 50])
def test_t26_the_constant_of_a_density_is_counted_once_for_each_dimension(latent):
    """T26: D/2 log 2 pi inside a term that is then summed over D dimensions."""
    model = build(latent=latent)
    answers(model.posterior, torch.cat([torch.full((latent,), 0.7), torch.full((latent,), 2 * math.log(0.2))]))
    draw = model(torch.rand(5, 1, 4, 4), samples=3)
    z = draw.z.detach().numpy()
    np.testing.assert_allclose(draw.log_prior.detach(), stats.norm.logpdf(z).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(draw.log_post.detach(), stats.norm.logpdf(z, 0.7, 0.2).sum(-1), rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 4), (3, 8, 8)])
def test_t27_no_constant_is_missing_from_the_likelihood_of_an_image(shape):
    """T27: no log 2 pi, harmless in the KL of two normals and wrong as soon as the forms differ."""
    model = posterior_is_prior(build("gaussian:sigma=0.3", shape))
    answers(model.likelihood, 1.0)
    data = dataset(noise(20, shape), "grey")
    mean, size = 1 / (1 + math.exp(-1)), math.prod(shape)
    exact = stats.multivariate_normal(np.full(size, mean), 0.3**2 * np.eye(size))
    expected = -exact.logpdf(data.images.reshape(20, size) / 255)
    np.testing.assert_allclose(estimate_bounds(model, data, 5, seed=0).nll, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("logit", [20.0, 60.0, 100.0, 1e4])
def test_t29_no_probability_is_held_away_from_zero_and_one(logit):
    """T29: probabilities clamped to (1e-5, 1 - 1e-5): a floor under the nats, no gradient where it matters."""
    parameters = torch.tensor([[[-logit, logit]]]).requires_grad_()
    right, wrong = torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[1.0, 0.0]]])
    assert -2.1 * math.exp(-logit) <= Bernoulli()(parameters).log_prob(right).item() <= 0
    log_lik = Bernoulli()(parameters).log_prob(wrong)
    assert log_lik.item() == pytest.approx(-2 * logit, rel=1e-6)
    (gradient,) = torch.autograd.grad(log_lik, parameters)
    assert gradient.flatten().tolist() == pytest.approx([1, -1])


def test_t29_a_residual_costs_all_that_it_costs():
    """T29: the like in a Gaussian, an epsilon under the density's logarithm."""
    p = make("likelihood", LIKELIHOODS, "gaussian:sigma=0.01")(torch.zeros(1, 2, 2))
    expected = stats.norm.logpdf(0.0, 0.5, 0.01) * 4  # 1,250 nats a pixel
    assert p.log_prob(torch.zeros(1, 2, 2)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("text", LOGISTICS)
def test_t29_a_level_far_off_costs_all_that_it_costs(text):
    """T29: the like in a discretised logistic, a floor of 1e-7 or 1e-12 under the probability of a level."""
    head = make("likelihood", LIKELIHOODS, text)
    k, s = head.components, 0.25 * math.sqrt(3) / math.pi  # the scale as it starts
    means = (np.arange(k) + 0.5) / k
    for m in (30.0, 200.0, 2e3):
        parameters = torch.zeros(head.parameter_shape((1, 2, 2)))
        parameters[:k] = m
        parameters.requires_grad_()
        log_lik = head(parameters).log_prob(torch.zeros(1, 2, 2))
        # sigma(-t) = e^-t so far out
        expected = 4 * np.logaddexp.reduce((0.5 / 255 - means - m / 4) / s - math.log(k))
        assert log_lik.item() == pytest.approx(expected, rel=1e-5)
        (gradient,) = torch.autograd.grad(log_lik, parameters)
        assert gradient[:k].sum(0).flatten().tolist() == pytest.approx([-0.25 / s] * 4, rel=1e-3)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("text", LOGISTICS)
def test_t30_differences_of_sigmoids_stay_finite_with_their_gradients(text, size):
    """T30: the like in a discretised logistic, the logarithm of a difference of sigmoids that are both 0 or 1."""
    head = make("likelihood", LIKELIHOODS, text)
    for sign in (-1, 1):
        parameters = torch.full(head.parameter_shape((1, 2, 2)), sign * size).requires_grad_()
        for level in (0, 1, 128, 254, 255):
            log_lik = head(parameters).log_prob(torch.full((1, 2, 2), level / 255))
            assert log_lik.isfinite()
            assert torch.autograd.grad(log_lik, parameters)[0].isfinite().all()


@pytest.mark.parametrize("logit", [-1e4, -200.0, 0.0, 200.0, 1e4])
@pytest.mark.parametrize("pixel", [0.0, 1.0, 0.3])
def test_t30_logits_of_any_size_have_exact_finite_terms_and_gradients(logit, pixel):
    """T30: log(1 - p) by way of exp, which is 0 times infinity for large logits."""
    parameters = torch.full((1, 1, 1), logit).requires_grad_()
    log_lik = Bernoulli()(parameters).log_prob(torch.full((1, 1, 1), pixel))
    expected = pixel * logit - np.logaddexp(0, logit)
    assert log_lik.item() == pytest.approx(expected, rel=1e-6, abs=1e-6)
    (gradient,) = torch.autograd.grad(log_lik, parameters)
    assert gradient.item() == pytest.approx(pixel - 1 / (1 + np.exp(-np.clip(logit, -500, 500))), abs=1e-6)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
def test_t31_no_exponential_overflows_before_its_logarithm_is_taken(size):
    """T31: log of a sum of exponentials, each taken as it stands."""
    log_w = torch.tensor([[size, -size], [size + 1, -size - 1]]).requires_grad_()
    mean = log_mean_exp(log_w)
    higher = math.log((1 + math.e) / 2)
    torch.testing.assert_close(mean.detach(), torch.tensor([size + higher, -size - 1 + higher]))
    assert torch.autograd.grad(mean.sum(), log_w)[0].isfinite().all()
    for text in GAUSSIANS:
        head = make("likelihood", LIKELIHOODS, text)
        for sign in (-1, 1):
            parameters = torch.full(head.parameter_shape((1, 2, 2)), sign * size).requires_grad_()
            log_lik = head(parameters).log_prob(torch.ones(1, 2, 2))
            assert log_lik.isfinite()
            assert torch.autograd.grad(log_lik, parameters)[0].isfinite().all()


@pytest.mark.parametrize("log_var", [-40.0, -12.0, -4.0, 3.0, 12.0, 30.0])
def test_t37b_the_posterior_s_log_variance_has_no_limits(log_var):
    """T37b: log sigma^2 clamped to some interval: a KL that ends there, and no gradient beyond."""
    parameters = torch.tensor([[50.0, log_var]], dtype=torch.float64).requires_grad_()
    q = DiagonalGaussian()(parameters)
    p = diagonal_normal(torch.zeros(1).double(), torch.zeros(1).double())
    kl = kl_divergence(q, p)
    assert kl is not None
    assert kl.item() == pytest.approx(0.5 * (math.exp(log_var) + 2500 - 1 - log_var))
    (gradient,) = torch.autograd.grad(kl, parameters)
    assert gradient[0].tolist() == pytest.approx([50, 0.5 * (math.exp(log_var) - 1)])


@pytest.mark.parametrize("s", [-20.0, -8.0, -6.0, 0.0, 2.0, 20.0])
def test_t37b_the_limits_of_the_decoder_s_sigma_are_soft(s):
    """T37b: a hard floor under log sigma, from which no gradient leads back."""
    shared = Gaussian(sigma="shared")
    nn.init.constant_(shared.s, s)
    (gradient,) = torch.autograd.grad(shared(torch.zeros(1, 1, 1)).log_prob(torch.ones(1, 1, 1)), shared.s)
    assert gradient.isfinite()
    assert gradient != 0
    parameters = torch.tensor([0.0, s]).reshape(2, 1, 1).requires_grad_()
    log_lik = Gaussian(sigma="pixel")(parameters).log_prob(torch.ones(1, 1, 1))
    assert torch.autograd.grad(log_lik, parameters)[0].ne(0).all()


def test_t37b_the_floor_of_sigma_lies_below_the_width_of_a_level():
    """T37b: a limit that binds where the data can be."""
    head = Gaussian(sigma="shared")
    nn.init.constant_(head.s, -30.0)
    assert head(torch.zeros(1, 1, 1)).stddev.item() < 1 / 256
