"""A faster form of a decoder, for use without gradients."""

import platform
from typing import Literal

import torch
from torch import nn

from vaelab.models import Conditional
from vaelab.system.torch_internals import OneDnnLinear, has_onednn_linear

Precision = Literal["float32", "bfloat16"]

ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}  # oneDNN's names
ROWS = 1000  # typical number of rows in a product; the layout of the weights is optimised for it


def for_inference(conditional: Conditional, precision: Precision = "float32") -> Conditional:
    """Return `conditional` in a faster form, without gradients; it is equal up to rounding and has the current weights.

    On an x86 processor each linear layer of a plain sequence becomes one call of oneDNN, together with a ReLU, sigmoid
    or tanh that follows it. oneDNN is fast on all of them; MKL, which torch uses for float32 products, is slower on
    AMD's. All other modules run unchanged.

    Arguments:
        precision: bfloat16 rounds the network's weights and activations to 8 bits of mantissa. Products are summed in
            float32, and the head and all densities are computed in float32.
    """
    if type(conditional) is not Conditional:
        return conditional
    rounded = precision == "bfloat16"
    network = _sequence(conditional.network, torch.bfloat16 if rounded else torch.float32)
    decoder = Conditional(network, conditional.head, conditional.context_shape, conditional.join)
    decoder.use_bfloat16, decoder.centre, decoder.offset = rounded, conditional.centre, conditional.offset
    return decoder.train(conditional.training)


def _sequence(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    if type(network) is not nn.Sequential or not _has_onednn(dtype):
        return network
    layers: list[nn.Module] = []
    for layer in network:
        before = layers[-1] if layers else None
        if type(layer) is nn.Linear and layer.weight.device.type == "cpu" and layer.weight.dtype == torch.float32:
            layers.append(OneDnnLinear(layer, dtype, ROWS))
        elif type(before) is OneDnnLinear and before.activation == "none" and type(layer) in ACTIVATIONS:
            before.activation = ACTIVATIONS[type(layer)]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def _has_onednn(dtype: torch.dtype) -> bool:
    """Return whether oneDNN is the fastest here for products of this type."""
    return platform.machine() in ("x86_64", "AMD64") and has_onednn_linear(dtype)
