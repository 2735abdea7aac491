"""What the latents hold, against channels whose information is known."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from tests.built import build_model
from tests.evaluation.linear import affine, context, dataset, normal_pixels, scaled
from vaelab.data import Dataset
from vaelab.evaluation.latents import aggregate
from vaelab.evaluation.latents.latents import Latents
from vaelab.evaluation.measure import Metric
from vaelab.evaluation.posterior_means import posterior_means
from vaelab.models import VAE
from vaelab.runs.spec import Spec
from vaelab.system.errors import DataError, SpecError

GAIN, SIGMA = np.array([1.2, 0.6]), np.array([0.5, 0.8])


def measured(model: VAE, data: Dataset, seed: int = 0, **options: int) -> dict[str, Metric]:
    measure, about = Latents(**options), context(model, data, seed=seed)
    measure.check(about)
    return {m.name: m for m in measure(about, lambda share: None)}


def test_information_and_marginal_kl_are_those_of_a_gaussian_channel():
    """z = a eps + s noise, so I = sum 1/2 log(1 + a^2 / s^2), and q(z) = N(0, a^2 + s^2) has a known KL."""
    n = 4000
    rows = measured(affine(*scaled(GAIN), SIGMA), dataset(normal_pixels(n)), samples=2)
    total = GAIN**2 + SIGMA**2
    information, marginal = 0.5 * np.log(total / SIGMA**2).sum(), 0.5 * (total - 1 - np.log(total)).sum()
    # an image's own posterior in q(z) biases by about (E q(z|x) / q(z) - 1) / 2N: this ratio is below total / s^2 here
    bias = np.prod(total / SIGMA**2) / (2 * n)
    for name, truth in (("mutual_information", information), ("marginal_kl", marginal)):
        row = rows[name]
        assert abs(row.value - truth) < 4 * row.se + bias
        assert row.se < 0.03
        assert row.samples == 2
        assert row.unit == "nats/image"
    assert bias < 0.01


def test_information_falls_short_and_the_marginal_kl_goes_too_far_by_the_same_where_images_are_few():
    model = affine(*scaled([1.0, 1.0]), [0.02, 0.02])
    truth = math.log(1 + 1 / 0.02**2)
    few = measured(model, dataset(normal_pixels(50)), samples=20)
    assert few["mutual_information"].value < math.log(50) < truth
    marginal = few["marginal_kl"]  # of all images it is nothing: q(z) is the prior but for 0.02^2
    assert marginal.value == pytest.approx(truth - few["mutual_information"].value, abs=4 * marginal.se)
    assert marginal.se < 0.2


def test_the_two_parts_add_up_to_the_rate_of_the_same_draws():
    model, data = affine(*scaled(GAIN), SIGMA), dataset(normal_pixels(700))
    rows = measured(model, data, samples=3)
    rate = 0.5 * (GAIN**2 + SIGMA**2 - 1 - np.log(SIGMA**2)).sum()
    both = rows["mutual_information"].value + rows["marginal_kl"].value
    assert both == pytest.approx(rate, abs=4 * (rows["marginal_kl"].se + rows["mutual_information"].se))
    mean = posterior_means(model, data, 0).numpy()
    exact = 0.5 * (mean**2 + SIGMA**2 - 1 - np.log(SIGMA**2)).sum(1).mean()  # of these images
    spread = math.sqrt((0.5 * ((SIGMA**2 - 1) ** 2).sum() + (mean**2 * SIGMA**2).sum(1).mean()) / (3 * 700))
    assert both == pytest.approx(exact, abs=4 * spread)


def test_posteriors_far_apart_tell_every_image():
    data = dataset(np.arange(0, 200, 2, dtype=np.uint8)[:, None].repeat(2, 1))
    rows = measured(affine(torch.eye(2) * 255, torch.zeros(2), [0.01, 0.01]), data)
    row = rows["mutual_information"]
    assert row.value == pytest.approx(math.log(100), abs=1e-9)
    assert row.se == pytest.approx(0, abs=1e-9)
    assert "log N = 4.61" in row.note
    assert "nearly reached" in row.note


def test_two_points_carry_one_bit_however_often_each_is_repeated():
    images = np.zeros((600, 2), np.uint8)
    images[:300] = 255
    row = measured(affine(torch.eye(2) * 20, torch.zeros(2), [0.5, 0.5]), dataset(images))["mutual_information"]
    assert row.value == pytest.approx(math.log(2), abs=1e-9)
    assert "reached" not in row.note


def test_a_posterior_that_ignores_the_image_has_no_information_and_its_rate_is_marginal():
    rows = measured(affine(torch.zeros(2, 2), torch.zeros(2), [1.0, 0.5]), dataset(normal_pixels(300)), samples=5)
    assert rows["mutual_information"].value == pytest.approx(0, abs=1e-9)
    marginal = rows["marginal_kl"]
    assert marginal.value == pytest.approx(0.5 * (0.25 - 1 - math.log(0.25)), abs=4 * marginal.se)
    assert rows["active_units"].value == 0
    assert "aggregate_correlation" not in rows


def test_a_model_in_float32_is_measured_in_float64():
    model = build_model(Spec(latent=3, network="mlp:hidden=5"), (1, 1, 2))
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.zero_()  # every posterior is the prior
    rows = measured(model, dataset(normal_pixels(100)))
    assert rows["mutual_information"].value == pytest.approx(0, abs=1e-12)
    assert rows["marginal_kl"].value == pytest.approx(0, abs=1e-12)


def test_standard_errors_are_those_of_repetitions():
    """Over data sets the spread is `se`; over seeds with one data set it is `monte_carlo_se`."""
    model, fixed = affine(*scaled(GAIN), SIGMA), dataset(normal_pixels(300))
    for vary in ("images", "draws"):
        runs = [
            measured(model, dataset(normal_pixels(300, seed=1 + i)) if vary == "images" else fixed, seed=i, samples=2)
            for i in range(60)
        ]
        for name in ("mutual_information", "marginal_kl"):
            spread = np.std([run[name].value for run in runs], ddof=1)
            said = np.mean([run[name].se if vary == "images" else run[name].monte_carlo_se for run in runs])
            assert 0.7 < spread / said < 1.35  # 60 repetitions know their spread within 9 %; 3.8 of these
    assert measured(model, fixed)["marginal_kl"].monte_carlo_se is None


def test_more_draws_of_each_image_are_no_more_images():
    """Where images differ and draws of one image hardly do, the standard error is that of the images, whatever S is.

    z = 3 eps + 0.01 noise, so KL(q(z) || p(z)) varies between images by z^2 / 2, and the draws of one are all alike.
    """
    model, data = affine(*scaled([3.0, 3.0]), [0.01, 0.01]), dataset(normal_pixels(200))
    one, many = (measured(model, data, samples=s)["marginal_kl"] for s in (1, 16))
    squares = posterior_means(model, data, 0).square().sum(1) / 2
    assert many.se == pytest.approx(squares.std().item() / math.sqrt(200), rel=0.1)
    assert many.se == pytest.approx(one.se, rel=0.05)
    assert many.monte_carlo_se < many.se / 10


def test_active_units_have_a_mean_that_varies_by_more_than_a_hundredth():
    weight, bias = scaled([1.0, 0.11, 0.09, 0.0])
    rows = measured(affine(weight, bias + 5, [0.1] * 4, (1, 1, 4)), dataset(normal_pixels(3000, 4)))
    row = rows["active_units"]
    assert row.value == 2
    assert row.unit == "latent dimensions"
    assert row.note == "of 4"
    np.testing.assert_allclose(row.parts, [1, 0.0121, 0.0081, 0], rtol=0.1)


def test_correlation_is_of_draws_from_the_aggregate_and_blind_to_dead_dimensions():
    """z = W eps + s noise: means [0, eps_0, 0.8 eps_0 + 0.6 eps_1] with noise 0.5 in each, so 0.8 / (1 + 0.25)."""
    weight = torch.tensor([[0, 0, 0], [1.0, 0, 0], [0.8, 0.6, 0]]) / 0.12
    model = affine(weight, -0.5 * weight.sum(1), [0.5] * 3, (1, 1, 3))
    rows = measured(model, dataset(normal_pixels(2000, 3)))
    assert rows["aggregate_correlation"].value == pytest.approx(0.8 / 1.25, abs=4 / math.sqrt(2000))
    assert rows["aggregate_correlation_mean"].value == rows["aggregate_correlation"].value  # there is but one pair
    assert rows["aggregate_correlation"].note == "between 2 active dimensions"


def test_largest_and_mean_correlation_are_of_the_pairs():
    weight = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1]]) / 0.12
    model = affine(weight, -0.5 * weight.sum(1), [1e-3] * 3, (1, 1, 3))
    rows = measured(model, dataset(normal_pixels(2000, 3)))
    assert rows["aggregate_correlation"].value == pytest.approx(1, abs=1e-5)
    assert rows["aggregate_correlation_mean"].value == pytest.approx(1 / 3, abs=4 / math.sqrt(2000))


class Full(nn.Module):
    """A head for a posterior whose dimensions are correlated by 0.9."""

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (2 * event_shape[0],)

    def forward(self, parameters: torch.Tensor) -> MultivariateNormal:
        mu, log_var = parameters.chunk(2, -1)
        sigma = (0.5 * log_var).exp()
        correlation = torch.tensor([[1, 0.9], [0.9, 1]], dtype=mu.dtype)
        return MultivariateNormal(mu, sigma[..., None] * correlation * sigma[..., None, :])


def test_a_posterior_with_correlations_is_measured_too():
    rows = measured(affine(*scaled([1.0, 1.0]), [1.0, 1.0], head=Full()), dataset(normal_pixels(2000)), samples=2)
    covariance = torch.tensor([[2, 0.9], [0.9, 2]])
    information = 0.5 * (covariance.logdet() - math.log(1 - 0.81)).item()
    row = rows["mutual_information"]
    assert row.value == pytest.approx(information, abs=4 * row.se + math.exp(2 * information) / 4000)
    assert rows["aggregate_correlation"].value == pytest.approx(0.45, abs=4 / math.sqrt(2000))


@pytest.mark.parametrize("protocol", ["grey", "8bit"])
def test_the_order_of_the_images_does_not_matter(protocol: str):
    model, images = affine(*scaled(GAIN), SIGMA), np.unique(normal_pixels(700), axis=0)
    shuffled = images[np.random.default_rng(0).permutation(len(images))]
    for options in ({}, {"images": 130}):
        one = measured(model, dataset(images, protocol=protocol), **options)
        assert one == measured(model, dataset(shuffled, protocol=protocol), **options)


def test_the_size_of_the_blocks_does_not_matter(monkeypatch):
    model, data = affine(*scaled(GAIN), SIGMA), dataset(normal_pixels(700))
    one = measured(model, data, samples=2)
    monkeypatch.setattr(aggregate, "POINTS", 37)
    other = measured(model, data, samples=2)
    for name in one:
        assert one[name].value == pytest.approx(other[name].value, abs=1e-10)


def test_the_images_that_are_used_are_stated():
    data = dataset(normal_pixels(700))
    rows = measured(affine(*scaled(GAIN), SIGMA), data, images=600)
    assert {row.images for row in rows.values()} == {600}
    assert "log N = 6.40" in rows["mutual_information"].note
    assert {row.images for row in measured(affine(*scaled(GAIN), SIGMA), data).values()} == {700}


def test_a_seed_fixes_the_draws_and_nothing_else_is_touched():
    model, data = affine(*scaled(GAIN), SIGMA), dataset(normal_pixels(100))
    torch.manual_seed(5)
    before, told = torch.get_rng_state(), []
    assert measured(model, data) == measured(model, data)
    assert measured(model, data) != measured(model, data, seed=1)
    Latents()(context(model, data), told.append)
    assert torch.equal(torch.get_rng_state(), before)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)


@pytest.mark.parametrize("options", [{"images": 1}, {"samples": 0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, int]):
    with pytest.raises(SpecError):
        Latents(**options)


def test_a_single_image_is_refused():
    with pytest.raises(DataError, match="at least 2"):
        Latents().check(context(affine(*scaled(GAIN), SIGMA), dataset(normal_pixels(1))))
