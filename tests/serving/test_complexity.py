import io

import numpy as np
import pytest
from PIL import Image

from vaelab.serving.complexity import png_bits


def images(channels=1, size=32):
    """Constant, squares of 8 x 8 pixels of one level each, and noise."""
    random = np.random.default_rng(0)
    squares = random.integers(0, 256, (channels, size // 8, size // 8), np.uint8).repeat(8, 1).repeat(8, 2)
    return np.stack([np.full_like(squares, 90), squares, random.integers(0, 256, squares.shape, np.uint8)])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 13])
def test_constant_below_squares_below_noise(channels):
    constant, squares, noise = png_bits(images(channels))
    assert constant < squares < noise
    pixels = 8 * channels * 32 * 32
    assert pixels <= noise < 1.1 * pixels + 400  # noise cannot be compressed
    assert constant < pixels / 20


def test_binary_images_take_one_bit_for_each_pixel():
    noise = np.random.default_rng(0).random((1, 1, 64, 64)) < 0.5
    (bits,) = png_bits(noise)
    assert 64 * 64 <= bits < 1.1 * 64 * 64 + 400


def test_all_data_of_the_pixels_is_counted_and_nothing_else():
    """The file is longer by its signature, header and ends: 57 bytes, and 12 for each further chunk of 64 KiB."""
    (noise,) = images(3, 256)[2:]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(noise.transpose(1, 2, 0))).save(file, "PNG", optimize=True)
    chunks = file.getvalue().count(b"IDAT")
    assert chunks > 1
    assert png_bits(noise[None])[0] == 8 * (len(file.getvalue()) - 45 - 12 * chunks)


def test_it_is_the_same_each_time_and_in_any_memory_order():
    some = images(3)
    assert (png_bits(some) == png_bits(np.asfortranarray(some))).all()
    assert (png_bits(some)[::-1] == png_bits(some[::-1])).all()
