"""From numbers for each image to the numbers that are reported, each with its unit, protocol and standard error."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.evaluation.likelihood import Evaluation

ACTIVE_VARIANCE = 0.01  # Burda, Grosse & Salakhutdinov (2016), section 5.2


@dataclass(frozen=True)
class Metric:
    """A number with all that is needed to compare it: of what, in what, on what, and how uncertain."""

    name: str
    value: float
    se: float | None  # standard error over the images; None where there is none
    unit: str
    split: str
    protocol: str
    samples: int | None  # K, draws of z for each image; None where none were drawn
    images: int
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def active_units(posterior_mean: Tensor) -> int:
    """Number of latent dimensions d with Var_x(E_q[z_d]) > 0.01, from posterior means [N, D]."""
    return int((posterior_mean.var(0) > ACTIVE_VARIANCE).sum()) if len(posterior_mean) > 1 else 0


def metrics(evaluation: Evaluation, data: Dataset, note: str) -> list[Metric]:
    """The metrics of one evaluation.

    Arguments:
        note: what must be said beside the likelihoods, such as "not a likelihood"; empty if nothing.
    """
    k, n = evaluation.samples, len(data)
    rows: list[Metric] = []

    def add(name: str, per_image: Tensor, unit: str, note: str) -> None:
        se = (per_image.std() / math.sqrt(n)).item() if n > 1 else None
        rows.append(Metric(name, per_image.mean().item(), se, unit, data.split, data.protocol, k, n, note))

    add("elbo", evaluation.elbo, "nats/image", note)
    add("rate", evaluation.rate, "nats/image", "")
    add("distortion", evaluation.distortion, "nats/image", note)
    add("nll", evaluation.nll, "nats/image", note)
    if protocol(data.protocol).levels == "8bit":
        bits = math.prod(data.shape) * math.log(2)
        add("bits_per_dim", evaluation.nll / bits, "bits/dim", note)
    add("reconstruction_mse", evaluation.squared_error, "per pixel in [0, 1]", "")
    units = float(active_units(evaluation.posterior_mean))
    rows.append(Metric("active_units", units, None, "latent dimensions", data.split, data.protocol, None, n))
    return rows


def kl_of_dimensions(evaluation: Evaluation) -> list[float] | None:
    """KL(q(z_d|x) || p(z_d)) of each latent dimension, mean over the images, in nats; None without a closed form."""
    kl = evaluation.kl_per_dimension
    return None if kl is None else torch.mean(kl, 0).tolist()
