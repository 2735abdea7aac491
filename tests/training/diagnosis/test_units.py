"""Units that pass no gradient are counted, and no others."""

import pytest
import torch
from torch import nn

from vaelab.networks.scales import ACTIVATIONS
from vaelab.training.diagnosis.units import slope, stuck_units


def layer(activation: nn.Module, *biases: float) -> nn.Sequential:
    """A unit for each bias, far from 0 where that is large."""
    linear = nn.Linear(2, len(biases))
    with torch.no_grad():
        linear.weight.fill_(0.1)
        linear.bias.copy_(torch.tensor(biases))
    return nn.Sequential(linear, activation)


@pytest.mark.parametrize(
    ("activation", "biases", "share"),
    [
        (nn.ReLU(), (-9.0, -9.0, 1.0, 9.0), 0.5),  # dead below, alive above
        (nn.Tanh(), (-9.0, 9.0, 0.0, 9.0), 0.75),  # saturated on either side
        (nn.Sigmoid(), (-9.0, 9.0, 0.0, 1.0), 0.5),
        (nn.ELU(), (-9.0, 9.0, 0.0, 1.0), 0.25),
        (nn.SiLU(), (-20.0, 9.0, 0.0, 1.0), 0.25),
    ],
)
def test_the_share_of_stuck_units(activation, biases, share):
    network = layer(activation, *biases)
    with stuck_units(network) as stuck:
        network(torch.randn(100, 2, generator=torch.Generator().manual_seed(0)))
    assert stuck == {f"1 ({type(activation).__name__})": share}
    assert not network[1]._forward_hooks


def test_a_unit_that_answers_to_some_images_is_not_stuck():
    network = layer(nn.ReLU(), -9.0)
    x = torch.zeros(100, 2)
    for alive, share in ((0, 1.0), (1, 1.0), (2, 0.0)):  # of 100 images
        x[:alive] = 100.0
        with stuck_units(network) as stuck:
            network(x)
        assert stuck == {"1 (ReLU)": share}


def test_a_unit_of_maps_is_a_channel():
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU())
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.copy_(torch.tensor([-9.0, 0.0, 9.0, -9.0]))
    with stuck_units(network) as stuck:
        network(torch.rand(5, 1, 6, 6))
    assert stuck == {"1 (ReLU)": 0.5}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_those_of_autograd(name):
    activation = ACTIVATIONS[name]()
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    h = 1e-6
    wanted = (activation(x + h) - activation(x - h)) / (2 * h)
    torch.testing.assert_close(slope(activation, x.clone())[x != 0], wanted[x != 0], rtol=0, atol=1e-6)
