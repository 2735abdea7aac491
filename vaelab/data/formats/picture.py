"""Read one image file."""

import errno
import io
import math
import os
import re
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaelab.data.conversion import AS_STORED, DEEP, Conversion, Converted, converted, levelled, unknown_mode
from vaelab.data.formats.jpeg import small_jpeg
from vaelab.system.errors import DataError
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
MOST_PIXELS = 178_956_970  # of an image or of a tile of it; Pillow refuses images of more
UNCHECKED_BYTES = 32_000_000  # so little memory is taken without a look at how much is free
UNCHECKED_PIXELS = UNCHECKED_BYTES // PER_PIXEL_BYTES
LARGE_BYTES = 500_000_000  # images that need more are decoded one at a time
BITS_PER_SAMPLE, PHOTOMETRIC, TILE_WIDTH, TILE_HEIGHT, WHITE_IS_0 = 258, 262, 322, 323, 0  # tags of TIFF, and a value
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk of a PNG
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
_LARGE = threading.Lock()


def picture(path: Path, conversion: Conversion = AS_STORED) -> np.ndarray:
    """Read the uint8 [C, H, W] levels of an image file in one of `FORMATS`; its name does not matter.

    Raises:
        DataError: the file is damaged or too large, or `conversion` does not allow what it needs.
    """
    with without_warnings():
        return decoded(str(path), conversion).levels


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore Pillow's warnings in all threads: about metadata, and about sizes, which `decoded` checks itself."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # damaged pixels raise an error
        yield


def decoded(
    path: str, conversion: Conversion = AS_STORED, content: bytes | None = None, most_bytes: float = math.inf
) -> Converted:
    """The same as `picture`, with the size in the file and what was converted. Call it in `without_warnings`.

    Arguments:
        content: of the image file, if it is inside another file; then `path` only names it in errors.
        most_bytes: of memory; an image that needs more is refused.
    """
    from PIL import Image

    target = conversion.resize
    made = target.height * target.width if target else 0
    try:
        content = _content(path) if content is None else content
        if made <= UNCHECKED_PIXELS and (small := small_jpeg(content, UNCHECKED_PIXELS)) is not None:
            return levelled(small, conversion)
        with Image.open(io.BytesIO(content), formats=tuple(FORMATS)) as image:
            if (pixels := _pixels(image)) > MOST_PIXELS:
                raise Image.DecompressionBombError
            if (needed := PER_PIXEL_BYTES * max(pixels, made)) > UNCHECKED_BYTES:
                do = "choose a smaller --resize" if made > pixels else "crop it, or save it smaller"
                check_free(path, needed, do)
            if needed > most_bytes:
                raise DataError(found=f"{path}: a large image", expected="smaller ones", do="decode it elsewhere")
            with _LARGE if needed > LARGE_BYTES else nullcontext():
                _refuse_deep(path, content, image)
                result = converted(image, conversion, path)
        if image.format == "PNG" and PNG_END not in content:  # Pillow does not check this
            raise EOFError
    except Image.DecompressionBombError as error:
        raise DataError(
            found=f"{path}: more than {MOST_PIXELS:,} pixels in an image or tile",
            expected="fewer, because a small file can claim so many that it takes all memory",
            do="crop it or save it smaller, or remove the file",
        ) from error
    except _DAMAGED as error:
        raise DataError(
            found=f"{path}: not a {', '.join(FORMATS)} image, or damaged ({type(error).__name__})",
            expected="complete image files",
            do="replace or remove the file",
        ) from error
    return result


def size(image: np.ndarray) -> str:
    """Height, width and colour of an image [C, H, W], in words."""
    channels, height, width = image.shape
    return f"{height} x {width} {'RGB' if channels == 3 else 'grey'}"


_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# What Pillow's readers raise on damaged files
_DAMAGED = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, RuntimeError, struct.error)


def _content(path: str) -> bytes:
    """The bytes of a file. What is no file is refused after it is opened, without waiting: this is one call fewer."""
    file = os.open(path, _FLAGS)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "a folder, a device or a pipe, not a file", path)
        if status.st_size > UNCHECKED_BYTES:
            check_free(path, status.st_size, "crop it, or save it smaller")
        content = os.read(file, status.st_size + 1)
        if len(content) == status.st_size:  # the whole file, in one call
            return content
        with open(file, "rb", buffering=0, closefd=False) as rest:
            return content + rest.readall()
    finally:
        os.close(file)


def _pixels(image: "Image") -> int:
    """The pixels that are decoded at once: those of the image, or of a tile of a TIFF file if that is larger."""
    pixels = math.prod(image.size)
    if image.format != "TIFF":
        return pixels
    return max(pixels, math.prod(_tag(image, tag, 1) for tag in (TILE_WIDTH, TILE_HEIGHT)))


def _refuse_deep(path: str, content: bytes, image: "Image") -> None:
    """Raise a DataError if the file has more bits than Pillow gives: it reads 16-bit RGB as 8-bit without a warning."""
    bits = _bits(content, image)
    grey = image.mode in (*DEEP, "I") and (bits == 16 or image.format == "PPM")  # whose levels Pillow scales to 65535
    if bits > 8 and not grey:
        raise unknown_mode(path, image.mode, bits)
    if bits == 16 and image.format == "TIFF" and _tag(image, PHOTOMETRIC, 1) == WHITE_IS_0:  # Pillow does not invert it
        raise DataError(
            found=f"{path}: 16-bit grey in which 0 is white",
            expected="grey in which 0 is black",
            do="convert it with an image program",
        )


def _tag(image: "Image", tag: int, otherwise: int) -> int:
    """The number in a tag of a TIFF image, or the largest of several."""
    return np.max(image.tag_v2.get(tag, otherwise)).item()  # pyright: ignore[reportAttributeAccessIssue]


def _bits(content: bytes, image: "Image") -> int:
    """Bits per channel, as stored in the file."""
    header = content[:1000]
    if image.format == "TIFF":
        return _tag(image, BITS_PER_SAMPLE, 1)
    if image.format == "PNG":
        return header[24]
    if image.format == "PPM" and header[:2] in (b"P2", b"P3", b"P5", b"P6"):
        _, _, _, largest = re.sub(rb"#[^\n]*\n", b" ", header).split(maxsplit=4)[:4]  # magic, width, height, level
        return int(largest).bit_length()
    return 8
