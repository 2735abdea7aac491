"""Layers start where an image passes through them, whatever its size and however many there are."""

import math

import pytest
import torch
from torch import nn

from vaelab.networks import NETWORKS
from vaelab.networks.mlp import FullyConnected
from vaelab.networks.scales import ACTIVATIONS, WIDE, WideLinear, dense, fan_in, scaled
from vaelab.training.diagnosis.units import stuck_units

SIZES = [(1, 8, 8), (3, 32, 32), (1, 112, 92), (3, 128, 96)]


def centred(count: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """Images of few frequencies less their mean, [N, C, H, W]: neighbouring pixels are alike."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, shape[0], 3, 3, generator=generator)
    x = nn.functional.interpolate(coarse, shape[1:], mode="bilinear")
    return x - x.mean(0)


@pytest.mark.parametrize("activation", ["elu", "gelu", "relu", "silu", "tanh"])
def test_ten_layers_neither_lose_an_image_nor_blow_it_up(activation):
    torch.manual_seed(0)
    network = FullyConnected(hidden=(200,) * 10, activation=activation).encoder((1, 8, 8), (4,))
    x = torch.randn(500, 1, 8, 8)
    spread = network[:-2](x).std(0).mean()
    assert 0.1 < spread < 3
    torch.manual_seed(0)
    plain = nn.Sequential(*(m for k in range(10) for m in (nn.Linear(64 if k == 0 else 200, 200), nn.ReLU())))
    assert plain(x.flatten(1)).std(0).mean() < 0.01, "the case tells nothing"


@pytest.mark.parametrize("layer", [nn.Linear(300, 50), nn.Conv2d(12, 8, 4, 2, 1), nn.ConvTranspose2d(24, 8, 4, 2, 1)])
def test_a_layer_keeps_the_spread_of_its_input(layer):
    """Gain 1: outputs have the variance of the inputs, where every output sums as many as `fan_in` says."""
    torch.manual_seed(0)
    out = scaled(layer, nn.Tanh)(
        torch.randn(200, 300) if isinstance(layer, nn.Linear) else torch.randn(50, layer.in_channels, 16, 16)
    )
    inner = out if out.dim() == 2 else out[..., 2:-2, 2:-2]
    assert inner.std().item() == pytest.approx(1.0, rel=0.1)
    assert layer.bias.abs().max() == 0


def test_fan_in_counts_the_inputs_of_an_output():
    assert fan_in(nn.Linear(7, 3)) == 7
    assert fan_in(nn.Conv2d(2, 5, 4)) == 32
    assert fan_in(nn.ConvTranspose2d(6, 5, 4, stride=2)) == 6 * 16 / 4  # each output sees a quarter of the kernel


def test_a_layer_of_many_inputs_starts_alike_and_moves_no_faster():
    """One step of Adam with a learning rate of a: every weight moves by a, towards the sign of its input."""
    moved, first = [], []
    for inputs in (WIDE, 16 * WIDE):
        torch.manual_seed(0)
        layer = dense(inputs, 3, nn.ELU)
        x = torch.randn(40, inputs)
        before = layer(x).detach()
        first.append(before.std().item())
        layer(x[:1]).sum().backward()
        with torch.no_grad():
            layer.weight.add_(1e-3 * layer.weight.grad.sign())
        moved.append((layer(x[:1]) - before[:1]).mean().item())
    assert isinstance(layer, WideLinear)
    assert first[1] == pytest.approx(first[0], rel=0.2)
    assert moved[1] == pytest.approx(moved[0], rel=0.1)
    assert moved[0] == pytest.approx(1e-3 * WIDE * math.sqrt(2 / math.pi), rel=0.1)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", SIZES)
def test_no_unit_is_stuck_at_first_for_images_of_any_size(name, shape):
    torch.manual_seed(0)
    recipe = NETWORKS[name]()
    encoder = recipe.encoder(shape, (8,))
    x = centred(20, shape)
    with stuck_units(encoder) as stuck:
        out = encoder(x)
    assert stuck
    assert max(stuck.values()) <= 0.05
    assert out.std(0).mean() > 0.3 * out.mean(0).abs().mean()  # it answers to images, and not to what they share


def test_every_activation_has_a_gain():
    for name in ACTIVATIONS:
        FullyConnected(activation=name).encoder((1, 2, 2), (2,))
