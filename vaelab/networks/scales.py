"""Activations, and layers that start at a scale which suits the activation behind them."""

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

# What a layer's outputs are multiplied by to keep their spread through the activation behind it: sqrt(2) where half of
# a symmetric input is cut off (He, Zhang, Ren & Sun 2015, section 2.2), 1 where the activation is the identity around 0
# (LeCun, Bottou, Orr & Mueller 1998, section 4.6), 4 where its slope there is 1/4.
GAINS: dict[type[nn.Module], float] = {
    nn.ELU: 1.25,  # between the two: half of its input is bent, not cut
    nn.GELU: math.sqrt(2),
    nn.GroupNorm: 1.0,  # which has the same outputs whatever the scale
    nn.ReLU: math.sqrt(2),
    nn.SiLU: math.sqrt(2),
    nn.Sigmoid: 4.0,
    nn.Softplus: 1.0,
    nn.Tanh: 1.0,
}
LAST = 1 / math.sqrt(3)  # of a layer without an activation behind it: torch's own

WIDE = 4096  # inputs of a fully connected layer beyond which each counts for less

L = TypeVar("L", bound=nn.Linear | nn.Conv2d | nn.ConvTranspose2d)


def activation_named(name: str) -> type[nn.Module]:
    """The activation module called `name`; SpecError lists the known ones."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


@torch.no_grad()
def scaled(layer: L, activation: type[nn.Module] | None = None) -> L:
    """`layer`, its biases 0 and its weights uniform with standard deviation gain / sqrt(fan in).

    torch's own start has gain 1 / sqrt(3) and biases of the size of the weights. The image is lost from layer to layer,
    until units answer to their biases alone. On digits, in the encoder of three strided convolutions with ReLU, 27 % of
    the last channels are stuck at first (2 % from this start), and 55 % after an epoch.

    Arguments:
        activation: what stands behind the layer, an activation or a normalisation; None for nothing.
    """
    gain = LAST if activation is None else GAINS[activation]
    bound = gain * math.sqrt(3 / fan_in(layer))
    layer.weight.uniform_(-bound, bound)
    if layer.bias is not None:
        layer.bias.zero_()
    return layer


class WideLinear(nn.Linear):
    """W x / k + b with k = inputs / 4,096, for more inputs than that.

    Adam moves each weight by about the learning rate in a step, so that an output moves by the learning rate times
    sum |x|. From 256 x 256 pixels that is 10 units at once: activations saturate or overflow within ten steps. Divided
    by k, an output moves no faster than that of a layer with 4,096 inputs.
    """

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(input * (WIDE / self.in_features), self.weight, self.bias)


def dense(inputs: int, outputs: int, activation: type[nn.Module] | None = None) -> nn.Linear:
    """A fully connected layer at its initial scale; see `scaled` for `activation`."""
    if inputs <= WIDE:
        return scaled(nn.Linear(inputs, outputs), activation)
    layer = scaled(WideLinear(inputs, outputs), activation)
    with torch.no_grad():
        layer.weight.mul_(inputs / WIDE)  # the same outputs at first
    return layer


def fan_in(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> float:
    """How many inputs each output sums; of a transposed convolution, on average over its outputs."""
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.in_channels * math.prod(layer.kernel_size) / math.prod(layer.stride)
    return layer.weight[0].numel()
