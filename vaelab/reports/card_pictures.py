"""The pictures of a run card: small mosaics of images in their own pixels, and the codes of test images."""

from dataclasses import dataclass

import numpy as np
import torch
from markupsafe import Markup
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vaelab.data.dataset import Dataset
from vaelab.figures.grids import gap_between, mosaic
from vaelab.figures.interpolation import between
from vaelab.figures.model_calls import condition_of, pixels, reconstruct, seeded_model
from vaelab.figures.style import subscript
from vaelab.figures.traversal import sweep
from vaelab.models import VAE
from vaelab.reports.charts import codes
from vaelab.reports.context import DRAWS, ReportContext, plain
from vaelab.reports.pictures import as_uri
from vaelab.reports.text import MINUS, listed, number
from vaelab.studies.study import Member
from vaelab.system.errors import DataError, SpecError

BESIDE = 8  # images in a row of the first picture
DIMENSIONS, DEVIATIONS = 5, 3  # rows of a traversal; it goes as many standard deviations to both sides
PAIRS, BETWEEN = 4, 7  # rows of an interpolation, and decoded images in each
CODES = 600  # dots, about seven bytes each
WIDE = 320  # the width in CSS pixels that a mosaic reaches, if its pixels are enlarged by a whole factor
LARGEST = 48  # pixels on the longer side of an image; larger images are averaged down by a whole factor
LOSSLESS = 5_000  # the largest number of bytes of a mosaic whose pixels are kept exactly


@dataclass(frozen=True)
class CardPicture:
    """One picture of a card."""

    picture: Markup
    caption: str


def card_pictures(context: ReportContext, member: Member, name: str) -> list[CardPicture]:
    """Reconstructions and samples, interpolations, a traversal and codes; those that the model does not allow are left
    out. Runs on the same data show the same test images.

    Arguments:
        name: of the run, for readers who do not see the pictures.
    """
    model, test = context.model(member), context.test(member)
    found = list[CardPicture]()
    for picture in (_reconstructions, _interpolation, _traversal, _codes):
        try:
            with seeded_model(model, member.seed):
                found.append(picture(member, model, test, name))
        except (SpecError, DataError):  # such as no way between two codes of a table
            continue
    return found


def _evenly(test: Dataset, count: int) -> np.ndarray:
    return np.unique(np.linspace(0, len(test) - 1, count).round().astype(int))


def _reconstructions(member: Member, model: VAE, test: Dataset, name: str) -> CardPicture:
    chosen = _evenly(test, BESIDE)
    again = reconstruct(model, pixels(model, test, chosen), DRAWS, condition_of(model, test, chosen))
    images = torch.cat([plain(test.take(chosen)), again, model.sample(len(chosen)).mean.cpu()])
    says = f"{len(chosen)} test images; below each its reconstruction by {name}; below those samples of the prior"
    return CardPicture(
        compact(images, len(chosen), says),
        "Top: test images. Middle: their reconstructions. Bottom: samples from the prior.",
    )


def _interpolation(member: Member, model: VAE, test: Dataset, name: str) -> CardPicture:
    chosen = _evenly(test, 2 * PAIRS)
    rows = between(model, test, chosen[: len(chosen) // 2 * 2], BETWEEN)
    says = f"{len(rows)} rows: a test image at either end, and {BETWEEN} images that {name} draws between them"
    caption = "At either end a test image; between them the images on the way from one code to the other."
    return CardPicture(compact(rows.flatten(0, 1), rows.shape[1], says), caption)


def _traversal(member: Member, model: VAE, test: Dataset, name: str) -> CardPicture:
    kl = member.run.metric("rate").parts
    if len(kl) != model.latent:
        raise SpecError(found="no KL of each dimension", expected="one, which orders the rows", do="leave this out")
    order = sorted(range(len(kl)), key=lambda d: -kl[d])[:DIMENSIONS]
    steps = torch.arange(-DEVIATIONS, DEVIATIONS + 1.0)
    images = sweep(model, test, _evenly(test, BESIDE)[:1], order, steps).images
    rows = listed([f"z{subscript(d + 1)} ({number(kl[d], 2)} nats)" for d in order])
    says = f"{len(order)} rows of {len(steps)} images that {name} draws: each row changes one latent dimension"
    return CardPicture(
        compact(images, len(steps), says),
        f"Each row changes one dimension of the first test image's code, from {MINUS}{DEVIATIONS} to {DEVIATIONS} "
        f"standard deviations of the prior: {rows}.",
    )


def _codes(member: Member, model: VAE, test: Dataset, name: str) -> CardPicture:
    drawing, where = codes(model, test, _evenly(test, CODES), name)
    by_label = "" if test.labels is None else ", in the colours of their labels"
    return CardPicture(drawing, f"Codes of test images{by_label}; {where}. Dashed: the prior at 1 and 2 sd.")


def compact(images: Tensor, columns: int, says: str) -> Markup:
    """Images [N, C, H, W] in [0, 1] in rows, with few bytes."""
    small = avg_pool2d(images, -(-max(images.shape[2:]) // LARGEST), ceil_mode=True)
    grid = (mosaic(small, columns, gap_between(small)) * 255).round().astype(np.uint8)
    picture = Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid)
    factor = max(1, WIDE // picture.width)
    return Markup('<img class="pixels" src="{}" alt="{}" width="{}" height="{}">').format(
        as_uri(picture, LOSSLESS), says, factor * picture.width, factor * picture.height
    )
