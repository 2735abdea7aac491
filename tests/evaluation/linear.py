"""A VAE whose encoder is a given affine map of the pixels: the posterior of every image is known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tests.oracle import Double, PlainGaussian
from vaelab.data import Dataset
from vaelab.evaluation.measure import EvaluationContext
from vaelab.models import VAE
from vaelab.posteriors import DiagonalGaussian
from vaelab.priors import StandardNormal


def affine(weight: Tensor, bias: Tensor, sigma: Sequence[float], shape=(1, 1, 2), head: nn.Module | None = None) -> VAE:
    """q(z|x) = N(weight x + bias, diag(sigma^2)) of images `shape`, with weight [D, P]; or what `head` makes of it."""
    latent, pixels = weight.shape
    log_var = 2 * torch.tensor(sigma, dtype=torch.float64).log()
    encoder, decoder = nn.Linear(pixels, 2 * latent).double(), nn.Linear(latent, pixels).double()
    with torch.no_grad():
        encoder.weight.copy_(torch.cat([weight.double(), torch.zeros(latent, pixels)]))
        encoder.bias.copy_(torch.cat([bias.double(), log_var]))
    return VAE(
        StandardNormal(latent).double(),
        Double(nn.Sequential(nn.Flatten(), encoder), head or DiagonalGaussian(), shape),
        Double(nn.Sequential(decoder, nn.Unflatten(1, shape)), PlainGaussian(0.5), (latent,)),
    )


def context(model: VAE, data: Dataset, train: Dataset | None = None, seed: int = 0) -> EvaluationContext:
    return EvaluationContext(model, train or data, data, seed, "", Path("unused"))


def dataset(images: np.ndarray, labels: np.ndarray | None = None, split: str = "test", protocol: str = "grey"):
    """Images uint8 [N, P], each one row of P pixels."""
    labels = None if labels is None else labels.astype(np.int64)
    return Dataset("made", split, np.ascontiguousarray(images[:, None, None]), labels, protocol)


def normal_pixels(n: int, pixels: int = 2, seed: int = 0) -> np.ndarray:
    """Levels round(255 (0.5 + 0.12 eps)), eps ~ N(0, 1): (x - 0.5) / 0.12 is a standard normal but for the rounding."""
    eps = np.random.default_rng(seed).standard_normal((n, pixels))
    return np.clip(np.round(255 * (0.5 + 0.12 * eps)), 0, 255).astype(np.uint8)


def scaled(gain: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Weight and bias such that z_d's posterior mean is gain_d times a standard normal, for `normal_pixels`."""
    weight = torch.tensor(gain, dtype=torch.float64).diag() / 0.12
    return weight, -0.5 * weight.sum(1)
