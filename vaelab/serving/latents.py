"""Encode images: the mean and scale of q(z|x), draws from it, and codes."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.evaluation.admission import admit_data, admit_protocol
from vaelab.evaluation.measure import Progress, evaluating
from vaelab.models import VAE, rows
from vaelab.parts.capabilities import HasCodebooks, declared, has, head_of
from vaelab.serving.noise import ImageNoise, image_noise
from vaelab.serving.table import SUFFIXES, check_output, row_names, write_table
from vaelab.system.errors import NonFiniteError, SpecError
from vaelab.system.memory import check_free

AT_A_TIME = 500  # images in one pass of the encoder
ESTIMATED_FROM = 256  # draws of z for a mean and a scale that have no closed form
FORMATS = SUFFIXES  # of `Latents.save`


@dataclass(frozen=True, eq=False)
class Latents:
    """q(z|x) of N images, as NumPy arrays.

    Arguments:
        mean: float32 [N, D], E[z].
        scale: float32 [N, D], the standard deviation of each dimension of z; 0 for codes.
        draws: float32 [N, S, D], draws of z; None if none were asked for.
        codes: int64 [N, L, H, W], the number of the code at each level and place; None unless z consists of codes.
        groups: the number of dimensions of each group of a hierarchical model, from the top; (D,) for other models.
        estimated: whether mean or scale is that of 256 draws, because q(z|x) has no closed form for it.
        names: for each image, its file, or its place in the array; () if nobody named them.
        label_names: the name of the class of each image; () if there are none.
    """

    mean: np.ndarray
    scale: np.ndarray
    draws: np.ndarray | None = None
    codes: np.ndarray | None = None
    groups: tuple[int, ...] = ()
    estimated: bool = False
    names: Sequence[str] = ()
    label_names: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.mean)

    def __repr__(self) -> str:
        said = [f"{len(self):,} images, z of {self.mean.shape[1]:,} dimensions"]
        if len(self.groups) > 1:
            said.append(f"in groups of {', '.join(map(str, self.groups))}")
        said += [f"{name} {list(of.shape)}" for name, of in self.arrays().items()]
        return f"Latents({'; '.join(said)})"

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that there are, by name."""
        named = {"mean": self.mean, "scale": self.scale, "draws": self.draws, "codes": self.codes}
        return {name: array for name, array in named.items() if array is not None}

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write a row for each image, as `vaelab encode --out` does: .npz, .npy (the means only), .csv or .parquet.

        Raises:
            SpecError: another suffix, or .parquet without pyarrow.
            RunError: the file exists and `overwrite` is not set, or it cannot be written.
        """
        path = check_output(path, FORMATS, overwrite)
        write_table(path, row_names(self.names, self.label_names, len(self)) | self.arrays(), overwrite)


def encode(
    model: VAE, data: Dataset, draws: int = 0, seed: int = 0, progress: Progress = lambda share: None
) -> Latents:
    """Encode images: the mean and scale of q(z|x), `draws` draws of z, and codes if the model has them.

    The noise of an image, of its pixels and of its draws, depends on `seed` and on its pixels only.

    Arguments:
        data: images of the model's shape, read by its protocol; with labels if the model is conditioned on them.
        draws: S, draws of z for each image.

    Raises:
        DataError, SpecError: the images do not fit the model, `draws` is negative, labels are missing, or memory has
            no room for so many latents.
        NonFiniteError: a latent is not finite.
    """
    if draws < 0:
        raise SpecError(found=f"draws = {draws}", expected="0 or more", do="use draws=0 for the mean and scale alone")
    needed = 4 * len(data) * model.latent * (2 + draws)  # float32: mean, scale and draws
    check_free(f"{draws:,} draws of {len(data):,} images", needed, "encode fewer images at a time", SpecError)
    head, estimated = head_of(model.posterior), False
    arrays = dict[str, np.ndarray]()
    passes = posteriors(model, data, seed, progress, AT_A_TIME)
    for start, (q, noise) in zip(range(0, len(data), AT_A_TIME), passes, strict=True):
        with noise:
            if has(head, HasCodebooks):  # a point, without a spread
                mean, scale = q.mean, torch.zeros_like(q.mean)
            else:
                mean, scale, estimated = moments(q)
            drawn = drawn_from(q, draws)
        if not (mean.isfinite().all() and scale.isfinite().all()):
            raise NonFiniteError(
                found="latents that are not finite",
                expected="finite latents",
                do="see in the run's log.jsonl whether training diverged, or train again",
            )
        found = {"mean": mean, "scale": scale, **({"draws": drawn} if draws else {})}
        if has(head, HasCodebooks):
            found["codes"] = _codes(head, mean)
        for name, of in found.items():
            part = of.numpy(force=True)
            if name not in arrays:
                # One array for all: many small tensors, kept among large ones that are freed, would scatter the memory
                arrays[name] = np.empty((len(data), *part.shape[1:]), part.dtype)
            arrays[name][start : start + len(part)] = part
    drawn, codes = arrays.get("draws"), arrays.get("codes")
    return Latents(arrays["mean"], arrays["scale"], drawn, codes, model.groups, estimated)


@torch.no_grad()
def posteriors(
    model: VAE, data: Dataset, seed: int, progress: Progress = lambda share: None, at_a_time: int = AT_A_TIME
) -> Iterator[tuple[Distribution, ImageNoise]]:
    """Yield q(z|x) of the images, group by group in their order, and the noise that its draws are made in.

    Raises:
        DataError, SpecError: the images do not fit the model.
    """
    admit_data(model, data)
    admit_protocol(model, data)
    device, pixels = next(model.parameters()).device, protocol(data.protocol).pixels
    for start in range(0, len(data), at_a_time):
        at = slice(start, start + at_a_time)
        levels = torch.from_numpy(np.array(data.images[at])).to(device)
        noise = image_noise(data, at, seed, device)
        with evaluating(model), torch.no_grad():
            with noise:
                x = pixels(levels)
            q = model.given(rows(data.labels, at)).posterior(x)
            yield q, noise
        progress(min(1.0, (start + at_a_time) / len(data)))


def moments(q: Distribution) -> tuple[Tensor, Tensor, bool]:
    """Return E[z] and the standard deviation of z, [B, D] each, and whether one of them is estimated from draws."""
    exact: dict[str, Tensor] = {}
    for name in () if declared(q, "mean_is_estimated") else ("mean", "stddev"):
        with suppress(NotImplementedError):
            exact[name] = getattr(q, name)
    if len(exact) == 2:
        return exact["mean"], exact["stddev"], False
    drawn = drawn_from(q, ESTIMATED_FROM).double()
    mean, scale = drawn.mean(1).float(), drawn.std(1, unbiased=False).float()
    return exact.get("mean", mean), exact.get("stddev", scale), True


def drawn_from(q: Distribution, draws: int) -> Tensor:
    """Return draws of z, [B, draws, D], one pass each: then the images are the first axis of the noise."""
    if not draws:
        return torch.empty(*q.batch_shape, 0, *q.event_shape)
    return torch.stack([q.sample() for _ in range(draws)], 1)


def _codes(head: HasCodebooks, z: Tensor) -> Tensor:
    """Return the number of the code at each level and place of z [B, D], [B, L, H, W]."""
    levels, length, height, width = head.latent_grid
    vectors = z.reshape(len(z), levels, length, height * width).transpose(-1, -2)
    found = [book.find(of)[0] for book, of in zip(head.books, vectors.unbind(1), strict=True)]
    return torch.stack(found, 1).reshape(len(z), levels, height, width)
