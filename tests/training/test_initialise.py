"""What a part of a model sees before the first step, and that it is seen once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.built import build_model, build_objective, completed, load_splits
from tests.training.test_loop import BASE, SILENT, same, stop_at, trained
from vaelab.data import Dataset
from vaelab.data.protocol import protocol
from vaelab.data.sources import load_data
from vaelab.runs.spec import Spec
from vaelab.system.errors import Interrupted, SpecError
from vaelab.training.initialise import initialise
from vaelab.training.loop import fit, fit_vmapped
from vaelab.training.setup import TrainingSetup
from vaelab.training.trainer import Trainer

SPEC = completed(BASE.model_copy(update={"prior": "vamp:components=7", "epochs": 1.0}))


class Asks(nn.Module):
    """Keeps what it begins with."""

    def __init__(self, initial_images: int) -> None:
        super().__init__()
        self.initial_images, self.weight = initial_images, nn.Parameter(torch.zeros(1))

    def initialise(self, pixels: torch.Tensor) -> None:
        self.pixels = pixels


def images(count: int, protocol: str = "grey", channels: int = 1) -> Dataset:
    levels = np.random.default_rng(0).integers(0, 256, (count, channels, 4, 4), np.uint8)
    return Dataset("made", "train", levels, None, protocol)


def test_as_many_images_as_are_asked_for_none_of_them_twice():
    data, part = images(50), Asks(50)
    initialise(part, data, seed=0)
    rows = {tuple(row) for row in (255 * part.pixels).round().flatten(1).int().tolist()}
    assert rows == {tuple(row) for row in data.images.reshape(50, -1).tolist()}


def test_a_function_of_the_seed_that_leaves_the_generator_alone():
    data = images(50, "binary-dynamic")  # whose pixels are drawn, too
    seen = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(seen))
        before = torch.get_rng_state()
        part = nn.ModuleList([Asks(5), Asks(5)])
        initialise(part, data, seed)
        assert torch.equal(torch.get_rng_state(), before)
        seen.append(part)
    one, again, other = ([part.pixels for part in parts] for parts in seen)
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[0], other[0])
    assert set(one[0].unique().tolist()) == {0.0, 1.0}  # as the protocol reads them


def test_more_images_than_there_are_is_one_line():
    with pytest.raises(SpecError, match="Asks, which requests 51 training images; expected at most 50") as caught:
        initialise(Asks(51), images(50), 0)
    assert "\n" not in str(caught.value)


MODELS = [
    {"network": "mlp:hidden=8"},
    {"network": "conv:channels=4,4"},
    {"network": "residual:channels=4,4:groups=2"},
    {"network": "article-conv:maps=2:hidden=8"},
    {"network": "mlp:hidden=8,4", "model": "ladder:groups=1"},
    {"network": "residual:channels=4,4:groups=2", "model": "ladder:groups=1"},
    {
        "network": "conv:channels=4,4",
        "posterior": "codes:size=16:halvings=2",
        "objective": "commitment",
        "prior": "codes",
    },
    {"network": "mlp:hidden=8", "condition": "labels"},
]


@pytest.mark.parametrize("fields", MODELS)
@pytest.mark.parametrize("start", ["mean", "zero"])
def test_every_encoder_sees_pixels_less_the_mean_of_their_channel(fields, start):
    data = load_splits(completed(Spec(data="digits", protocol="grey"))).train
    model = build_model(completed(Spec(**fields)), data.shape, data.labels)
    initialise(model, data, 0, start)
    x = protocol("grey").pixels(torch.from_numpy(data.images[:5]))
    seen = []
    network = model.posterior.network
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model.given(data.labels[:5]).posterior(x)
    mean = torch.from_numpy(data.images).float().mean() / 255  # of their one channel
    torch.testing.assert_close(seen[0][:, :1], x - mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fields", MODELS)
def test_a_decoder_starts_at_the_mean_image_pixel_by_pixel(fields):
    """Where z says nothing, as with its last weights at zero."""
    data = load_splits(completed(Spec(data="digits", protocol="grey"))).train
    model = build_model(completed(Spec(**fields)), data.shape, data.labels)
    initialise(model, data, 0, "mean")
    last = [m for m in model.likelihood.network.modules() if isinstance(getattr(m, "bias", None), nn.Parameter)][-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    mean = model.given(3).likelihood(torch.randn(1, model.latent)).mean[0]
    wanted = torch.from_numpy(data.images).float().mean(0) / 255
    torch.testing.assert_close(mean, wanted, rtol=0, atol=1e-3)  # half an image more


def test_a_decoder_without_biases_starts_there_too():
    model = build_model(completed(Spec(network="mlp:hidden=8")), (1, 4, 4))
    for layer in model.likelihood.network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.weight)
            layer.register_parameter("bias", None)
    data = images(20)
    initialise(model, data, 0, "mean")
    wanted = (torch.from_numpy(data.images).double().sum(0) / 255 + 0.5) / 21
    torch.testing.assert_close(model.likelihood(torch.randn(1, model.latent)).mean[0].double(), wanted)


def test_a_start_at_zero_leaves_the_decoder_as_the_network_has_it():
    model = build_model(completed(Spec(network="mlp:hidden=8")), (1, 4, 4))
    z = torch.randn(1, model.latent)
    before = model.likelihood(z).mean
    initialise(model, images(20), 0, "zero")
    assert torch.equal(model.likelihood(z).mean, before)


def test_a_likelihood_that_names_no_biases_leaves_the_decoder_alone():
    model = build_model(completed(Spec(network="mlp:hidden=8", protocol="levels", likelihood="categorical")), (1, 4, 4))
    initialise(model, images(20, "levels"), 0, "mean")
    assert model.likelihood.offset is None
    assert model.posterior.centre.abs().max() > 0


def test_a_prior_of_pseudo_inputs_sees_them_centred_as_well():
    model = build_model(completed(Spec(network="mlp:hidden=8", prior="vamp:components=5")), (1, 4, 4))
    initialise(model, images(20), 0, "mean")
    seen = []
    model.posterior.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model.prior()
    torch.testing.assert_close(seen[0], model.prior.logits.sigmoid() - model.posterior.centre)


def test_encoders_are_centred_by_channel_and_decoders_start_at_the_mean_image():
    model = build_model(completed(Spec(network="mlp:hidden=8")), (3, 4, 4))
    data = images(2050, channels=3)  # more than are read at a time
    initialise(model, data, 0, "mean")
    mean = torch.from_numpy(data.images / 255).float().mean(0)
    torch.testing.assert_close(model.posterior.centre, mean.mean((1, 2), keepdim=True))
    torch.testing.assert_close(model.likelihood.offset.sigmoid(), mean, atol=1e-3, rtol=0)


def test_a_training_begins_with_its_own_images(tmp_path):
    """As a learning rate that moves nothing shows."""
    spec = SPEC.model_copy(update={"learning_rate": 1e-12, "validation": 0.0, "protocol": "grey"})
    model = trained(spec, tmp_path)
    data = load_splits(spec).train
    u = (model.prior.logits.detach().sigmoid() - 0.05) / 0.9
    distance = torch.cdist(u.flatten(1), protocol("grey").pixels(torch.from_numpy(data.images)).flatten(1))
    assert distance.amin(1).max() < 1e-4


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_it_begins_once_and_a_run_that_goes_on_goes_on(tmp_path, monkeypatch, ema_decay):
    spec = SPEC.model_copy(update={"ema_decay": ema_decay})
    whole = trained(spec, tmp_path / "whole")
    with pytest.raises(Interrupted):
        trained(spec, tmp_path / "halved", stop_at(8))
    begun = []
    monkeypatch.setattr("vaelab.training.trainer.initialise", lambda *_: begun.append(1))
    halved = trained(spec, tmp_path / "halved")
    assert same(whole, halved)
    assert not begun


def test_images_on_disk_are_the_same_ones(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8)
    np.save(tmp_path / "images.npy", levels)
    stored = load_data(f"npy:{tmp_path / 'images.npy'}", None, 0.1, 0, "grey").train
    memory = replace(stored, images=stored.in_memory)
    one, two = Asks(9), Asks(9)
    initialise(one, stored, 0)
    initialise(two, memory, 0)
    assert torch.equal(one.pixels, two.pixels)


def test_runs_of_one_program_begin_as_each_alone(tmp_path):
    specs = [SPEC.model_copy(update={"seed": seed}) for seed in (0, 1)]
    data = load_splits(SPEC)
    models = [build_model(spec, data.train.shape) for spec in specs]
    first = TrainingSetup.of(models[0], build_objective(SPEC), data.train, SPEC)
    runs = []
    for spec, model in zip(specs, models, strict=True):
        (folder := tmp_path / spec.hash).mkdir()
        runs.append(Trainer(first.beside(model, first.objective, spec), data, folder, SILENT, spec.hash))
    fit_vmapped(runs, SILENT, "never")
    for spec, model in zip(specs, models, strict=True):
        alone = build_model(spec, data.train.shape)
        (folder := tmp_path / f"alone {spec.hash}").mkdir()
        fit(alone, build_objective(spec), data, spec, folder, SILENT, "never")
        for a, b in zip(alone.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
