"""Where images, channels, rows and columns are in an array: from its shape, or as the user says."""

import math
from dataclasses import dataclass

import numpy as np

from vaelab.data.formats.options import Options
from vaelab.system.errors import DataError

COLOURS = (1, 3)  # the numbers of channels that are recognised at once


@dataclass(frozen=True)
class Layout:
    """The order of the axes of an array of images.

    Arguments:
        axes: a letter for each axis of the array: N images, C channels, H rows, W columns, D flat images.
        shape: the shape of a flat image; () if images are not flat.
        inner: the letters of `shape`.
        order: "C" if the last index of a flat image is fastest, "F" if the first is.
        said: what was inferred that the user should know; "" for nothing.
    """

    axes: str
    shape: tuple[int, ...] = ()
    inner: str = ""
    order: str = "C"
    said: str = ""

    @property
    def axis(self) -> int:
        """The axis of the images."""
        return self.axes.index("N")

    def images(self, block: np.ndarray) -> np.ndarray:
        """A part of the array, with some of its images, as [B, C, H, W]; a view where that is possible."""
        block, letters = np.moveaxis(block, self.axis, 0), self.axes.replace("N", "")
        if self.shape:
            letters, shape = self.inner, self.shape
            if self.order == "F":
                letters, shape = letters[::-1], shape[::-1]
            block = block.reshape(len(block), *shape)
        if "C" not in letters:
            block, letters = block[:, None], f"C{letters}"
        return block.transpose(0, *(1 + letters.index(letter) for letter in "CHW"))


def layout_of(where: str, shape: tuple[int, ...], options: Options, *, matlab: bool = False) -> Layout:
    """Return the layout of an array of this shape.

    Without options, three axes are [N, H, W]. Of four axes, the second or the last are the channels: the one of length
    1 or 3; otherwise the one that is shorter than all other axes of the image. MATLAB files have no customary order, so
    the user must give `axes`.

    Raises:
        DataError: the shape contradicts the options, or does not say where the channels are.
    """
    if options.shape:
        return _flat(where, shape, options)
    if options.axes:
        if len(options.axes) != len(shape):
            raise DataError(
                found=f"{where}: shape {shape}",
                expected=f"{len(options.axes)} axes, for axes={options.axes}",
                do="correct axes" if len(shape) > 2 else "give the shape of an image, as in shape=28x28",
            )
        return Layout(options.axes)
    if len(shape) == 2:
        raise DataError(
            found=f"{where}: shape {shape}, without axes for rows and columns",
            expected="[N, H, W], [N, C, H, W] or [N, H, W, C], or the shape of images that are stored flat",
            do="add the shape of an image to the source, as in :shape=28x28",
        )
    if matlab and len(shape) in (3, 4):
        raise DataError(
            found=f"{where}: shape {shape}, in an order that the file does not say",
            expected="the order of its axes",
            do=f"add it to the source, as in :axes={'HWN or :axes=NHW' if len(shape) == 3 else 'HWCN or :axes=NHWC'}",
        )
    if len(shape) == 3:
        return Layout("NHW")
    if len(shape) == 4:
        return _with_channels(where, shape)
    raise DataError(
        found=f"{where}: shape {shape}",
        expected="[N, H, W], [N, C, H, W] or [N, H, W, C]",
        do="reshape the array",
    )


def _flat(where: str, shape: tuple[int, ...], options: Options) -> Layout:
    numbers = math.prod(options.shape)
    text = "x".join(map(str, options.shape))
    if len(shape) != 2 or numbers not in shape or shape == (numbers, numbers):
        both = shape == (numbers, numbers)
        raise DataError(
            found=f"{where}: shape {shape}{', where either axis may be the images' if both else ''}",
            expected=f"[N, {numbers}] or [{numbers}, N], for shape={text}",
            do="save the array as [N, H, W]" if both else "correct shape, or leave it out if images are not flat",
        )
    inner = options.axes or {2: "HW", 3: "CHW"}[len(options.shape)]
    return Layout("ND" if shape[1] == numbers else "DN", options.shape, inner, options.order)


def _with_channels(where: str, shape: tuple[int, ...]) -> Layout:
    _, second, third, last = shape
    first, at_end = second in COLOURS, last in COLOURS
    if first != at_end:
        return Layout("NCHW" if first else "NHWC")
    if not first and second < min(third, last):
        return Layout("NCHW", said=f"{second} channels, the second axis of shape {shape}")
    if not first and last < min(second, third):
        return Layout("NHWC", said=f"{last} channels, the last axis of shape {shape}")
    why = "the second or the last axis may be the channels" if first else "no axis is clearly the channels"
    raise DataError(
        found=f"{where}: shape {shape}, where {why}",
        expected="[N, H, W], [N, C, H, W] or [N, H, W, C]",
        do="add the order of the axes to the source, :axes=NCHW or :axes=NHWC",
    )
