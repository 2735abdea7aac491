"""The complexity of an image: the bits of its lossless PNG (Serrà et al. 2020)."""

import io

import numpy as np

BITS = 8  # in a byte
SIGNATURE, FRAME = 8, 12  # bytes of a PNG: its signature; length, name and checksum of each chunk


def png_bits(images: np.ndarray) -> np.ndarray:
    """Return the bits of the compressed pixels in a PNG of each image, float64 [N].

    Only the data of the IDAT chunks are counted. The signature, the header and the checksums are the same for all
    images of one size, and are not. The file is what Pillow writes with `optimize`, without metadata. Its size depends
    on Pillow's compression library. So compare only bits that were computed with one installation.

    Arguments:
        images: [N, C, H, W]; uint8 for levels, or bool for black and white. Three channels of levels are one RGB
            picture; black and white has 1 bit per pixel; with any other number of channels, the channels are below one
            another in a single grey picture.
    """
    return np.array([BITS * _compressed_bytes(image) for image in images], np.float64)


def _compressed_bytes(image: np.ndarray) -> int:
    from PIL import Image

    channels, height, width = image.shape
    rgb = channels == 3 and image.dtype == np.uint8
    pixels = image.transpose(1, 2, 0) if rgb else image.reshape(channels * height, width)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
    png, place, total = file.getvalue(), SIGNATURE, 0
    while place < len(png):
        size = int.from_bytes(png[place : place + 4], "big")
        total += size if png[place + 4 : place + 8] == b"IDAT" else 0
        place += FRAME + size
    return total
