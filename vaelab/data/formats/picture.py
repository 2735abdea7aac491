"""Read one image file."""

import math
import re
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaelab.system.errors import DataError
from vaelab.system.files import plain
from vaelab.system.memory import check_free

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {  # Pillow's name of a format -> endings of file names
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".pgm", ".ppm", ".pbm", ".pnm"),
}
PER_PIXEL_BYTES = 20  # memory for decoding, with the copies that Pillow makes (a PNG of 13,000 x 13,000: 3.2 GB)
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk of a PNG
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)


def picture(path: Path) -> np.ndarray:
    """Read the uint8 [C, H, W] levels of an image file in one of `FORMATS`; its name does not matter.

    Raises:
        DataError: the file is damaged or transparent, has several frames or pages, or more than 8 bits per channel.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `check_free` below checks the memory
            warnings.simplefilter("ignore", UserWarning)  # these are about metadata; damaged pixels raise an error
            with Image.open(plain(path), formats=tuple(FORMATS)) as opened:
                check_free(str(path), PER_PIXEL_BYTES * math.prod(opened.size), "crop it, or save it smaller")
                kind, frames, bits = opened.format, getattr(opened, "n_frames", 1), _bits(path, opened)
                image = ImageOps.exif_transpose(opened)
            if kind == "PNG" and PNG_END not in path.read_bytes():  # Pillow does not check this
                raise EOFError
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise DataError(
            found=f"{path}: not a {', '.join(FORMATS)} image, or damaged ({type(error).__name__})",
            expected="complete image files",
            do="replace or remove the file",
        ) from error
    if frames > 1:
        raise DataError(
            found=f"{path}: {frames} frames or pages",
            expected="one image in each file",
            do="save each frame as a separate file",
        )
    if bits > 8 or image.mode not in _TARGET:
        raise DataError(
            found=f"{path}: mode {image.mode} with {bits} bits per channel",
            expected="grey or RGB with 8 bits per channel",
            do="convert it with an image program",
        )
    if not _opaque(image):
        raise DataError(
            found=f"{path}: transparent pixels",
            expected="an opaque image",
            do="put it on a background with an image program",
        )
    # A GIF always has a palette. Pillow reads some palettes as grey; then images of one set would differ in channels.
    levels = np.asarray(image.convert("RGB" if kind == "GIF" else _TARGET[image.mode]))
    return levels[None] if levels.ndim == 2 else levels.transpose(2, 0, 1)


def size(image: np.ndarray) -> str:
    """Height, width and colour of an image [C, H, W], in words."""
    channels, height, width = image.shape
    return f"{height} x {width} {'RGB' if channels == 3 else 'grey'}"


# What Pillow's readers raise on damaged files
_DAMAGED = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, RuntimeError, struct.error)
# Pillow's mode of an image -> the mode to which it is converted, without loss.
_TARGET = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB"}


def _opaque(image: "Image") -> bool:
    if "A" not in image.mode and "transparency" not in image.info:
        return True
    return image.convert("RGBA").getchannel("A").getextrema()[0] == 255


def _bits(path: Path, image: "Image") -> int:
    """Bits per channel, read from the file, because Pillow reads 16-bit RGB as 8-bit without a warning."""
    if image.format == "TIFF":
        stored = image.tag_v2.get(258, 1)  # pyright: ignore[reportAttributeAccessIssue] only TIFF images have tags
        return max(np.atleast_1d(stored).tolist())
    with path.open("rb") as file:
        header = file.read(1000)
    if image.format == "PNG":
        return header[24]
    if image.format == "PPM" and header[:2] in (b"P2", b"P3", b"P5", b"P6"):
        _, _, _, largest = re.sub(rb"#[^\n]*\n", b" ", header).split(maxsplit=4)[:4]  # magic, width, height, level
        return int(largest).bit_length()
    return 8
