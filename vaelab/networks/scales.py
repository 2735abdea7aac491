"""Activations, and layers whose initial scale suits the next activation."""

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

from vaelab.system.errors import unknown

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}

# Gain of a layer: the factor that keeps the spread of its outputs through the next activation. It is sqrt(2) if half of
# a symmetric input is cut off (He, Zhang, Ren & Sun 2015, section 2.2), 1 if the activation is the identity near 0
# (LeCun, Bottou, Orr & Mueller 1998, section 4.6), and 4 if its slope near 0 is 1/4.
GAINS: dict[type[nn.Module], float] = {
    nn.ELU: 1.25,  # between 1 and sqrt(2): half of its input is bent, not cut off
    nn.GELU: math.sqrt(2),
    nn.GroupNorm: 1.0,  # any scale gives the same outputs
    nn.ReLU: math.sqrt(2),
    nn.SiLU: math.sqrt(2),
    nn.Sigmoid: 4.0,
    nn.Softplus: 1.0,
    nn.Tanh: 1.0,
}
LAST = 1 / math.sqrt(3)  # gain of a layer without an activation after it: torch's own

WIDE = 4096  # a fully connected layer with more inputs scales them down

L = TypeVar("L", bound=nn.Linear | nn.Conv2d | nn.ConvTranspose2d)


def activation_named(name: str) -> type[nn.Module]:
    """Return the activation module called `name`; SpecError lists the known names."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


@torch.no_grad()
def scaled(layer: L, activation: type[nn.Module] | None = None) -> L:
    """Initialise `layer` with zero biases and uniform weights of standard deviation gain / sqrt(fan in).

    torch's own initialisation has gain 1 / sqrt(3) and biases as large as the weights. The signal of the image shrinks
    from layer to layer, until the outputs depend on the biases alone. On digits, in an encoder of three strided
    convolutions with ReLU, 27 % of the last channels are constant at initialisation (2 % with this one), and 55 % after
    an epoch.

    Arguments:
        activation: the activation or normalisation after the layer; None if there is none.
    """
    gain = LAST if activation is None else GAINS[activation]
    bound = gain * math.sqrt(3 / fan_in(layer))
    layer.weight.uniform_(-bound, bound)
    if layer.bias is not None:
        layer.bias.zero_()
    return layer


class WideLinear(nn.Linear):
    """W x / k + b with k = inputs / 4,096, for layers with more than 4,096 inputs.

    Adam changes each weight by about the learning rate in a step, so an output changes by the learning rate times
    sum |x|. With 256 x 256 pixels that is 10 units at once, and activations saturate or overflow within ten steps.
    Division by k makes an output change no faster than in a layer with 4,096 inputs.
    """

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(input * (WIDE / self.in_features), self.weight, self.bias)


def dense(inputs: int, outputs: int, activation: type[nn.Module] | None = None) -> nn.Linear:
    """Return a fully connected layer with its initial scale; see `scaled` for `activation`."""
    if inputs <= WIDE:
        return scaled(nn.Linear(inputs, outputs), activation)
    layer = scaled(WideLinear(inputs, outputs), activation)
    with torch.no_grad():
        layer.weight.mul_(inputs / WIDE)  # the initial outputs stay the same
    return layer


def fan_in(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Return the number of inputs that each output sums; for a transposed convolution, the mean over its outputs."""
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.in_channels * math.prod(layer.kernel_size) / math.prod(layer.stride)
    return layer.weight[0].numel()
