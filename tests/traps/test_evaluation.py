"""What a trained model is said to be worth: K, signs, modes, every image once, and nothing of one image in another."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn
from torch.distributions import kl_divergence

from tests.oracle import linear_gaussian
from tests.traps.small import (
    STILL,
    answers,
    build,
    by_hand,
    dataset,
    encoded,
    fitted,
    noise,
    npz,
    posterior_is_prior,
    posterior_is_sure,
    spec_of,
    splits,
    x_of,
)
from vaelab.evaluation.admission import B, S
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.models import VAE, Conditional
from vaelab.runs.train import train

BINARY = "binary-threshold"


class Recording(nn.Module):
    """A likelihood that keeps the latents it was asked about."""

    def __init__(self, likelihood: Conditional) -> None:
        super().__init__()
        self.likelihood, self.seen = likelihood, list[Tensor]()
        self.context_shape = likelihood.context_shape

    def forward(self, z: Tensor) -> torch.distributions.Distribution:
        self.seen.append(z)
        return self.likelihood(z)


class Probe(nn.Module):
    """A network that notes how often and in what state it is used."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.rows, self.states = network, 0, set[tuple[bool, bool]]()

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        self.states.add((self.training, torch.is_grad_enabled()))
        return self.network(x)


def probed(model: VAE) -> tuple[Probe, Probe]:
    encoder, decoder = Probe(model.posterior.network), Probe(model.likelihood.network)
    model.posterior.network, model.likelihood.network = encoder, decoder
    return encoder, decoder


@pytest.mark.parametrize("samples", [1, 7, 100, 101, 2500])
def test_t06_the_number_of_samples_is_the_number_that_was_asked_for(samples):
    """T6: samples drawn by whole batches, whatever number was asked for."""
    oracle, data = linear_gaussian(posterior_error=0.7), dataset(noise(20, (1, 2, 3)), "grey")
    recording = Recording(oracle.model.likelihood)
    evaluation = estimate_bounds(VAE(oracle.model.prior, oracle.model.posterior, recording), data, samples, seed=0)  # type: ignore[arg-type]
    assert (evaluation.samples == samples).all()
    _, _, *drawn = recording.seen  # behind the trial of the parts, and the one that learns what a pass takes
    z = torch.cat(drawn)
    assert z.shape == (samples, 20, 2)
    x, order = x_of(data).double(), torch.from_numpy(data.by_content)
    model, q = oracle.model, oracle.model.posterior(x[order])
    log_w = (model.likelihood(z).log_prob(x[order]) + model.prior().log_prob(z) - q.log_prob(z)).detach()
    nll = math.log(samples) - torch.logsumexp(log_w, 0)
    torch.testing.assert_close(evaluation.nll[order], nll, rtol=0, atol=1e-9)


def test_t07_the_nll_is_minus_the_log_likelihood():
    """T7: a log-likelihood under the name of its negative."""
    oracle, data = linear_gaussian(), dataset(noise(20, (1, 2, 3)), "grey")
    evaluation = estimate_bounds(oracle.model, data, 3, seed=0)  # exact at the exact posterior
    expected = -oracle.log_p(x_of(data).double())
    assert expected.min() > 0
    torch.testing.assert_close(evaluation.nll, expected, rtol=0, atol=1e-6)
    assert (evaluation.elbo < 0).all()


def test_t07_the_encoder_sees_each_image_once():
    """T7: the encoder run again on K copies of the image."""
    model = build()
    encoder, decoder = probed(model)
    estimate_bounds(model, dataset(noise(130), BINARY), 50, seed=0)
    probing = 1  # of each, to learn what a pass takes of the memory
    assert (encoder.rows, decoder.rows) == (130 + probing + B, 130 * 50 + probing + S * B)


@pytest.mark.parametrize("training", [True, False])
def test_t07_evaluation_mode_without_gradient_and_back_again(training):
    """T7: neither evaluation mode nor no_grad, so that dropout and batch norm are at work and memory grows."""
    model, data = build(), dataset(noise(130), BINARY)
    model.posterior.network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), model.posterior.network)
    expected = estimate_bounds(model.eval(), data, 5, seed=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    encoder, decoder = probed(model)
    model.train(training)
    evaluation = estimate_bounds(model, data, 5, seed=0)
    assert encoder.states == decoder.states == {(False, False)}
    assert not evaluation.nll.requires_grad
    torch.testing.assert_close(evaluation.nll, expected.nll, rtol=1e-6, atol=0)  # a probed network runs as it is
    torch.testing.assert_close(evaluation.rate, expected.rate, rtol=0, atol=0)
    assert {module.training for module in model.modules()} == {training}
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key.replace("network.network", "network", 1)])


@pytest.fixture(scope="module")
def uneven_run(tmp_path_factory):
    """A run whose test and validation images fill no chunk of any round size, the last of them unlike the others."""
    folder = tmp_path_factory.mktemp("uneven")
    spec = spec_of(npz(folder / "images.npz", noise(290, (1, 6, 6), 1), noise(233, (1, 6, 6), 2)))
    update = {"validation": 117.0, "protocol": BINARY, "posterior": "tests.traps.own:Sure"}
    return train(spec.model_copy(update=update), folder, compile="never")


def rates_and_distortions(model: VAE, data) -> tuple[Tensor, Tensor]:
    """Of each image, by hand, for a posterior N(mu, e^-20 I)."""
    with torch.no_grad():
        mu, _ = encoded(model, x_of(data))
        kl = 0.5 * (math.exp(-20) + mu.double() ** 2 - 1 + 20).sum(-1)
        return kl, -by_hand(model, x_of(data), mu[None]).log_lik[0].double()


def test_t11_the_mean_over_the_test_images_depends_on_no_batch_size(uneven_run):
    """T11: a mean of batch means, in which the images of a small last batch count more."""
    rates, distortions = rates_and_distortions(uneven_run.model(), uneven_run.data().test)
    assert abs(distortions[:200].mean() - distortions.mean()) > 1e-2 * distortions.mean()
    found = [uneven_run.metric(name).value for name in ("rate", "distortion", "elbo")]
    means = rates.mean().item(), distortions.mean().item(), -(rates + distortions).mean().item()
    assert found == pytest.approx(means, rel=1e-4)


def test_t11_the_mean_over_the_validation_images_depends_on_no_batch_size(uneven_run):
    """T11: as above, where the best weights are chosen."""
    best = next(row for row in uneven_run.log if row["step"] == uneven_run.result["best_step"])["validation"]
    rates, distortions = rates_and_distortions(uneven_run.model(), uneven_run.data().validation)
    assert len(rates) == 117
    assert abs(distortions[:100].mean() - distortions.mean()) > 1e-2 * distortions.mean()
    found = [best[name] for name in ("rate", "distortion", "elbo")]
    means = rates.mean().item(), distortions.mean().item(), -(rates + distortions).mean().item()
    assert found == pytest.approx(means, rel=1e-4)


@pytest.mark.parametrize("count", [1, 99, 233])
def test_t12_every_image_is_counted_whatever_chunk_it_falls_into(count):
    """T12: a return inside the loop over batches, and a division by the number of them."""
    model, data = build(), dataset(noise(count), BINARY)
    evaluation = estimate_bounds(model, data, 2, seed=0)
    assert {len(column) for column in (evaluation.rate, evaluation.distortion, evaluation.nll)} == {count}
    kl = by_hand(model, x_of(data), torch.zeros(1, count, 2)).kl.detach().double()
    torch.testing.assert_close(evaluation.rate, kl, rtol=1e-4, atol=1e-5)
    images = data.images.copy()
    images[-1] ^= 255
    other = estimate_bounds(model, dataset(images, BINARY), 2, seed=0)
    differs = (evaluation.rate - other.rate).abs() > 1e-6
    assert differs.nonzero().flatten().tolist() == [count - 1]


def test_t12_the_result_says_that_it_is_of_all_test_images(uneven_run):
    """T12: as above, in what is written down."""
    assert uneven_run.metric("nll").images == uneven_run.metric("rate").images == 233


def test_t13_evaluation_takes_draws_of_z_and_not_their_mean():
    """T13: E_q replaced by its value at the mean of q: the number is no bound."""
    sigma, k = 0.5, 4000
    oracle, data = linear_gaussian(sigma=sigma, posterior_error=0.7), dataset(noise(15, (1, 2, 3)), "grey")
    x = x_of(data).double()
    q = oracle.model.posterior(x)
    at_mean = -oracle.model.likelihood(q.mean).log_prob(x)
    spread = ((oracle.weight**2).sum(0) * q.variance).sum(-1) / (2 * sigma**2)  # tr(W S W') / 2 sigma^2
    evaluation = estimate_bounds(oracle.model, data, k, seed=0)
    seen = (
        estimate_bounds(oracle.model, data, 1, seed=1).distortion - (at_mean + spread).detach()
    )  # the noise of one draw
    assert spread.min() > 1
    error = seen.square().mean().sqrt() / math.sqrt(k)
    assert ((evaluation.distortion - (at_mean + spread).detach()).abs() < 6 * error + 1e-6).all()
    torch.testing.assert_close(evaluation.rate, kl_divergence(q, oracle.model.prior()).detach())


def test_t13_z_is_drawn_in_either_mode_of_the_model():
    """T13: as above, hidden in what evaluation mode does."""
    model, x = build(), torch.rand(3, 1, 4, 4)
    for mode in (model.train(), model.eval()):
        with torch.no_grad():
            z = mode(x, samples=2000).z
        q = mode.posterior(x)
        torch.testing.assert_close(z.std(0), q.stddev.detach(), rtol=0.1, atol=0)


@pytest.mark.parametrize(
    "text", [*(f"gaussian:sigma={sigma}" for sigma in ("shared", "pixel", "optimal", 0.2)), "bernoulli"]
)
def test_t25_the_number_of_an_image_owes_nothing_to_the_images_beside_it(text):
    """T25: sigma computed from the residuals of the very batch that is being measured."""
    model = posterior_is_sure(build(text))
    protocol = BINARY if text == "bernoulli" else "grey"
    data = dataset(noise(130), protocol)
    whole = estimate_bounds(model, data, 2, seed=0).distortion
    for i in (0, 77, 129):
        alone = estimate_bounds(model, dataset(data.images[i : i + 1], protocol), 2, seed=0).distortion
        torch.testing.assert_close(alone[0], whole[i], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("sigma", ["shared", "optimal"])
def test_t25_sigma_is_that_of_training(sigma):
    """T25: as above: what is learned from the training images stays as it is."""
    model = posterior_is_prior(build(f"gaussian:sigma={sigma}")).eval()
    answers(model.likelihood, 0.0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    data = dataset(noise(50), "grey")
    sigma = model.likelihood(torch.zeros(1, 2)).stddev.detach().max().item()
    expected = -norm.logpdf(data.images / 255, 0.5, sigma).sum((1, 2, 3))
    np.testing.assert_allclose(estimate_bounds(model, data, 2, seed=0).distortion, expected, rtol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("logit", [0.0, -4.0, 4.0])
@pytest.mark.parametrize("sigma", [0.01, 0.2, 2.0])
def test_t28_the_probabilities_of_the_256_levels_sum_to_the_mass_of_the_density(logit, sigma):
    """T28: bins without their edges, a floor under their logarithm: probabilities that do not sum to one.

    One pixel, all of its levels: sum_u P(u) is the integral of the density from 0 to 1, log 256 a dimension included.
    """
    model = posterior_is_prior(build(f"gaussian:sigma={sigma}", (1, 1, 1)))
    answers(model.likelihood, logit)
    levels = dataset(np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1), "8bit")
    evaluation = estimate_bounds(model, levels, 2, seed=0)
    mean = 1 / (1 + math.exp(-logit))
    mass = norm.cdf(1, mean, sigma) - norm.cdf(0, mean, sigma)
    within = (np.arange(256)[:, None] + np.linspace(0, 1, 101)) / 256  # [256, 101]: each level's stretch of values
    density = norm.pdf(within, mean, sigma) / 256
    error = math.sqrt(density.var(1).sum())  # of the dequantising noise, one draw a level
    lowest = -norm.logpdf(within, mean, sigma).max(1) + math.log(256)
    highest = -norm.logpdf(within, mean, sigma).min(1) + math.log(256)
    for nats in (evaluation.nll, evaluation.distortion):
        assert (-nats).exp().sum().item() == pytest.approx(mass, abs=5 * error + 1e-5)
        slack = 1e-3 + 1e-5 * highest  # float32, and the coarseness of `within`
        assert ((lowest - slack <= nats.numpy()) & (nats.numpy() <= highest + slack)).all()


@pytest.mark.parametrize("m", [0.0, -3.0, 5.0])
@pytest.mark.parametrize("text", ["logistic", "logistic:scale=pixel", "logistic:components=3:scale=pixel"])
def test_t28_the_probabilities_of_the_256_levels_sum_to_one_where_they_are_what_is_modelled(text, m):
    """T28: the same, of a discretised likelihood, through the whole evaluation: exactly one."""
    model = posterior_is_prior(build(text, (1, 1, 1)))
    answers(model.likelihood, m)
    levels = dataset(np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1), "levels")
    evaluation = estimate_bounds(model, levels, 2, seed=0)
    for nats in (evaluation.nll, evaluation.distortion):
        assert (-nats).exp().sum().item() == pytest.approx(1, abs=3e-6)


def test_t28_eight_bit_nats_in_the_log_are_those_of_the_levels(tmp_path):
    """T28: the 8 bits of a pixel accounted for in one place and not in another."""
    model = posterior_is_prior(build("gaussian:sigma=0.5"))
    answers(model.likelihood, 0.0)
    spec = spec_of().model_copy(update={"learning_rate": STILL, "epochs": 1.0, "likelihood": "gaussian:sigma=0.5"})
    data = splits("8bit")
    _, (row,) = fitted(spec, data, tmp_path, model=model)
    for part, images in (("train", data.train.images), ("validation", data.validation.images)):
        expected = -norm.logpdf((images + 0.5) / 256, 0.5, 0.5).sum((1, 2, 3)).mean() + 16 * math.log(256)
        assert row[part]["distortion"] == pytest.approx(expected, abs=0.02)
        assert row[part]["elbo"] == pytest.approx(-expected - row[part]["rate"], abs=0.02)
    assert row["train"]["loss"] == pytest.approx(-row["train"]["elbo"], rel=1e-6)


def test_t41_numbers_depend_on_no_flag_of_the_model():
    """T41: statistics of a batch norm that must be set afresh before the numbers are right."""
    model, data = build(), dataset(noise(130), BINARY)
    model.likelihood = Conditional(
        nn.Sequential(nn.BatchNorm1d(2), model.likelihood.network), model.likelihood.head, (2,)
    )
    numbers = [estimate_bounds(m, data, 3, seed=0).nll for m in (model.train(), model.train(), model.eval())]
    assert torch.equal(numbers[0], numbers[1])
    assert torch.equal(numbers[0], numbers[2])
