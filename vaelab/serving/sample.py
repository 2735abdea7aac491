"""Sample images from a trained model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.distributions import is_diagonal_normal
from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE
from vaelab.randomness.seeds import derive
from vaelab.serving.images import labels_of
from vaelab.serving.pictures import check_pictures, numbered, write_pictures
from vaelab.serving.reconstruct import levels_of_pixels
from vaelab.serving.table import Column
from vaelab.system.errors import NonFiniteError, SpecError
from vaelab.system.memory import check_free

AT_A_TIME = 100  # images


@dataclass(frozen=True, eq=False)
class SampledImages:
    """N samples of a model.

    Arguments:
        images: float32 [N, C, H, W], in the units of the pixels: means of p(x|z), or draws from it.
        z: float32 [N, D], draws from the prior.
        labels: int64 [N], what the images are conditioned on; None for a model without labels.
        label_names: the names of their classes; () for a model without labels.
        protocol: how the pixels are read.
    """

    images: np.ndarray
    z: np.ndarray
    labels: np.ndarray | None = None
    label_names: Sequence[str] = ()
    protocol: str = "grey"

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"SampledImages({len(self):,} images {list(self.images.shape[1:])})"

    def save(self, path: Path | str, overwrite: bool = False, scale: int | None = None) -> None:
        """Write them as `vaelab sample --out` does: a folder of pictures with images.csv, or .png, or .npz.

        Arguments:
            scale: see `vaelab.serving.pictures.write_pictures`.

        Raises:
            SpecError: a name with another ending, or a scale that is not possible.
            RunError: it exists and `overwrite` does not replace it, or it cannot be written.
            DataError: a picture cannot show so many channels.
        """
        path = check_pictures(path, overwrite, scale)
        columns: dict[str, Column] = {"name": numbered("sample", len(self))}
        if self.label_names:
            columns["label"] = self.label_names
        arrays = {"images": self.images, "z": self.z}
        if self.labels is not None:
            arrays["labels"] = self.labels
        levels = levels_of_pixels(self.images, self.protocol)
        write_pictures(path, [levels], {**columns, "z": self.z}, arrays, overwrite, scale)


def sample(
    model: VAE,
    count: int = 64,
    labels: Any = None,
    temperature: float = 1.0,
    draw: bool = False,
    seed: int = 0,
) -> SampledImages:
    """Sample `count` images: z ~ p(z), then the mean of p(x|z), or a draw from it.

    Arguments:
        labels: one label or name of a class, or one for each image; None for labels with the frequencies of the
            training images. Only for a conditional model.
        temperature: T, which multiplies the standard deviation of p(z): z = mean + T sigma e. Other values than 1 need
            a prior that is one diagonal normal. T < 1 gives images that are more typical and less varied.
        draw: return draws from p(x|z) instead of its means.

    Raises:
        SpecError: no image is asked for, or more than memory has room for; T is negative, or the prior has none; a
            label is unknown.
        NonFiniteError: a pixel is not finite.
    """
    if count < 1:
        raise SpecError(found=f"{count} samples", expected="1 or more", do="ask for at least 1")
    if not 0 <= temperature < float("inf"):
        found = f"temperature = {temperature:g}"
        raise SpecError(found=found, expected="a finite number, 0 or more", do="use 1 for the prior itself")
    needed = 4 * count * (model.latent + 2 * math.prod(model.image_shape))  # float32: z, the images and their copy
    check_free(f"{count:,} samples", needed, "ask for fewer at a time", SpecError)
    given = None if labels is None else labels_of(model, labels, count)
    device, images = next(model.parameters()).device, list[Tensor]()
    with evaluating(model), torch.no_grad():
        torch.manual_seed(derive(seed, "evaluation"))
        condition = model.draw_condition(count) if given is None else model.condition(given)
        conditioned = model.conditioned(condition)
        z = _from_prior(conditioned, count, temperature)
        for start in range(0, count, AT_A_TIME):
            at = slice(start, start + AT_A_TIME)
            p = model.conditioned(None if condition is None else condition[at]).likelihood(z[at].to(device))
            images.append((p.sample() if draw else p.mean).cpu())
    found = torch.cat(images)
    if not found.isfinite().all():
        raise NonFiniteError(
            found="samples with pixels that are NaN or infinite",
            expected="finite pixels",
            do="train the run again: its weights are too large",
        )
    shown, names = None, list[str]()
    if condition is not None and model.labels is not None:
        shown = model.labels.classes[condition.int().argmax(-1)].cpu().numpy()
        names = [model.labels.name(label) for label in shown.tolist()]
    return SampledImages(found.numpy(), z.cpu().numpy(), shown, names, model.protocol or "grey")


def _from_prior(model: VAE, count: int, temperature: float) -> Tensor:
    prior = model.prior()
    if temperature == 1:
        return prior.sample(torch.Size([count]))
    if not is_diagonal_normal(prior):
        raise SpecError(
            found=f"temperature = {temperature:g} for prior {type(model.prior).__name__}",
            expected="a prior that is one diagonal normal: standard or normal",
            do="leave out the temperature",
        )
    e = torch.randn(count, model.latent, device=prior.mean.device)
    return prior.mean + temperature * prior.stddev * e
