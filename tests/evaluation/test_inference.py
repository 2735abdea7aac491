"""The fast decoder against the plain one, and an evaluation against its definition, one image at a time."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal

from tests.built import build_model
from tests.oracle import Double
from vaelab.data import Dataset
from vaelab.evaluation import inference
from vaelab.evaluation.inference import for_inference
from vaelab.evaluation.likelihood import chunk, likelihood
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.likelihoods import Bernoulli as BernoulliHead
from vaelab.models import VAE, Conditional
from vaelab.randomness.seeds import derive
from vaelab.runs.spec import Spec
from vaelab.system.torch_internals import OneDnnLinear

onednn = pytest.mark.skipif(not inference._has_onednn(torch.float32), reason="no oneDNN here")


def built(network: str = "mlp:hidden=30,20", **fields) -> VAE:
    model = build_model(Spec(data="digits", latent=3, network=network, **fields), (1, 8, 8)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)  # so that activations bend and codes matter
    return model


def dataset(n: int) -> Dataset:
    images = 255 * np.random.default_rng(0).integers(0, 2, (n, 1, 8, 8), np.uint8)
    return Dataset("made", "test", images, None, "binary-threshold")


def decoder(*layers: nn.Module) -> Conditional:
    network = nn.Sequential(nn.Flatten(), *layers, nn.Unflatten(1, (1, 2, 3)))
    return Conditional(network, BernoulliHead(), (4,)).eval()


def logits_of(conditional: nn.Module, z: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return conditional(z).base_dist.logits


@pytest.mark.parametrize("samples", [1, 10, 234])
def test_an_evaluation_is_its_definition_one_image_at_a_time(samples):
    """With the draws that the evaluation makes, torch's own densities, and all else in float64."""
    model, data = built(), dataset(130)
    found, x_of = estimate_bounds(model, data, samples, seed=5), torch.from_numpy(data.images) / 255
    exact = Double(deepcopy(model.likelihood.network).double(), model.likelihood.head, (3,))
    plain = {name: torch.zeros(130, dtype=torch.float64) for name in ("nll", "distortion", "effective", "error")}
    for number, start in enumerate(range(0, 130, 100)):
        chosen = data.by_content[start : start + 100]
        with torch.no_grad():
            q = model.posterior(x_of[chosen]).base_dist
        blocks = []
        for block, first in enumerate(range(0, samples, 10)):
            torch.manual_seed(derive(5, "evaluation", number, block + 1))
            blocks.append(q.loc + q.scale * torch.randn(min(10, samples - first), *q.loc.shape))
        z = torch.cat(blocks).double()
        for i, image in enumerate(chosen):
            logits, x = logits_of(exact, z[:, i]), x_of[image].double()
            log_lik = Independent(Bernoulli(logits=logits), 3).log_prob(x)
            prior, post = Normal(0.0, 1.0), Normal(q.loc[i].double(), q.scale[i].double())
            log_w = log_lik + (prior.log_prob(z[:, i]) - post.log_prob(z[:, i])).sum(-1)
            plain["nll"][image] = math.log(samples) - log_w.logsumexp(0)
            plain["distortion"][image] = -log_lik.mean()
            plain["effective"][image] = (2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp()
            plain["error"][image] = (x - logits.sigmoid().mean(0)).square().mean()
    for name in ("nll", "distortion"):
        torch.testing.assert_close(getattr(found, name), plain[name], rtol=3e-6, atol=0)
    torch.testing.assert_close(found.effective, plain["effective"], rtol=1e-3, atol=0)
    torch.testing.assert_close(found.squared_error, plain["error"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "elu", "softplus"])
def test_the_fast_decoder_equals_the_plain_one(activation):
    likelihood = built(f"mlp:hidden=30,20:activation={activation}").likelihood
    fast, z = for_inference(likelihood), 2 * torch.randn(7, 11, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(logits_of(fast, z), logits_of(likelihood, z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Linear(4, 5), nn.Tanh(), nn.Tanh(), nn.Linear(5, 6)),
        (nn.Linear(4, 5), nn.ReLU(), nn.Sigmoid(), nn.Linear(5, 6, bias=False)),
        (nn.ReLU(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 6), nn.Tanh()),
        (nn.Linear(4, 5), nn.Dropout(0.5), nn.Tanh(), nn.Sequential(nn.Linear(5, 6), nn.Tanh())),
        (nn.Linear(4, 6), nn.LeakyReLU(0.3)),
    ],
)
def test_an_activation_goes_with_the_layer_before_it_once(layers):
    plain, z = decoder(*layers), torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(logits_of(for_inference(plain), z), logits_of(plain, z), rtol=1e-5, atol=1e-6)


@onednn
def test_the_linear_layers_are_onednn_s_and_the_model_is_left_as_it_was():
    plain = decoder(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6))
    before = [type(layer) for layer in plain.network]
    assert [type(layer) for layer in for_inference(plain).network] == [
        nn.Flatten, OneDnnLinear, OneDnnLinear, nn.Unflatten,
    ]  # fmt: skip
    assert [type(layer) for layer in plain.network] == before
    assert not plain.use_bfloat16


def test_the_weights_are_those_of_the_moment():
    model, data = built(), dataset(20)
    first = estimate_bounds(model, data, 5, seed=0).distortion
    with torch.no_grad():
        model.likelihood.network[-2].bias.add_(1.0)
    assert (estimate_bounds(model, data, 5, seed=0).distortion - first).abs().mean() > 1


def test_what_is_no_plain_sequence_runs_as_it_is():
    model = built()
    own = type("Own", (Conditional,), {})(model.likelihood.network, model.likelihood.head, (3,))
    assert for_inference(own) is own
    inner = nn.ModuleList([model.likelihood.network])[0]
    wrapped = Conditional(type("Wrapped", (nn.Sequential,), {})(inner), model.likelihood.head, (3,))
    assert for_inference(wrapped).network is wrapped.network
    double = decoder(nn.Linear(4, 6)).double()
    assert type(for_inference(double).network[1]) is nn.Linear


@pytest.mark.parametrize("network", ["mlp:hidden=30,20", "conv:channels=4,8"])
def test_bfloat16_rounds_the_network_and_no_density(network):
    likelihood, z = built(network).likelihood, torch.randn(3, 5, 3, generator=torch.Generator().manual_seed(0))
    rounded, exact = logits_of(for_inference(likelihood, "bfloat16"), z), logits_of(likelihood, z)
    error = (rounded - exact).abs().max() / exact.abs().max()
    assert 1e-4 < error < 3e-2  # eight bits of mantissa
    p = for_inference(likelihood, "bfloat16")(z)
    assert p.log_prob(torch.ones(5, 1, 8, 8)).dtype == p.mean.dtype == torch.float32
    assert not likelihood.use_bfloat16


def test_bfloat16_is_off_by_less_than_the_draws_are():
    model, data = built(), dataset(100)
    plain, rounded = (estimate_bounds(model, data, 200, seed=0, precision=p) for p in ("float32", "bfloat16"))
    error = (rounded.nll - plain.nll).mean().abs().item()
    assert 0 < error < 0.5 * plain.nll_variance.sum().sqrt().item() / 100
    torch.testing.assert_close(rounded.rate, plain.rate, rtol=0, atol=0)  # the encoder is not rounded


def test_draws_are_cut_to_the_memory_and_passes_to_the_cache(monkeypatch):
    model = built()
    least = likelihood.at_a_time_within(model, 0.5)
    assert least.blocks >= 1
    assert least.passes < likelihood.at_a_time_within(model, 1.0).passes
    most = likelihood.at_a_time_within(model, 1000.0)
    assert most.blocks == likelihood.BLOCKS
    monkeypatch.setattr(likelihood, "CACHE_MB", 0.001)
    assert likelihood.at_a_time_within(model, 1000.0).passes == 1


@pytest.mark.parametrize("memory_mb", [0.5, 1.0, 2.0, 4.0])
def test_what_is_held_at_a_time_fits_the_budget_and_fills_it(memory_mb, monkeypatch):
    monkeypatch.setattr(likelihood, "BLOCKS", 1000)
    model = built()
    encoder, draw = likelihood.encoder_bytes(model)
    block, one = likelihood.IMAGES * likelihood.TEN * draw, likelihood.decoder_bytes(model)
    found = likelihood.at_a_time_within(model, memory_mb)
    held = likelihood.IMAGES * encoder + found.blocks * block + found.passes * one
    assert held <= memory_mb * 1e6 < held + max(block, one)


def test_a_pass_of_the_decoder_is_never_larger_than_asked(monkeypatch):
    """Some draws of every image, whole blocks where more than one fits; else pieces of one draw."""
    sizes = list[tuple[int, ...]]()
    model = built()
    forward = model.likelihood.forward
    monkeypatch.setattr(model.likelihood, "forward", lambda z: sizes.append(tuple(z.shape[:2])) or forward(z))
    z, x = torch.randn(60, 4, model.latent), torch.rand(4, *model.image_shape)
    for passes, most in ((3, (1, 3)), (60, (10, 4)), (100, (20, 4)), (36, (9, 4))):
        sizes.clear()
        chunk._log_lik(model.likelihood, x, None, z, torch.zeros(4, *model.image_shape), passes)
        assert max(sizes) == most


def test_bfloat16_needs_no_instructions_of_a_newer_processor(monkeypatch):
    """oneDNN multiplies no bfloat16 where a processor has AVX2 alone: the layers then run as they are."""
    model, z = built(), torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(inference, "_has_onednn", lambda dtype: dtype == torch.float32)
    rounded = for_inference(model.likelihood, "bfloat16")
    assert not any(isinstance(layer, OneDnnLinear) for layer in rounded.network.modules())
    exact = logits_of(model.likelihood, z)
    error = (logits_of(rounded, z) - exact).abs().max() / exact.abs().max()
    assert 1e-4 < error < 3e-2  # eight bits of mantissa


@pytest.mark.parametrize(("machine", "used"), [("x86_64", True), ("AMD64", True), ("aarch64", False), ("arm64", False)])
def test_onednn_is_used_on_x86_processors_alone(machine, used, monkeypatch):
    monkeypatch.setattr(inference, "has_onednn_linear", lambda dtype: True)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert inference._has_onednn(torch.float32) == used
