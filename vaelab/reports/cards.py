"""The card of each run: its Spec, the KL of its latent dimensions, and what it makes of the same few test images."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vaelab.figures.grids import gap_between, mosaic
from vaelab.figures.model_calls import condition_of, pixels, reconstruct, seeded_model
from vaelab.reports.context import DRAWS, ReportContext, plain
from vaelab.reports.pictures import as_uri
from vaelab.studies.study import Member

BESIDE = 8  # images in a row
WIDE = 320  # the width in CSS pixels that a strip reaches, if its pixels are enlarged by a whole factor


@dataclass(frozen=True)
class Strip:
    """Rows of small images, in their own pixels."""

    uri: str
    alt: str
    width: int  # in CSS pixels: a whole number for each pixel
    height: int


@dataclass(frozen=True)
class Card:
    """The details of one run."""

    label: str
    name: str
    folder: str  # relative to the folder of the report
    parts: list[tuple[str, str]]
    kl: list[float]  # KL of each latent dimension, largest first; empty if it is not known
    strip: Strip


def cards(context: ReportContext, folder: Path) -> list[Card]:
    """The card of each run that is done, in the order of the study."""
    return [_card(context, member, folder) for member in context.done]


def _card(context: ReportContext, member: Member, folder: Path) -> Card:
    parts = [(name.replace("_", " "), str(value)) for name, value in member.spec.as_row().items()]
    kl = sorted(member.run.metric("rate").parts, reverse=True)
    where = Path(os.path.relpath(member.run.path, folder)).as_posix()
    name = f"{member.title}, {context.at(member)}"
    return Card(member.label, name, where, parts, kl, _strip(context, member, name))


def _strip(context: ReportContext, member: Member, name: str) -> Strip:
    """Test images, below them their reconstructions, and below those samples; runs on one data set have the same."""
    model, test = context.model(member), context.test(member)
    chosen = np.linspace(0, len(test) - 1, BESIDE).round().astype(int)
    with seeded_model(model, member.seed):
        again = reconstruct(model, pixels(model, test, chosen), DRAWS, condition_of(model, test, chosen))
        drawn = model.sample(BESIDE).mean.cpu()
    images = torch.cat([plain(test.take(chosen)), again, drawn])
    grid = (mosaic(images, BESIDE, gap_between(images)) * 255).round().astype(np.uint8)
    picture = Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid)
    factor = max(1, WIDE // picture.width)
    said = (
        f"{len(chosen)} test images; below each its reconstruction by {name}; below those {BESIDE} samples of the prior"
    )
    return Strip(as_uri(picture), said, factor * picture.width, factor * picture.height)
