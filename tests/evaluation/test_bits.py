"""Bits per dimension: what a level costs, whatever the units of a density, and only where levels are counted."""

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Uniform
from torch.nn.functional import logsigmoid

from tests.traps.small import STILL, answers, build, dataset, fitted, noise, posterior_is_prior, spec_of, splits
from vaelab.data import Dataset
from vaelab.data.protocol import PROTOCOLS, protocol
from vaelab.evaluation.likelihood.likelihood import Likelihood
from vaelab.evaluation.measure import EvaluationContext, Metric
from vaelab.likelihoods import DiscretisedLogistic
from vaelab.models import VAE
from vaelab.randomness.seeds import derive


def rows(model: VAE, data: Dataset, samples: int = 3) -> dict[str, Metric]:
    context = EvaluationContext(model, data, data, 0, "", Path("unused"))
    return {row.name: row for row in Likelihood(samples=samples)(context, lambda share: None)}


class Ignorant(nn.Module):
    """A head of a user's own that takes all levels for equally probable; `density` or `mass` says of what."""

    def __init__(self, of: str) -> None:
        super().__init__()
        self.of = of

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return event_shape

    def forward(self, parameters: Tensor) -> Distribution:
        if self.of == "density":
            zero = torch.zeros_like(parameters)
            return Independent(Uniform(zero, zero + 1, validate_args=False), 3, validate_args=False)
        return Independent(Level(torch.zeros(*parameters.shape, 256)), 3, validate_args=False)


class Level(Categorical):
    """A level as the pixel u / 255."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.probs @ (torch.arange(256) / 255)

    def sample(self, sample_shape=torch.Size()) -> Tensor:  # noqa: B008
        return super().sample(sample_shape) / 255

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob((255 * value).round())


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8)])
@pytest.mark.parametrize(("name", "of"), [("8bit", "density"), ("levels", "mass")])
def test_a_likelihood_that_knows_nothing_takes_eight_bits_a_dimension(name, of, shape, tmp_path):
    """Through the whole evaluation, and in the log of a training; the rate is 0."""
    model = posterior_is_prior(build(shape=shape))
    model.likelihood.head, model.likelihood.offset = Ignorant(of), None
    found = rows(model, dataset(noise(20, shape), name))
    assert found["bits_per_dim"].value == pytest.approx(8, rel=1e-6)
    assert found["bits_per_dim"].unit == "bits/dim"
    assert found["bits_per_dim"].se == pytest.approx(0, abs=1e-5)
    assert found["nll"].value == pytest.approx(math.prod(shape) * math.log(256), rel=1e-6)
    spec = spec_of().model_copy(update={"learning_rate": STILL, "epochs": 1.0})

    def still(model, x, step):  # every weight asked for, none of effect
        draw = model(x)
        return -draw.log_lik.mean(0) + 0 * sum(p.sum() for p in model.parameters()), draw

    _, (row,) = fitted(spec, splits(name, shape=shape), tmp_path, still, model)
    for part in ("train", "validation"):
        assert row[part]["distortion"] == pytest.approx(8 * math.log(2) * math.prod(shape), rel=1e-5)


def test_bits_are_the_nats_of_the_importance_weighted_bound_in_another_unit():
    model = build("logistic:scale=pixel", (3, 8, 8))
    found = rows(model, dataset(noise(30, (3, 8, 8)), "levels"), samples=7)
    bits, nll = found["bits_per_dim"], found["nll"]
    for a, b in ((bits.value, nll.value), (bits.se, nll.se), (bits.monte_carlo_se, nll.monte_carlo_se)):
        assert a == pytest.approx(b / (192 * math.log(2)))
    assert (bits.samples, bits.protocol, bits.images) == (7, "levels", 30)


@pytest.mark.parametrize("scale", [0.03, 0.2, 1.0])
def test_bits_of_a_dequantised_gaussian_do_not_hang_on_the_unit_of_the_pixels(scale):
    """The density over [0, 1) with log 256 a dimension beside the one over [0, 256) without."""
    model = posterior_is_prior(build(f"gaussian:sigma={scale}", (1, 4, 4)))
    answers(model.likelihood, 0.4)
    data = dataset(noise(50), "8bit")
    torch.manual_seed(derive(0, "evaluation", 0))  # the noise of the one chunk
    v = 256 * protocol("8bit").pixels(torch.from_numpy(data.images[data.by_content])).double().numpy()
    assert (np.floor(v) == data.images[data.by_content]).all()
    mean = 256 / (1 + math.exp(-0.4))
    expected = -stats.norm.logpdf(v, mean, 256 * scale).mean() / math.log(2)
    assert rows(model, data)["bits_per_dim"].value == pytest.approx(expected, rel=1e-5)


class Continuous(Distribution):
    """The logistic density of x = (u + U) / 256 whose integral over each level is that level's probability."""

    def __init__(self, levels: Distribution) -> None:
        self.levels = levels
        super().__init__(levels.batch_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.levels.mean

    def log_prob(self, value: Tensor) -> Tensor:
        scale = 255 / 256 * self.levels.log_scale.exp()
        t = (value - (255 * self.levels.mu + 0.5) / 256) / scale
        return logsigmoid(t) + logsigmoid(-t) - scale.log()


class Dequantised(DiscretisedLogistic):
    """The head of the same parameters over a continuum."""

    protocols: ClassVar = ("8bit",)

    def forward(self, parameters: Tensor) -> Distribution:
        return Independent(Continuous(super().forward(parameters).base_dist), 3, validate_args=False)


@pytest.mark.parametrize("m", [-1.5, 0.3])
def test_dequantised_bits_lie_above_those_of_the_same_logistic_s_levels(m):
    """By Jensen's inequality, and by what a density outside of the pixels' range has lost (Theis et al. 2016)."""
    model = posterior_is_prior(build("logistic", (1, 4, 4)))
    answers(model.likelihood, m)
    found = {}
    for s in (-5.0, -3.0, 0.0):  # from a level's width upwards
        for name, head in (("levels", DiscretisedLogistic()), ("8bit", Dequantised())):
            head.s.data.fill_(s)
            model.likelihood.head = head
            found[name, s] = rows(model, dataset(noise(80), name))["bits_per_dim"]
        gap = found["8bit", s].value - found["levels", s].value
        noise_error = math.exp(-s) / 256 / math.sqrt(12 * 80 * 16) / math.log(2)  # of log p, whose slope is at most 1/s
        assert gap > -4 * noise_error
        assert gap < 0.5
    assert found["8bit", -5.0].value - found["levels", -5.0].value > 0.01


LIKELIHOOD = {"levels": "logistic", "8bit": "gaussian:sigma=0.2"}  # of pixels by a protocol; others: a Bernoulli


@pytest.mark.parametrize("name", PROTOCOLS)
def test_bits_are_given_for_levels_alone(name):
    """Of black and white pixels there are no 256 levels, and of grey points a density has no bits."""
    model, data = build(LIKELIHOOD.get(name, "bernoulli")), dataset(noise(20), name)
    assert ("bits_per_dim" in rows(model, data)) == (name in ("levels", "8bit"))
    assert PROTOCOLS[name].counts_levels == (name in ("levels", "8bit"))
    assert (PROTOCOLS[name].nats_offset((1, 4, 4)) != 0) == (name == "8bit")
