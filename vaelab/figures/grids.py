"""Grids of images. Every image pixel covers the same whole number of dots, so that no image looks blurred."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vaelab.figures.style import DPI, SCREEN, SMALL, TEXT, Page, wrapped
from vaelab.system.errors import SpecError


def gap_between(images: Tensor) -> int:
    """The number of white pixels between the images [N, C, H, W] of a grid: about a fourteenth of their width."""
    return max(1, round(images.shape[-1] / 14))


def visible(images: Tensor) -> Tensor:
    """The channels of images [N, C, H, W] that are drawn: the first three, as red, green and blue; or the first."""
    return images[:, : 3 if images.shape[1] >= 3 else 1]


def which_channels(images: Tensor) -> str:
    """A sentence about the channels that are drawn; "" if all of them are."""
    channels = images.shape[1]
    drawn = (
        "The first 3 of {} channels are drawn, as red, green and blue."
        if channels >= 3
        else "The first of {} channels is drawn."
    )
    return "" if channels in (1, 3) else drawn.format(channels)


def centres(count: int, size: int, gap: int) -> list[float]:
    """The centres of `count` rows or columns in the coordinates of `image_grid`."""
    return [(size + gap) * i + (size - 1) / 2 for i in range(count)]


def mosaic(images: Tensor, columns: int, gap: int) -> np.ndarray:
    """Place images [N, C, H, W] on white, row by row: [rows (H + gap) - gap, columns (W + gap) - gap, C].

    The result is grey (C = 1) or in colour (C = 3): `visible` chooses the channels. Values outside [0, 1] are clipped,
    so the result is for display and not for measurements.
    """
    images = visible(images)
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    cells = torch.ones(rows * columns, channels, height + gap, width + gap)
    cells[:count, :, :height, :width] = images.detach().clamp(0, 1)
    grid = cells.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).reshape(rows * (height + gap), -1, channels)
    return grid[: rows * (height + gap) - gap, : columns * (width + gap) - gap].numpy()


def image_grid(ax: Axes, images: Tensor, columns: int, gap: int) -> None:
    """Draw images [N, C, H, W] in [0, 1] as a grid: grey for C < 3, otherwise colour. Ticks are drawn without marks."""
    grid = mosaic(images, columns, gap)
    if grid.shape[-1] == 1:
        ax.imshow(grid[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        ax.imshow(grid, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=SMALL)


def _dots(pixels: int, inches: float, width: float, dpi: float) -> tuple[float, float]:
    """How many dots a pixel of a grid covers that is `pixels` and at most `inches` wide, and the dots per inch.

    Raises:
        SpecError: the page has no room for the grid.
    """
    if inches < 0.5:
        raise SpecError(
            found=f"a figure that is {width:g} inches wide",
            expected="room for its images beside its labels",
            do="give it a larger --width",
        )
    wanted = inches * dpi / pixels
    dots = max(1, ceil(wanted - 1e-9)) if wanted > 0.6 else wanted  # large images have fewer pixels
    whole = ceil(width * dots * pixels / inches)  # dots of the whole width
    return dots, whole / width


def grid_figure(
    grids: Sequence[Tensor],
    columns: int,
    gap: int,
    *,
    title: str = "",
    titles: Sequence[str] = (),
    caption: str = "",
    left: float = 0.0,
    bottom: float = 0.0,
    margin: float = 0.15,
    target: float = 6.5,
    page: Page = SCREEN,
) -> tuple[Figure, list[Axes]]:
    """Draw a figure of image grids next to each other; return it with its axes.

    The axes are placed explicitly: with a layout engine an image pixel could be 2.37 dots wide.

    Arguments:
        grids: images [N, C, H, W] in [0, 1] of each grid; all grids have the same shape.
        columns, gap: as in `image_grid`, for every grid.
        title, titles, caption: the texts above the figure, above each grid and below the figure. If not all channels
            can be drawn, a sentence of the caption says which are.
        left, bottom: inches for the tick and axis labels to the left of each grid and below it.
        margin: inches of white around the figure and between the grids.
        target: the approximate length in inches of the longer side of all grids together, if the page has no width.
        page: what the figure is drawn for. The dpi of the figure are those at which image pixels are whole dots.
    """
    caption = " ".join(filter(None, (caption, which_channels(grids[0]))))
    count, _, image_height, image_width = grids[0].shape
    size = (-(-count // columns) * (image_height + gap) - gap, columns * (image_width + gap) - gap)
    if page.width is None:
        dots_wanted = target * DPI / max(size[0], len(grids) * size[1])
        dots = max(1, round(dots_wanted)) if dots_wanted > 0.6 else dots_wanted  # large images have fewer pixels
        per_inch = DPI
    else:
        margin = min(margin, 0.12)
        dots, per_inch = _dots(size[1], (page.width - margin) / len(grids) - left - margin, page.width, page.dpi)
    height, width = dots * size[0] / per_inch, dots * size[1] / per_inch

    total_width = page.width or len(grids) * (width + left + margin) + margin
    beside = total_width - left  # the width for texts, which are centred on the grids
    title, caption = wrapped(title, beside, page.heading), wrapped(caption, beside, page.small)
    titles = [wrapped(text, width, TEXT if page.width is None else page.small) for text in titles]
    title_lines = max((text.count("\n") + 1 for text in titles), default=0)
    above = margin + (page.heading / 50 * (title.count("\n") + 1) if title else 0)
    above += (0.1 + 0.15 * title_lines) if titles else 0
    below = margin + bottom + (0.06 + page.small / 50 * (caption.count("\n") + 1) if caption else 0)
    # round to whole dots; otherwise every image pixel would cover parts of two dots
    above, below, left, margin = (round(inches * per_inch) / per_inch for inches in (above, below, left, margin))
    total_width = page.width or len(grids) * (width + left + margin) + margin
    total_height = above + height + below

    figure = Figure(figsize=(total_width, total_height), dpi=per_inch * (ceil(page.dpi / per_inch - 1e-9)))
    middle = (left + total_width) / 2 / total_width  # the centre of the grids, not of the figure
    figure.text(middle, 1 - margin / total_height, title, fontsize=page.heading, ha="center", va="top")
    figure.text(middle, margin / total_height, caption, fontsize=page.small, ha="center", va="bottom")
    axes = []
    for i, images in enumerate(grids):
        x = margin + left + i * (width + left + margin)
        ax = figure.add_axes((x / total_width, below / total_height, width / total_width, height / total_height))
        image_grid(ax, images, columns, gap)
        if titles:
            ax.set_title(titles[i], fontsize=TEXT)
        axes.append(ax)
    return figure, axes
