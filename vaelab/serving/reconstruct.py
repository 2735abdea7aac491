"""Reconstruct images, and decode latent vectors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.evaluation.measure import Progress, evaluating
from vaelab.models import VAE, rows
from vaelab.serving.images import labels_of
from vaelab.serving.latents import drawn_from, posteriors
from vaelab.serving.pictures import check_pictures, write_pictures
from vaelab.serving.table import row_names
from vaelab.system.errors import DataError, NonFiniteError, SpecError
from vaelab.system.memory import check_free

DRAWS = 16  # of z, that a reconstruction averages
AT_A_TIME = 100  # images


@dataclass(frozen=True, eq=False)
class Reconstructions:
    """The reconstructions of N images.

    Arguments:
        images: float32 [N, C, H, W], the mean of the decoder's means over the draws of z, in the units of the pixels.
        squared_error: float64 [N], the mean over the pixels of (u / 255 - image)^2, with u the levels as stored.
        originals: uint8 [N, C, H, W], the levels u.
        protocol: how the pixels are read.
        names: for each image, its file, or its place in the array; () if nobody named them.
        label_names: the name of the class of each image; () if there are none.
    """

    images: np.ndarray
    squared_error: np.ndarray
    originals: np.ndarray
    protocol: str
    names: Sequence[str] = ()
    label_names: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Reconstructions({len(self):,} images; squared error {self.squared_error.mean():.4g} per pixel)"

    def save(self, path: Path | str, overwrite: bool = False, scale: int | None = None) -> None:
        """Write them as `vaelab reconstruct --out` does: a folder of pictures with images.csv, or .png, or .npz.

        In a picture, an image is on the left and its reconstruction on the right.

        Arguments:
            scale: see `vaelab.serving.pictures.write_pictures`.

        Raises:
            SpecError: a name with another ending, or a scale that is not possible.
            RunError: it exists and `overwrite` does not replace it, or it cannot be written.
            DataError: a picture cannot show so many channels.
        """
        path = check_pictures(path, overwrite, scale)
        errors = {"squared_error": self.squared_error}
        named = row_names(self.names, self.label_names, len(self))
        levels = levels_of_pixels(self.images, self.protocol)
        arrays = {**named, "images": self.images, **errors}
        write_pictures(path, [self.originals, levels], {**named, **errors}, arrays, overwrite, scale)


def reconstruct(
    model: VAE, data: Dataset, draws: int = DRAWS, seed: int = 0, progress: Progress = lambda share: None
) -> Reconstructions:
    """Reconstruct images: the mean of p(x|z) over `draws` draws z ~ q(z|x).

    The noise of an image depends on `seed` and on its pixels only.

    Raises:
        DataError, SpecError: the images do not fit the model, there is no draw, or memory has no room for so many.
        NonFiniteError: a pixel is not finite.
    """
    if draws < 1:
        raise SpecError(found=f"draws = {draws}", expected="at least 1 draw of z", do="use draws=1 or more")
    # float32, of the images of a pass: z and the means of all draws, and their copy in one tensor
    needed = 4 * draws * min(AT_A_TIME, len(data)) * (model.latent + 2 * math.prod(model.image_shape))
    check_free(f"{draws:,} draws of z", needed, "ask for fewer draws", SpecError)
    images, errors, start = list[Tensor](), list[Tensor](), 0
    for q, noise in posteriors(model, data, seed, progress, AT_A_TIME):
        at = slice(start, start + AT_A_TIME)
        start = at.stop
        conditioned = model.given(rows(data.labels, at))
        with torch.no_grad(), noise:
            z = drawn_from(q, draws)  # [B, S, D]
        with torch.no_grad():
            mean = torch.stack([conditioned.likelihood(z[:, s]).mean for s in range(draws)]).mean(0).cpu()
        images.append(_finite(mean))
        levels = torch.from_numpy(np.array(data.images[at])).double() / 255
        errors.append((levels - mean.double()).square().flatten(1).mean(1))
    return Reconstructions(torch.cat(images).numpy(), torch.cat(errors).numpy(), data.in_memory, data.protocol)


def decode(model: VAE, z: Any, labels: Any = None) -> np.ndarray:
    """Return the decoder's means for latent vectors z [N, D] or [D]: float32 [N, C, H, W].

    Arguments:
        labels: one label or name of a class, or one for each z; only for a conditional model.

    Raises:
        DataError: z has another shape or is not finite.
        SpecError: labels are missing or unknown.
    """
    vectors = torch.as_tensor(np.asarray(z), dtype=torch.float32)
    vectors = vectors[None] if vectors.dim() == 1 else vectors
    if vectors.dim() != 2 or vectors.shape[1] != model.latent:
        raise DataError(
            found=f"z of shape {tuple(np.shape(z))}", expected=f"[N, {model.latent}]", do="change the shape of z"
        )
    if not vectors.isfinite().all():
        raise DataError(found="z with NaN or infinite values", expected="finite numbers", do="remove them")
    given = None if labels is None else labels_of(model, labels, len(vectors))
    device, images = next(model.parameters()).device, list[Tensor]()
    with evaluating(model), torch.no_grad():
        for start in range(0, len(vectors), AT_A_TIME):
            at = slice(start, start + AT_A_TIME)
            images.append(_finite(model.given(rows(given, at)).likelihood(vectors[at].to(device)).mean.cpu()))
    return torch.cat(images).numpy()


def levels_of_pixels(images: np.ndarray, name: str) -> np.ndarray:
    """Return pixel values of protocol `name` as uint8 levels, for a picture. Values outside [0, 1] are cut off."""
    scale, offset = (256, -0.5) if protocol(name).levels == "8bit" else (255, 0.0)
    return np.rint(np.clip(images * scale + offset, 0, 255)).astype(np.uint8)


def _finite(images: Tensor) -> Tensor:
    if not images.isfinite().all():
        raise NonFiniteError(
            found="pixels of the decoder that are NaN or infinite",
            expected="finite pixels",
            do="train the run again: its weights are too large",
        )
    return images
