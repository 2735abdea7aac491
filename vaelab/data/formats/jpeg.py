"""Read small JPEG files fast. Pillow's reader of their headers takes longer than the decoder of their pixels."""

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_BYTES = 65_536  # of a file; Pillow gives its decoder longer files in pieces
START, SCAN = b"\xff\xd8\xff", 0xDA
FRAMES = (0xC0, 0xC1, 0xC2)  # markers of the segment with the size: baseline, extended and progressive
# Markers of other segments that change nothing but how pixels are decoded, and the fewest bytes that Pillow takes:
# tables, restart interval, comment, JFIF, Adobe. Exif (0xE1) may turn the image, and 0xE2 may announce other images.
KNOWN = {0xC4: 2, 0xDB: 2, 0xDD: 2, 0xFE: 2, 0xE0: 9, 0xEE: 9}
MODES = {1: "L", 3: "RGB"}  # channels -> mode of Pillow


def small_jpeg(content: bytes, most_pixels: int) -> "Image | None":
    """Decode a file if it is a small JPEG with plain segments only. The pixels are those of Pillow's reader.

    Returns:
        None for any other file, and for a damaged one: Pillow's reader decides what it is.
    """
    from PIL import Image

    if len(content) > LARGEST_BYTES or not content.startswith(START):
        return None
    try:
        mode, size = _frame(content)
        if 0 < size[0] * size[1] <= most_pixels:
            return Image.frombytes(mode, size, content, "jpeg", mode, "")
    except (struct.error, LookupError, ValueError):
        pass
    return None


def _frame(content: bytes) -> tuple[str, tuple[int, int]]:
    """The mode, and the width and height, in the segments before the pixels.

    Raises:
        struct.error, LookupError, ValueError: there is no such segment, or there is another one than those in `KNOWN`.
    """
    at, found = 2, list[tuple[str, tuple[int, int]]]()
    while True:
        mark, kind, length = struct.unpack_from(">BBH", content, at)
        if mark != 0xFF:
            raise ValueError
        if kind == SCAN:
            (only,) = found
            return only
        if kind in FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", content, at + 4)
            if bits != 8 or length != 8 + 3 * channels:
                raise ValueError
            found.append((MODES[channels], (width, height)))
        elif length < KNOWN[kind]:
            raise ValueError
        at += 2 + length
