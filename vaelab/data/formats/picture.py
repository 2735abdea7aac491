"""One image file."""

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

FORMATS = {  # as Pillow calls them, with the names of their files
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".pgm", ".ppm", ".pbm", ".pnm"),
}
PER_PIXEL_BYTES = 20  # that decoding takes, with the copies that Pillow makes (a PNG of 13,000 x 13,000: 3.2 GB)
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # its last chunk
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)


def picture(path: Path) -> np.ndarray:
    """The uint8 [C, H, W] levels of an image file of one of `FORMATS`, whatever its name.

    Raises:
        DataError: it is damaged, transparent, in motion or of several pages, or of more than 8 bits per channel.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its memory is asked for below
            warnings.simplefilter("ignore", UserWarning)  # about notes beside the pixels; damaged pixels are an error
            with Image.open(plain(path), formats=tuple(FORMATS)) as opened:
                check_free(str(path), PER_PIXEL_BYTES * math.prod(opened.size), "cut it, or save it smaller")
                kind, frames, bits = opened.format, getattr(opened, "n_frames", 1), _bits(path, opened)
                image = ImageOps.exif_transpose(opened)
            if kind == "PNG" and PNG_END not in path.read_bytes():  # Pillow does not ask for it
                raise EOFError
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise DataError(
            found=f"{path}: not a {', '.join(FORMATS)} image, or damaged ({type(error).__name__})",
            expected="whole image files",
            do="replace or remove the file",
        ) from error
    if frames > 1:
        raise DataError(
            found=f"{path}: {frames} frames or pages",
            expected="one image in each file",
            do="save each frame that you want as a file of its own",
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
            do="lay it over a background with an image program",
        )
    # GIF has palettes alone, and Pillow calls some of them grey: one set of images must not be partly so.
    levels = np.asarray(image.convert("RGB" if kind == "GIF" else _TARGET[image.mode]))
    return levels[None] if levels.ndim == 2 else levels.transpose(2, 0, 1)


def size(image: np.ndarray) -> str:
    """Height, width and colour of an image [C, H, W], in words."""
    channels, height, width = image.shape
    return f"{height} x {width} {'RGB' if channels == 3 else 'grey'}"


# What Pillow's readers raise on damaged files
_DAMAGED = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, RuntimeError, struct.error)
# What Pillow calls the ways to store a pixel -> the one that it is read as, without loss.
_TARGET = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB"}


def _opaque(image: "Image") -> bool:
    if "A" not in image.mode and "transparency" not in image.info:
        return True
    return image.convert("RGBA").getchannel("A").getextrema()[0] == 255


def _bits(path: Path, image: "Image") -> int:
    """Bits per channel, from the file: Pillow reads 16-bit RGB as 8-bit without a word."""
    if image.format == "TIFF":
        stored = image.tag_v2.get(258, 1)  # pyright: ignore[reportAttributeAccessIssue] of TIFF images alone
        return max(np.atleast_1d(stored).tolist())
    with path.open("rb") as file:
        header = file.read(1000)
    if image.format == "PNG":
        return header[24]
    if image.format == "PPM" and header[:2] in (b"P2", b"P3", b"P5", b"P6"):
        _, _, _, largest = re.sub(rb"#[^\n]*\n", b" ", header).split(maxsplit=4)[:4]  # magic, width, height, level
        return int(largest).bit_length()
    return 8
