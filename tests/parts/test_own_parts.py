"""Parts of the user's own that do not keep their contract: one line names the part and what it lacks."""

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal

import vaelab as vl
from vaelab.system.errors import SpecError, VaelabError

SHAPE = (1, 8, 8)


class Network:
    """The smallest network."""

    def encoder(self, in_shape, out_shape):
        linear = nn.Linear(prod(in_shape), prod(out_shape))
        return nn.Sequential(nn.Flatten(), linear, nn.Unflatten(1, out_shape))

    decoder = encoder


class EncoderAlone(nn.Module):
    """A network that is no recipe for a pair."""


class BrokenNetwork(Network):
    """A network whose encoder has a fault of its own."""

    def encoder(self, in_shape, out_shape):
        return nn.Sequential(nn.Flatten(), nn.Linear(7, prod(out_shape)))


class NarrowNetwork(Network):
    """A network whose decoder gives fewer numbers than the likelihood asks for."""

    def decoder(self, in_shape, out_shape):
        return nn.Linear(prod(in_shape), 5)


class LoosePixels(nn.Module):
    """A likelihood of independent pixels, that are not one event."""

    protocols, admitted = ("binary-dynamic",), ()

    def parameter_shape(self, event_shape):
        return event_shape

    def forward(self, parameters):
        return Bernoulli(logits=parameters, validate_args=False)


class Shapeless(nn.Module):
    """A likelihood that does not say how many parameters it wants."""

    protocols, admitted = ("binary-dynamic",), ()

    def forward(self, parameters):
        return Independent(Bernoulli(logits=parameters, validate_args=False), 3, validate_args=False)


class Bare(nn.Module):
    """A likelihood without protocols."""

    def parameter_shape(self, event_shape):
        return event_shape

    def forward(self, parameters):
        return Independent(Bernoulli(logits=parameters, validate_args=False), 3, validate_args=False)


class Broken(LoosePixels):
    """A likelihood with a fault of its own."""

    def forward(self, parameters):
        raise RuntimeError("no such thing\nbehind it a long traceback")


class LooseCodes(nn.Module):
    """A posterior of independent dimensions, that are not one event."""

    def parameter_shape(self, event_shape):
        return (2 * event_shape[0],)

    def forward(self, parameters):
        mean, log_sigma = parameters.chunk(2, -1)
        return Normal(mean, log_sigma.exp(), validate_args=False)


class PosteriorShapeless(nn.Module):
    """A posterior that does not say how many parameters it wants."""


class LoosePrior(nn.Module):
    """A prior of independent dimensions, that are not one event."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(latent))

    def forward(self):
        return Normal(self.zero, self.zero + 1, validate_args=False)


class Unmade(LoosePrior):
    """A prior that cannot be made."""

    def __init__(self, latent: int) -> None:
        raise OSError("no weights\nanywhere")


def prior_itself(latent):
    """A distribution, and not a part that gives one."""
    return Independent(Normal(torch.zeros(latent), torch.ones(latent)), 1)


def loss_itself(model, x, step):
    """An objective, and not a function that makes one."""
    draw = model(x, 1)
    return -draw.log_lik.mean(0) + draw.kl, draw


def head_itself(parameters):
    """A likelihood, and not a function that makes one."""
    return Independent(Bernoulli(logits=parameters), 3)


class Averaged:
    """An objective that averages over the batch."""

    def __call__(self, model, x, step):
        loss, draw = loss_itself(model, x, step)
        return loss.mean(), draw


class Drawless:
    """An objective that keeps its Draw for itself."""

    def __call__(self, model, x, step):
        return loss_itself(model, x, step)[0]


@pytest.mark.parametrize(
    ("field", "name", "words"),
    [
        ("likelihood", "LoosePixels", ["likelihood LoosePixels: log p(x|z) has shape [3, 2, 1, 8, 8]", "Independent"]),
        ("likelihood", "Shapeless", ["Shapeless', a class, without parameter_shape"]),
        ("likelihood", "Bare", ["without protocols, admitted"]),
        ("likelihood", "Broken", ["likelihood Broken fails (RuntimeError: no such thing)"]),
        ("likelihood", "head_itself", ["a function, without protocols, admitted"]),
        ("posterior", "LooseCodes", ["posterior LooseCodes: log q(z|x) has shape [3, 2, 2]", "Independent"]),
        ("posterior", "PosteriorShapeless", ["without parameter_shape"]),
        ("prior", "LoosePrior", ["prior LoosePrior: log p(z) has shape [3, 2, 2]", "Independent(distribution, 1)"]),
        ("prior", "Unmade", ["cannot be made (OSError: no weights)"]),
        ("prior", "prior_itself", ["a function that does not say what it makes", "def prior_itself(...) -> CLASS"]),
        ("objective", "loss_itself", ["a function of (model, x, step)", "makes the objective"]),
        ("objective", "Averaged", ["a loss of shape [] for 20 images", "do not average over the images"]),
        ("objective", "Drawless", ["and no Draw", "return (loss, draw)"]),
        ("network", "EncoderAlone", ["without encoder, decoder"]),
        ("network", "BrokenNetwork", ["network Sequential (encoder) fails (RuntimeError: mat1 and mat2"]),
        ("network", "NarrowNetwork", ["network Linear (decoder): its output has shape [6, 5]", "[6, 1, 8, 8]"]),
    ],
)
def test_a_part_in_a_spec_is_named_with_what_it_lacks(field: str, name: str, words: list[str], tmp_path):
    spec = vl.Spec(**{"latent": 2, "network": "mlp:hidden=8", "epochs": 1, "batch": 20, field: f"{__name__}:{name}"})
    with pytest.raises(SpecError) as caught:
        vl.train(spec, tmp_path, compile="never")
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    if field != "objective":  # which is asked at the first step
        assert not list(tmp_path.glob("**/*.json"))


def given_prior(latent, image_shape, network, posterior, likelihood, prior) -> vl.VAE:
    """A model of the user's own, put together from the parts of a Spec."""
    encoder = network.encoder(image_shape, posterior.parameter_shape((latent,)))
    q = vl.Conditional(encoder, posterior, image_shape)
    decoder = network.decoder((latent,), likelihood.parameter_shape(image_shape))
    return vl.VAE(prior(q, latent), q, vl.Conditional(decoder, likelihood, (latent,)))


def test_a_model_of_ones_own_is_trained(tmp_path):
    spec = vl.Spec(model=f"{__name__}:given_prior", latent=2, network="mlp:hidden=4", epochs=0.1, nll_samples=2)
    run = vl.train(spec, tmp_path, compile="never", callback=vl.SILENT)
    assert isinstance(run.model(), vl.VAE)


class Numbers:
    """A measure that gives numbers, and no metrics."""

    def check(self, context):
        pass

    def __call__(self, context, progress):
        return [1.0]


class Checkless:
    """A measure that refuses nothing."""

    def __call__(self, context, progress):
        return []


def untitled(model, data, *, title, seed):
    """A figure that does not say that it is one."""


def numbers(model, data, *, title, seed) -> int:
    """A function that may do anything."""
    raise AssertionError


def broken(model, data, *, title, seed) -> Figure:
    raise RuntimeError("no ink\nanywhere")


def empty(model, data=None, *, title, seed) -> Figure:
    return None  # pyright: ignore[reportReturnType]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> vl.Run:
    spec = vl.Spec(latent=2, network="mlp:hidden=4", epochs=0.1, nll_samples=2)
    return vl.train(spec, tmp_path_factory.mktemp("runs"), compile="never", callback=vl.SILENT)


@pytest.mark.parametrize(
    ("act", "name", "words"),
    [
        (vl.evaluate, "Numbers", "Numbers', which gives a list; expected a list of metrics"),
        (vl.evaluate, "Checkless", "Checkless', a class, without check"),
        (vl.figure, "untitled", "untitled', a function that does not say what it returns"),
        (vl.figure, "numbers", "numbers', a function that returns a int; expected"),
        (vl.figure, "broken", "broken' fails (RuntimeError: no ink)"),
        (vl.figure, "empty", "empty' gives an object of type NoneType; expected a matplotlib.figure.Figure"),
        (vl.figure, "Numbers", "Numbers', a class; expected a function that says that it returns a matplotlib.figure"),
    ],
)
def test_a_measure_or_figure_is_named_with_what_it_lacks(act, name, words, run):
    with pytest.raises(SpecError) as caught:
        act(run, f"{__name__}:{name}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def model_of(likelihood=None, posterior=None, prior=None) -> vl.VAE:
    network, ours, pixels = Network(), vl.DiagonalGaussian(), vl.Bernoulli()
    return vl.VAE(
        prior or vl.StandardNormal(2),
        vl.Conditional(network.encoder(SHAPE, ours.parameter_shape((2,))), posterior or ours, SHAPE),
        vl.Conditional(network.decoder((2,), pixels.parameter_shape(SHAPE)), likelihood or pixels, (2,)),
    )


@pytest.fixture(scope="module")
def few() -> vl.Splits:
    splits = vl.load_data("digits")
    return replace(splits, train=splits.train.take(np.arange(40)), test=splits.test.take(np.arange(5)))


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"likelihood": LoosePixels()}, "log p(x|z) has shape [3, 2, 1, 8, 8]"),
        ({"posterior": LooseCodes()}, "log q(z|x) has shape [3, 2, 2]"),
        ({"prior": LoosePrior(2)}, "log p(z) has shape [3, 2, 2]"),
        ({"prior": vl.StandardNormal(3)}, "prior StandardNormal"),
    ],
    ids=["likelihood", "posterior", "prior", "dimensions"],
)
def test_parts_put_together_by_hand_are_asked_at_their_first_use(parts, word: str, few, tmp_path: Path):
    model = model_of(**parts)
    with pytest.raises(SpecError) as in_training:
        vl.fit(model, vl.Elbo(), few, vl.Spec(batch=20), tmp_path, compile="never")
    with pytest.raises(SpecError) as in_evaluation:
        vl.estimate_bounds(model, few.test, 1, 0)
    for caught in (in_training, in_evaluation):
        assert word in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_network_of_another_size_is_named(few):
    model = model_of()
    model.likelihood.network = nn.Linear(7, 64)
    with pytest.raises(SpecError, match=r"network Linear \(decoder\) fails \(RuntimeError: mat1 and mat2"):
        vl.estimate_bounds(model, few.test, 1, 0)


def test_asking_leaves_no_trace(few):
    model = model_of()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    vl.estimate_bounds(model, few.test, 1, 0)
    assert torch.equal(torch.rand(4), expected)
    assert model.training


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: vl.VAE(vl.StandardNormal, *_pair()), "prior is the class StandardNormal itself"),
        (lambda: vl.VAE(prior_itself(2), *_pair()), "prior is an object of type Independent, which cannot be called"),
        (lambda: vl.VAE(vl.StandardNormal(2), nn.Linear(64, 4), _pair()[1]), "posterior is an object of type Linear"),
        (lambda: vl.VAE(vl.StandardNormal(2), _pair()[0], vl.Bernoulli()), "likelihood is an object of type Bernoulli"),
        (lambda: vl.Conditional(nn.Linear(2, 64), vl.Bernoulli, (2,)), "head of a Conditional is the class Bernoulli"),
        (lambda: vl.Conditional("mlp", vl.Bernoulli(), (2,)), "network of a Conditional is an object of type str"),
    ],
    ids=["class", "distribution", "no encoder", "no decoder", "class of a head", "name of a network"],
)
def test_a_model_of_other_things_is_refused_when_it_is_made(make, word: str):
    with pytest.raises(VaelabError) as caught:
        make()
    assert word in str(caught.value)


def _pair() -> tuple[vl.Conditional, vl.Conditional]:
    model = model_of()
    return model.posterior, model.likelihood


class OwnPosterior(nn.Module):
    """x -> q(z|x) without a head: a network and a density in one."""

    context_shape = SHAPE

    def __init__(self):
        super().__init__()
        self.mean = nn.Linear(64, 2)

    def forward(self, x):
        return Independent(Normal(self.mean(x.flatten(-3)), 0.5, validate_args=False), 1, validate_args=False)


class OwnLikelihood(nn.Module):
    """z -> p(x|z) without a head."""

    context_shape = (2,)

    def __init__(self):
        super().__init__()
        self.logits = nn.Linear(2, 64)

    def forward(self, z):
        logits = self.logits(z).unflatten(-1, SHAPE)
        return Independent(Bernoulli(logits=logits, validate_args=False), 3, validate_args=False)


@pytest.mark.parametrize("own", ["posterior", "likelihood", "both"])
def test_parts_in_one_piece_are_trained_and_measured(own, tmp_path):
    data = vl.load_data("digits", protocol="binary-dynamic")
    parts = {
        "posterior": vl.Conditional(Network().encoder(SHAPE, (4,)), vl.DiagonalGaussian(), SHAPE),
        "likelihood": vl.Conditional(Network().decoder((2,), SHAPE), vl.Bernoulli(), (2,)),
    }
    parts |= {"posterior": OwnPosterior()} if own != "likelihood" else {}
    parts |= {"likelihood": OwnLikelihood()} if own != "posterior" else {}
    model = vl.VAE(vl.StandardNormal(2), **parts)
    vl.fit(model, vl.Elbo(), data, vl.Spec(epochs=1), tmp_path, vl.SILENT, "never")
    assert vl.estimate_bounds(model, data.test, samples=5, seed=0).elbo.isfinite().all()
