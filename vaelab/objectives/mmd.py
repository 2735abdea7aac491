"""Objectives that compare the aggregate posterior with the prior with a kernel: InfoVAE and WAE."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from vaelab.models import VAE, Draw
from vaelab.objectives.bounds import distortion, rate
from vaelab.objectives.criterion import Criterion, in_words
from vaelab.objectives.losses import not_negative
from vaelab.system.errors import SpecError, unknown

Kernel = Literal["imq", "rbf"]
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernels in the sum, in units of 2 D


@dataclass(frozen=True, kw_only=True)
class Mmd:
    """Distortion + (1 - alpha) rate + weight MMD^2(q(z), p(z)) (Zhao, Song & Ermon 2017, equation 6).

    alpha = 1 is the Wasserstein auto-encoder (Tolstikhin et al. 2018, algorithm 2). MMD^2 is the unbiased estimate from
    one z per image and equally many draws of the prior (Gretton et al. 2012, equation 3). MMD^2 is small compared with
    nats per image, so the weight is large. The draws of the prior carry no gradient: a prior with parameters learns
    from the rate alone.

    Arguments:
        alpha: the rate has the weight 1 - alpha.
        weight: alpha + lambda - 1 of InfoVAE, lambda of the Wasserstein auto-encoder.
        kernel: `imq`, C / (C + |z - z'|^2), or `rbf`, exp(-|z - z'|^2 / C). Each is summed over seven scales C around
            2 D, the mean squared distance of two draws of a standard normal.

    Raises:
        SpecError: the weight is negative, or the kernel is unknown.
    """

    admits_point: ClassVar = False
    of_batch: ClassVar = True
    alpha: float = 0.0
    weight: float = 1000.0
    kernel: Kernel = "imq"

    def __post_init__(self) -> None:
        not_negative("weight", self.weight)
        if self.kernel not in get_args(Kernel):
            raise unknown("kernel", self.kernel, get_args(Kernel))

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name=in_words((1, "distortion"), (1 - self.alpha, "rate"), (self.weight, "MMD^2")))

    def check(self, model: VAE, batch: int) -> None:
        """Raise SpecError if a batch has fewer than two images."""
        if batch < 2:
            raise SpecError(found=f"objective mmd with batch = {batch}", expected="at least 2", do="use --batch 100")

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, 1)
        z = draw.z[0]
        discrepancy = mmd(z, draw.prior.sample(torch.Size([len(z)])), self.kernel)
        return distortion(draw) + (1 - self.alpha) * rate(draw) + self.weight * discrepancy, draw


def mmd(z: Tensor, other: Tensor, kernel: Kernel) -> Tensor:
    """Return MMD^2 of the distributions of z and `other` [B, D]: unbiased, so it may be negative."""
    between = similarity(z, other, kernel).mean()
    return _among(z, kernel) + _among(other, kernel) - 2 * between


def _among(z: Tensor, kernel: Kernel) -> Tensor:
    k = similarity(z, z, kernel)
    return (k.sum() - k.diagonal().sum()) / (len(z) * (len(z) - 1))


def similarity(z: Tensor, other: Tensor, kernel: Kernel) -> Tensor:
    """Return the kernel matrix k(z_i, z'_j), [B, B]."""
    squared = (z.unsqueeze(1) - other).square().sum(-1)
    scales = [2 * z.shape[-1] * scale for scale in SCALES]
    if kernel == "imq":
        return torch.stack([c / (c + squared) for c in scales]).sum(0)
    return torch.stack([torch.exp(-squared / c) for c in scales]).sum(0)
