"""The networks and losses of the workloads in PyTorch, for the plain loop and pythae.

They have the same layers as vaelab's, in the same order, with PyTorch's own initial weights.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.workloads import COMPONENTS, Trainer

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


def encoder(training: Trainer) -> nn.Sequential:
    """x [B, C, H, W] -> mu and log sigma^2, concatenated, [B, 2 D]."""
    activation = ACTIVATIONS[training.activation]
    layers: list[nn.Module] = []
    channels, height, width = training.shape
    for maps in training.channels:
        layers += [nn.Conv2d(channels, maps, 4, stride=2, padding=1), activation()]
        channels, height, width = maps, height // 2, width // 2
    layers.append(nn.Flatten())
    size = channels * height * width
    for hidden in training.hidden:
        layers += [nn.Linear(size, hidden), activation()]
        size = hidden
    return nn.Sequential(*layers, nn.Linear(size, 2 * training.latent))


def decoder(training: Trainer) -> nn.Sequential:
    """z [B, D] -> parameters of p(x|z), [B, P, H, W]."""
    activation = ACTIVATIONS[training.activation]
    _, height, width = training.shape
    layers: list[nn.Module] = []
    size = training.latent
    for hidden in training.hidden[::-1]:
        layers += [nn.Linear(size, hidden), activation()]
        size = hidden
    halvings = len(training.channels)
    height, width = height >> halvings, width >> halvings
    channels = training.channels[-1] if halvings else training.parameters
    layers += [nn.Linear(size, channels * height * width), nn.Unflatten(1, (channels, height, width))]
    for maps in [*training.channels[-2::-1], training.parameters] if halvings else []:
        layers += [activation(), nn.ConvTranspose2d(channels, maps, 4, stride=2, padding=1)]
        channels = maps
    return nn.Sequential(*layers)


def distortion(training: Trainer, parameters: Tensor, x: Tensor) -> Tensor:
    """-log p(x|z), [...], from parameters [..., P, H, W]; a Gaussian's log(2 pi) / 2 for each pixel is left out."""
    if training.likelihood == "bernoulli":
        loss = F.binary_cross_entropy_with_logits(parameters, x.expand_as(parameters), reduction="none")
    elif training.likelihood == "gaussian":
        loss = 0.5 * (x - parameters.sigmoid()) ** 2
    else:
        loss = logistic_mixture(parameters, x)
    return loss.flatten(-3).sum(-1)


LOG_SCALE_FLOOR, LOG_SCALE_CEILING, START = -9.0, 2.0, 0.25  # as in vaelab's likelihood


def start() -> float:
    """The unlimited log scale that gives a standard deviation of START after the limits are applied."""
    limited = math.log(START * math.sqrt(3) / math.pi)
    above = LOG_SCALE_CEILING - math.log(math.expm1(LOG_SCALE_CEILING - limited))
    return LOG_SCALE_FLOOR + math.log(math.expm1(above - LOG_SCALE_FLOOR))


def logistic_mixture(parameters: Tensor, x: Tensor) -> Tensor:
    """-log sum_k pi_k P(u | mu_k, s_k) for each pixel [..., C, H, W] of x = u / 255, from [..., 3 K C, H, W].

    The channels of the parameters are kind (m, log s, log weight), component, colour, as in vaelab.
    """
    m, s, logits = parameters.unflatten(-3, (3, COMPONENTS, x.shape[-3])).unbind(-5)  # [..., K, C, H, W]
    middles = (torch.arange(COMPONENTS, device=x.device) + 0.5) / COMPONENTS
    mu = middles.view(-1, 1, 1, 1) + m / 4
    above_floor = LOG_SCALE_FLOOR + F.softplus(s + start() - LOG_SCALE_FLOOR)
    log_s = LOG_SCALE_CEILING - F.softplus(LOG_SCALE_CEILING - above_floor)
    u = (255 * x).round().unsqueeze(-4)
    per_level = torch.exp(-log_s) / 255
    upper = F.logsigmoid((u + 0.5 - 255 * mu) * per_level)
    lower = F.logsigmoid((255 * mu - u + 0.5) * per_level)
    inside = upper + lower + torch.log(-torch.expm1(-per_level))
    log_p = torch.where(u == 0, upper, torch.where(u == 255, lower, inside))
    return -torch.logsumexp(torch.log_softmax(logits, -4) + log_p, -4)


def loss(training: Trainer, encode: nn.Module, decode: nn.Module, x: Tensor, bfloat16: bool) -> Tensor:
    """-ELBO or -L_k of each image, [B]: a sum over pixels and latent dimensions. Densities are float32."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=bfloat16):
        code = encode(x)
    mu, log_var = code.float().chunk(2, dim=-1)
    samples = max(1, training.samples)
    eps = torch.randn(samples, *mu.shape, device=x.device)
    z = mu + torch.exp(0.5 * log_var) * eps
    with torch.autocast(x.device.type, torch.bfloat16, enabled=bfloat16):
        parameters = decode(z.flatten(0, 1))
    d = distortion(training, parameters.float().unflatten(0, (samples, -1)), x)  # [k, B]
    if not training.samples:
        return d.mean(0) - 0.5 * (1 + log_var - mu**2 - log_var.exp()).sum(-1)
    log_w = -d - 0.5 * (z**2).sum(-1) + 0.5 * (log_var + eps**2).sum(-1)
    return math.log(samples) - torch.logsumexp(log_w, 0)
