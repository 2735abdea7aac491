import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data import folder
from vaelab.errors import DataError

GREY = np.random.default_rng(0).integers(0, 256, (3, 6, 4), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (3, 6, 4, 3), np.uint8)


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_images_are_read_in_the_order_of_their_paths(tmp_path: Path):
    for name, image in zip(["c.png", "a.PNG", "b.png"], GREY, strict=True):
        save(tmp_path / name, image)
    (tmp_path / "notes.txt").write_text("not an image, and not named like one")
    read, nothing = folder.read(str(tmp_path))
    assert nothing is None
    assert read.labels is None
    np.testing.assert_array_equal(read.images, GREY[[1, 2, 0], None], strict=True)


def test_rgb_is_channels_first_and_sub_folders_are_labels(tmp_path: Path):
    for name, image in zip(["dog/1.png", "cat/deep/2.png", "cat/1.png"], RGB, strict=True):
        save(tmp_path / name, image)
    (tmp_path / "ant").mkdir()  # without images: no class
    read, _ = folder.read(str(tmp_path))
    np.testing.assert_array_equal(read.images, RGB[[2, 1, 0]].transpose(0, 3, 1, 2), strict=True)
    np.testing.assert_array_equal(read.labels, np.array([0, 0, 1]), strict=True)


def test_a_jpeg_is_close_to_what_was_saved_and_stands_as_the_camera_noted(tmp_path: Path):
    ramp = np.linspace(0, 255, 64 * 32).reshape(64, 32).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees
    save(tmp_path / "a" / "0.jpg", ramp, quality=95)
    save(tmp_path / "b" / "0.jpeg", np.rot90(ramp).copy(), quality=95, exif=exif)
    read, _ = folder.read(str(tmp_path))
    assert read.images.shape == (2, 1, 64, 32)
    assert np.abs(read.images.astype(int) - ramp).max() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
def test_every_opaque_way_to_store_8_bits_is_read_without_loss(tmp_path: Path, mode: str):
    image = Image.fromarray((GREY[0] > 99) * np.uint8(255)).convert(mode)
    image.save(tmp_path / "a.png")
    read = folder.picture(tmp_path / "a.png")
    target = image.convert("L" if mode in ("1", "L", "LA") else "RGB")
    np.testing.assert_array_equal(read, np.atleast_3d(np.asarray(target)).transpose(2, 0, 1), strict=True)


def test_transparency_is_refused(tmp_path: Path, refused):
    clear = np.dstack([RGB[0], np.full((6, 4), 254, np.uint8)])
    paths = [save(tmp_path / "rgba.png", clear), save(tmp_path / "la.png", clear[..., 2:])]
    paths.append(save(tmp_path / "key.png", RGB[0], transparency=tuple(RGB[0, 0, 0].tolist())))
    palette = Image.fromarray(GREY[0]).convert("P")
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((0, 0)))
    for path in [*paths, tmp_path / "palette.png"]:
        with refused(DataError, path, "transparent", "opaque"):
            folder.picture(path)


def test_more_than_8_bits_and_other_colours_are_refused(tmp_path: Path, refused):
    save(tmp_path / "grey16.png", GREY[0].astype(np.uint16) * 257)
    # Pillow writes no 16-bit RGB, and reads it as 8-bit: one made by hand.
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in RGB[0])
    header = struct.pack(">IIBBBBB", 4, 6, 16, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    (tmp_path / "rgb16.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    for name in ("grey16.png", "rgb16.png"):
        with refused(DataError, tmp_path / name, "16 bits"):
            folder.picture(tmp_path / name)
    Image.fromarray(RGB[0]).convert("CMYK").save(tmp_path / "cmyk.jpg")
    with refused(DataError, tmp_path / "cmyk.jpg", "CMYK"):
        folder.picture(tmp_path / "cmyk.jpg")


def test_images_that_differ_in_size_or_colour_are_refused(tmp_path: Path, refused):
    first, second = save(tmp_path / "a.png", GREY[0]), save(tmp_path / "b.png", GREY[1].T.copy())
    with refused(DataError, f"{first}: 6 x 4 grey", f"{second}: 4 x 6 grey"):
        folder.read(str(tmp_path))
    save(second, RGB[0])
    with refused(DataError, f"{first}: 6 x 4 grey", f"{second}: 6 x 4 RGB"):
        folder.read(str(tmp_path))


def test_a_folder_without_images_or_partly_in_sub_folders_is_refused(tmp_path: Path, refused):
    with refused(DataError, tmp_path, "no images", ".png"):
        folder.read(str(tmp_path))
    with refused(DataError, tmp_path / "nowhere", "no such folder"):
        folder.read(str(tmp_path / "nowhere"))
    save(tmp_path / "a.png", GREY[0])
    save(tmp_path / "sub" / "b.png", GREY[1])
    with refused(DataError, tmp_path, "a.png", "sub-folder"):
        folder.read(str(tmp_path))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_damaged_image_is_refused(tmp_path: Path, refused, name: str):
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / name, noise)
    whole = path.read_bytes()
    for length in (0, 1, 8, 20, 30, 60, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:length])
        with refused(DataError, path, "damaged"):
            folder.read(str(tmp_path))
    path.write_text("a text file\n")
    with refused(DataError, path, "not a PNG or JPEG"):
        folder.read(str(tmp_path))


def test_another_format_under_a_known_name_is_refused(tmp_path: Path, refused):
    Image.fromarray(GREY[0]).save(tmp_path / "a.png", format="GIF")
    with refused(DataError, tmp_path / "a.png", "not a PNG or JPEG"):
        folder.read(str(tmp_path))
