from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data.conversion import AS_STORED, Conversion, Resize, convert_image, converted, parse_resize
from vaelab.data.formats.picture import decoded, picture
from vaelab.data.reading import parse_reading
from vaelab.system.errors import DataError, SpecError

CONVERT = Conversion(convert=True)
RGB = np.random.default_rng(1).integers(0, 256, (6, 4, 3), np.uint8)


def levels(image: Image.Image) -> np.ndarray:
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def test_an_image_that_needs_nothing_is_unchanged():
    for image in (Image.fromarray(RGB), Image.fromarray(RGB[..., 0])):
        for conversion in (AS_STORED, CONVERT, Conversion(Resize(6, 4)), Conversion(Resize(6, 4, crop=True))):
            np.testing.assert_array_equal(convert_image(image, conversion), levels(image), strict=True)


@pytest.mark.parametrize(
    ("text", "resize"), [("", None), ("32x16", Resize(32, 16)), ("crop:1x65535", Resize(1, 65535, True))]
)
def test_a_size_is_read(text: str, resize: Resize | None):
    assert parse_resize(text) == resize
    assert str(resize or "") == text


@pytest.mark.parametrize(
    "text", ["0x3", "3x0", "crop:9", "9", "3x", "-3x3", "3.5x3", "3X3", "65536x1", "fit:3x3", "３x3"]
)
def test_no_size_is_refused(refused, text: str):
    with refused(SpecError, f"resize = {text!r}", "HEIGHTxWIDTH or crop:HEIGHTxWIDTH", "crop:32x32"):
        parse_reading(resize=text)


def test_the_filter_is_lanczos_and_a_crop_keeps_the_shape_of_things():
    stripes = np.zeros((20, 40, 3), np.uint8)
    stripes[:, 10:30] = 255  # the middle square
    image = Image.fromarray(stripes)
    stretched = convert_image(image, Conversion(Resize(10, 10)))
    np.testing.assert_array_equal(stretched, levels(image.resize((10, 10), Image.Resampling.LANCZOS)), strict=True)
    cropped = convert_image(image, Conversion(Resize(10, 10, crop=True)))
    assert cropped.min() > 230  # the filter looks a little over the edge
    assert stretched.min() == 0
    tall = convert_image(image.transpose(Image.Transpose.ROTATE_90), Conversion(Resize(5, 10, crop=True)))
    assert tall.shape == (3, 5, 10)
    assert tall.min() > 230


def test_fine_stripes_become_grey_and_not_other_stripes():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert np.ptp(convert_image(Image.fromarray(stripes), Conversion(Resize(24, 24)))[:, 3:-3, 3:-3]) < 20


def test_grey_is_the_luma_of_pillow():
    image = Image.fromarray(RGB)
    grey = convert_image(image, Conversion(grey=True))
    np.testing.assert_array_equal(grey, levels(image.convert("L")), strict=True)
    np.testing.assert_allclose(grey[0], RGB @ [0.299, 0.587, 0.114], atol=0.51)
    assert converted(image, Conversion(grey=True)).changes == ("grey",)
    assert converted(image.convert("L"), Conversion(grey=True)).changes == ()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_put_on_white(refused, mode: str):
    alpha = np.array([[0, 51], [204, 255]], np.uint8)
    colours = np.full((2, 2, 3), 100, np.uint8)
    image = Image.fromarray(np.dstack([colours, alpha])).convert(mode)
    expected = np.array([[255, 224], [131, 100]])  # (alpha 100 + (255 - alpha) 255) / 255
    found = converted(image, CONVERT)
    assert found.levels.shape == (3 if mode == "RGBA" else 1, 2, 2)
    assert (found.levels == expected).all()
    assert found.changes == ("transparent",)
    with refused(DataError, "the image: transparent pixels", "opaque", "use --convert"):
        convert_image(image, AS_STORED)


def test_a_transparent_colour_of_a_palette_is_put_on_white(tmp_path: Path):
    palette = Image.fromarray(RGB).quantize(8)
    clear = palette.getpixel((0, 0))
    palette.save(tmp_path / "a.png", transparency=clear)
    found = picture(tmp_path / "a.png", CONVERT)
    where = np.asarray(palette) == clear
    expected = np.where(where, 255, levels(palette.convert("RGB")))
    np.testing.assert_array_equal(found, expected)
    assert 0 < where.sum() < where.size


def test_cmyk_becomes_rgb_as_pillow_does_it(refused):
    image = Image.fromarray(RGB).convert("CMYK")
    np.testing.assert_array_equal(convert_image(image, CONVERT), levels(image.convert("RGB")), strict=True)
    assert converted(image, CONVERT).changes == ("cmyk",)
    with refused(DataError, "CMYK", "use --convert"):
        convert_image(image, AS_STORED)


@pytest.mark.parametrize("kind", ["png", "tif", "pgm"])
def test_16_bits_of_grey_are_divided_by_257_and_rounded(tmp_path: Path, refused, kind: str):
    deep = np.array([[0, 128, 129], [32_896, 65_406, 65_535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / f"a.{kind}")
    assert picture(tmp_path / f"a.{kind}", CONVERT).tolist() == [[[0, 0, 1], [128, 254, 255]]]
    assert decoded(str(tmp_path / f"a.{kind}"), CONVERT).changes == ("deep",)
    with refused(DataError, f"a.{kind}", "16 bits", "use --convert"):
        picture(tmp_path / f"a.{kind}")


def test_16_bit_grey_in_which_0_is_white_is_refused(tmp_path: Path, refused):
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    with refused(DataError, tmp_path / "a.tif", "0 is white"):
        picture(tmp_path / "a.tif", CONVERT)


def test_other_depths_and_colours_are_refused_also_with_convert(tmp_path: Path, refused):
    for name, image in {
        "float.tif": Image.fromarray(np.ones((2, 2), np.float32)),
        "int.tif": Image.fromarray(np.ones((2, 2), np.int32)),
        "lab.tif": Image.fromarray(RGB).convert("LAB"),
    }.items():
        image.save(tmp_path / name)
        with refused(DataError, tmp_path / name, "bits per channel", "with an image program"):
            picture(tmp_path / name, CONVERT)
    key = {"transparency": 7}
    Image.fromarray(np.full((2, 2), 7, np.uint16)).save(tmp_path / "key.png", **key)
    with refused(DataError, tmp_path / "key.png", "16-bit grey with a transparent level"):
        picture(tmp_path / "key.png", CONVERT)


@pytest.mark.parametrize("kind", ["gif", "tiff", "webp", "png"])
def test_the_first_frame_of_several_is_read(tmp_path: Path, kind: str):
    frames = [Image.fromarray(np.full((6, 4, 3), level, np.uint8)) for level in (30, 130, 230)]
    frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:])
    found = decoded(str(tmp_path / f"a.{kind}"), CONVERT)
    assert np.abs(found.levels.astype(int) - 30).max() < 3
    assert found.levels.shape == (3, 6, 4)
    assert found.changes == ("frames",)


def test_the_camera_s_orientation_comes_before_the_size(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp = np.linspace(0, 255, 64 * 32).reshape(64, 32).astype(np.uint8)
    Image.fromarray(np.rot90(ramp).copy()).save(tmp_path / "a.jpg", quality=95, exif=exif)
    found = decoded(str(tmp_path / "a.jpg"), Conversion(Resize(16, 8)))
    assert found.size == (64, 32)
    np.testing.assert_allclose(found.levels, ramp.reshape(16, 4, 8, 4).mean((1, 3))[None], atol=12)
