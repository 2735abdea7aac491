"""A model that is told labels is p(x, z|y): exactly so where that is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from tests.built import build_model
from tests.oracle import PlainGaussian
from vaelab.data import Dataset
from vaelab.evaluation.ais.annealed import importance_weighted, simulate
from vaelab.evaluation.ais.chains import AnnealingSettings, run_chains
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.models import VAE, Labels
from vaelab.models.vae import flat
from vaelab.networks import FullyConnected
from vaelab.posteriors import DiagonalGaussian
from vaelab.priors import StandardNormal
from vaelab.runs.spec import Spec
from vaelab.system.errors import SpecError

SHAPE, SIGMA = (1, 2, 3), 0.5
CLASSES = (2, 5, 7)  # labels need not be 0, 1, ...
TRAINED_ON = np.repeat(CLASSES, (50, 30, 20))


class Known:
    """x = W z + b_y + sigma * noise, W with orthogonal columns: log p(x|y) is known, and its encoder is p(z|x, y)."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        basis, _ = torch.linalg.qr(torch.randn(6, 2, generator=generator))
        self.weight, self.offset = basis * torch.tensor([1.5, 0.5]), torch.randn(3, 6, generator=generator)
        affine = FullyConnected(hidden=())
        self.model = flat(
            2,
            SHAPE,
            affine,
            DiagonalGaussian(),
            PlainGaussian(SIGMA),
            lambda q, latent: StandardNormal(2),
            Labels(TRAINED_ON),
        )
        inverse = torch.linalg.inv(self.weight.T @ self.weight + SIGMA**2 * torch.eye(2))
        back = inverse @ self.weight.T
        encoder, decoder = self.model.posterior.network[1], self.model.likelihood.network[1]
        with torch.no_grad():
            self.model.posterior.join[0].weight.copy_(self.offset.T)  # a label's plane is its offset
            encoder.weight.zero_()
            encoder.weight[:2] = torch.cat([back, -back], 1)
            encoder.bias.copy_(torch.cat([torch.zeros(2), (SIGMA**2 * inverse.diagonal()).log()]))
            decoder.weight.copy_(torch.cat([self.weight, self.offset.T], 1))
            decoder.bias.zero_()

    def p(self, labels: Tensor) -> MultivariateNormal:
        """p(x|y), flattened."""
        covariance = self.weight @ self.weight.T + SIGMA**2 * torch.eye(6)
        return MultivariateNormal(self.offset[torch.searchsorted(torch.tensor(CLASSES), labels)], covariance)


@pytest.fixture(scope="module")
def known() -> Known:
    return Known()


def images(n: int = 250) -> Dataset:
    random = np.random.default_rng(0)
    labels = random.choice(CLASSES, n).astype(np.int64)
    return Dataset("made", "test", random.integers(0, 256, (n, *SHAPE), np.uint8), labels, "grey")


def test_at_the_exact_posterior_every_bound_is_log_p_of_x_given_y(known):
    data = images()
    x, y = torch.from_numpy(data.images).flatten(1) / 255, torch.from_numpy(data.labels)
    truth = known.p(y).log_prob(x).double()
    found = estimate_bounds(known.model, data, 20, seed=0, memory_mb=0.4)  # pieces of a chunk of images at a time
    for bound in (-found.nll, *found.bounds.values()):
        torch.testing.assert_close(bound, truth, rtol=0, atol=1e-4)
    wrong = data.take(np.arange(len(data)))
    wrong.labels[:] = np.roll(CLASSES, 1)[np.searchsorted(CLASSES, data.labels)]
    assert ((-estimate_bounds(known.model, wrong, 20, seed=0).nll - truth).abs() > 0.01).float().mean() > 0.9


def test_annealing_is_of_log_p_of_x_given_y(known):
    torch.manual_seed(0)
    condition = known.model.draw_condition(40)
    x, z = simulate(known.model.conditioned(condition), 40, seed=0)
    y = torch.tensor(CLASSES)[condition.long().argmax(1)]
    truth = known.p(y).log_prob(x.flatten(1)).double()
    for start in ("prior", "posterior"):
        settings = AnnealingSettings(temperatures=60, chains=8, leapfrog=3, start=start)
        chains = run_chains(known.model, x, settings, 0, exact=z, condition=condition)
        for estimate in (chains.lower, chains.upper):
            assert (estimate - truth).abs().mean() < 0.4
        others = run_chains(known.model, x, settings, 0, condition=condition.roll(1, 1))
        assert (others.lower - truth).abs().mean() > 2
    torch.testing.assert_close(importance_weighted(known.model, x, 10, 0, condition), truth, rtol=0, atol=1e-4)


def test_samples_without_labels_are_those_of_p_of_x(known):
    n = 20_000
    torch.manual_seed(0)
    x = known.model.sample(n).sample().flatten(1)
    share = torch.tensor([0.5, 0.3, 0.2])
    mean = share @ known.offset
    spread = known.offset - mean
    covariance = known.p(torch.tensor(2)).covariance_matrix + (share[:, None] * spread).T @ spread
    assert ((x.mean(0) - mean).abs() < 4.5 * (covariance.diagonal() / n).sqrt()).all()
    torch.testing.assert_close(torch.cov(x.T), covariance, rtol=0.06, atol=0.06)


@pytest.mark.parametrize("label", CLASSES)
def test_samples_given_a_label_are_those_of_p_of_x_given_it(known, label):
    n = 5_000
    torch.manual_seed(0)
    x, p = known.model.given(label).sample(n).sample().flatten(1), known.p(torch.tensor(label))
    assert ((x.mean(0) - p.mean).abs() < 4.5 * (p.variance / n).sqrt()).all()


SPECS = {
    network: Spec(condition="labels", latent=3, network=network)
    for network in ("mlp:hidden=8", "conv:channels=4", "article-conv:maps=2:hidden=6", "residual:channels=4:groups=2")
}


@pytest.mark.parametrize("name", SPECS)
def test_it_is_a_model_as_any_other_and_every_image_has_its_own_label(name):
    model = build_model(SPECS[name], (2, 6, 5), TRAINED_ON).eval()
    torch.manual_seed(0)
    x, y = torch.rand(6, 2, 6, 5).round(), [2, 5, 7, 7, 5, 2]
    told = model.given(y)
    assert (told.image_shape, told.latent, told.support) == ((2, 6, 5), 3, "real")
    draw = told(x, samples=4)
    assert draw.log_lik.shape == (4, 6)
    assert told.reconstruct(x, 3).shape == x.shape
    for i, label in enumerate(y):
        one = model.given(label)
        torch.testing.assert_close(one.posterior(x[i]).mean, draw.posterior.mean[i], rtol=0, atol=1e-5)
        torch.testing.assert_close(one.likelihood(draw.z[:, i]).mean, draw.likelihood.mean[:, i], rtol=0, atol=1e-5)
        other = model.given(2 if label != 2 else 7)
        assert not torch.allclose(other.posterior(x[i]).mean, draw.posterior.mean[i], rtol=0, atol=1e-4)
        assert not torch.allclose(other.likelihood(draw.z[:, i]).mean, draw.likelihood.mean[:, i], rtol=0, atol=1e-4)


def test_what_encoder_and_decoder_pay_for_labels():
    """One channel of the image whatever the number of labels, and one number of z for each of them."""
    plain, told = (build_model(Spec(latent=4, network="mlp:hidden=10", condition=c), (1, 5, 5), TRAINED_ON)
                   for c in ("none", "labels"))  # fmt: skip
    extra = 25 * 10 + 3 * 25 + 3 * 10  # the channel's weights, the labels' planes, the weights of the codes

    def count(model: VAE) -> int:
        return sum(p.numel() for p in model.parameters())

    assert count(told) == count(plain) + extra


def test_a_model_that_is_told_none_is_left_as_it_was():
    model = build_model(Spec(latent=2, network="mlp:hidden=5"), (1, 4, 4), TRAINED_ON)
    assert model.labels is None
    assert model.given([1, 2, 3]) is model.given(None) is model.conditioned_on_any() is model
    assert model.draw_condition(3) is None
    assert not any("labels" in name for name in model.state_dict())


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda model: model(torch.zeros(1, *SHAPE)), "model.given"),
        (lambda model: model.likelihood(torch.zeros(1, 2)), "model.given"),
        (lambda model: model.given(None), "without labels"),
        (lambda model: model.given([2, 3]), "label 3; expected a label of the training images: 2, 5, 7"),
        (
            lambda model: estimate_bounds(model, Dataset("a", "test", images().images, None, "grey"), 1, 0),
            "without labels",
        ),
    ],
)
def test_mistakes_are_told_in_a_line(known, ask, says):
    with pytest.raises(SpecError, match=says) as caught:
        ask(known.model)
    assert "\n" not in str(caught.value)


def test_labels_are_drawn_as_often_as_they_were_trained_on():
    labels, n = Labels(TRAINED_ON), 10_000
    torch.manual_seed(0)
    found = labels.draw(n).float().mean(0)
    share = torch.tensor([0.5, 0.3, 0.2])
    assert ((found - share).abs() < 4.5 * (share * (1 - share) / n).sqrt()).all()
    assert labels.commonest(2).tolist() == [2, 5]
    assert labels.commonest(9).tolist() == [2, 5, 7]
    assert math.isclose(labels.shares.sum().item(), 1, abs_tol=1e-6)
