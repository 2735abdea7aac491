"""A Conversion: the rules by which an image of any size and mode becomes uint8 levels [C, H, W]."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from vaelab.system.errors import DataError, SpecError

if TYPE_CHECKING:
    from PIL.Image import Image

FILTER = "LANCZOS"  # of Pillow. It averages over all pixels that become one, so smaller images show no false patterns
LONGEST_SIDE = 65_535  # pixels
ORIENTATION = 0x0112  # the EXIF tag of how a camera was held
# Pillow's mode of an image -> the mode to which it is converted, without loss
PLAIN = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB"}
# The same with --convert
CONVERTED = {**PLAIN, "La": "L", "RGBa": "RGB", "PA": "RGB", "RGBX": "RGB", "CMYK": "RGB"}
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")  # 16 bits of grey
PER_LEVEL = 257  # 65535 / 255: levels of 16 bits for each of 8


@dataclass(frozen=True)
class Resize:
    """A size to which images are resized.

    Arguments:
        height, width: in pixels.
        crop: whether to cut the image to the shape of that size first, around its centre, as Pillow's `ImageOps.fit`
            does. Otherwise it is stretched.
    """

    height: int
    width: int
    crop: bool = False

    def __str__(self) -> str:
        return f"{'crop:' * self.crop}{self.height}x{self.width}"


@dataclass(frozen=True)
class Conversion:
    """How images become levels.

    Arguments:
        resize: the size of the result; None to keep the size.
        grey: whether colours become grey.
        convert: whether images that are not opaque 8-bit grey or RGB are converted, and not refused. Transparent pixels
            are put on white, CMYK becomes RGB as Pillow does it, 16-bit grey is divided by 257 and rounded, and the
            first frame of several is read. In a folder with grey and RGB images, the grey ones become RGB.
    """

    resize: Resize | None = None
    grey: bool = False
    convert: bool = False


AS_STORED = Conversion()


@dataclass(frozen=True, eq=False)
class Converted:
    """One image after its conversion.

    Arguments:
        levels: uint8 [C, H, W]; C is 1 for grey and 3 for RGB.
        size: (height, width) before the conversion.
        changes: what was converted, in words: keys of `CHANGES`.
    """

    levels: np.ndarray
    size: tuple[int, int]
    changes: tuple[str, ...]


CHANGES: Mapping[str, str] = MappingProxyType(
    {
        "frames": "of several frames, of which the first is read",
        "deep": "grey of 16 bits, divided by 257 and rounded",
        "transparent": "transparent, put on white",
        "cmyk": "CMYK, made RGB",
        "grey": "in colour, made grey",
        "colour": "grey, made RGB",
    }
)


def parse_resize(text: str) -> Resize | None:
    """Read "HxW" or "crop:HxW"; None for "".

    Raises:
        SpecError: it is neither, or a side is 0 or too long.
    """
    if not text:
        return None
    found = re.fullmatch(r"(crop:)?([0-9]{1,5})x([0-9]{1,5})", text)
    if not found or not all(1 <= int(side) <= LONGEST_SIDE for side in found.groups()[1:]):
        raise SpecError(
            found=f"resize = {text!r}",
            expected=f"HEIGHTxWIDTH or crop:HEIGHTxWIDTH, each from 1 to {LONGEST_SIDE:,} pixels",
            do="write, for example, 32x32 or crop:32x32",
        )
    crop, height, width = found.groups()
    return Resize(int(height), int(width), bool(crop))


def convert_image(image: "Image", conversion: Conversion, what: str = "the image") -> np.ndarray:
    """Convert one image of Pillow to uint8 levels [C, H, W].

    The orientation that a camera recorded is applied. The order is: first frame, 8 bits, no transparency, grey or RGB,
    size.

    Arguments:
        what: names the image in errors.

    Raises:
        DataError: the image needs a conversion that `conversion` does not allow, or that does not exist.
    """
    return converted(image, conversion, what).levels


def converted(image: "Image", conversion: Conversion, what: str = "the image") -> Converted:
    """The same as `convert_image`, with what was changed."""
    is_gif, changes = image.format == "GIF", list[str]()
    if (frames := _frames(image, conversion)) > 1:
        if not conversion.convert:
            raise DataError(
                found=f"{what}: {frames} frames or pages",
                expected="one image in each file",
                do="use --convert, which reads the first, or save each frame as a separate file",
            )
        changes.append("frames")
    image.load()
    if image.getexif().get(ORIENTATION, 1) != 1:
        image = _upright(image)
    size = image.height, image.width
    if image.mode not in ("L", "RGB") or "transparency" in image.info:
        image = _on_white(_of_8_bits(image, conversion, what, changes), conversion, what, changes)
    # A GIF always has a palette. Pillow reads some palettes as grey; then images of one set would differ in channels.
    target = "RGB" if is_gif else CONVERTED[image.mode]
    if image.mode == "CMYK":
        changes.append("cmyk")
    return _levelled(image if image.mode == target else image.convert(target), conversion, size, changes)


def levelled(image: "Image", conversion: Conversion) -> Converted:
    """The same as `converted` for an upright image without transparency, of mode L or RGB, which is not a GIF."""
    return _levelled(image, conversion, (image.height, image.width), [])


def _levelled(image: "Image", conversion: Conversion, size: tuple[int, int], changes: list[str]) -> Converted:
    """Grey, if asked for, and resized."""
    if conversion.grey and image.mode == "RGB":
        changes.append("grey")
        image = image.convert("L")
    levels = np.asarray(_resized(image, conversion.resize) if conversion.resize else image)
    return Converted(levels[None] if levels.ndim == 2 else levels.transpose(2, 0, 1), size, tuple(changes))


def unknown_mode(what: str, mode: str, bits: int | str) -> DataError:
    """The error for an image of a mode that cannot be converted."""
    convertible = mode in CONVERTED or mode in DEEP
    return DataError(
        found=f"{what}: mode {mode} with {bits} bits per channel",
        expected="grey or RGB with 8 bits per channel",
        do="use --convert, which makes it so" if convertible else "convert it with an image program",
    )


def _frames(image: "Image", conversion: Conversion) -> int:
    """The number of frames or pages; with --convert only whether there are several: 1 or 2. They are not decoded."""
    if conversion.convert:
        return 1 + bool(getattr(image, "is_animated", False))
    return getattr(image, "n_frames", 1)


def _upright(image: "Image") -> "Image":
    """The image turned as the camera was held."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _of_8_bits(image: "Image", conversion: Conversion, what: str, changes: list[str]) -> "Image":
    """The image with 8 bits per channel, in a mode that can become grey or RGB."""
    from PIL import Image

    if image.mode in DEEP or (image.mode == "I" and image.format == "PPM"):  # whose levels Pillow scales to 65535
        if not conversion.convert:
            raise unknown_mode(what, "I;16", 16)
        if "transparency" in image.info:
            raise DataError(
                found=f"{what}: 16-bit grey with a transparent level",
                expected="opaque pixels, or 8 bits per channel",
                do="put it on a background with an image program",
            )
        changes.append("deep")
        deep = np.asarray(image).astype(np.int64)
        return Image.fromarray(((2 * deep + PER_LEVEL) // (2 * PER_LEVEL)).astype(np.uint8))
    if image.mode not in (CONVERTED if conversion.convert else PLAIN):
        raise unknown_mode(what, image.mode, {"I": 32, "F": 32}.get(image.mode, 8))
    return image


def _on_white(image: "Image", conversion: Conversion, what: str, changes: list[str]) -> "Image":
    """The image without transparent pixels."""
    from PIL import Image

    if not {"A", "a"} & {*image.getbands()} and "transparency" not in image.info:
        return image
    grey, image = CONVERTED[image.mode] == "L", image.convert("LA") if image.mode == "La" else image
    clear = image.convert("RGBA")
    if clear.getchannel("A").getextrema()[0] == 255:
        return clear.convert("RGB").convert("L") if grey else clear.convert("RGB")
    if not conversion.convert:
        raise DataError(
            found=f"{what}: transparent pixels",
            expected="an opaque image",
            do="use --convert, which puts it on white, or put it on a background with an image program",
        )
    changes.append("transparent")
    white = Image.new("RGBA", clear.size, "white")
    opaque = Image.alpha_composite(white, clear).convert("RGB")
    return opaque.getchannel("R") if grey else opaque


def _resized(image: "Image", resize: Resize) -> "Image":
    from PIL import Image, ImageOps

    if (image.height, image.width) == (resize.height, resize.width):
        return image
    size, lanczos = (resize.width, resize.height), Image.Resampling[FILTER]
    return ImageOps.fit(image, size, lanczos) if resize.crop else image.resize(size, lanczos)
