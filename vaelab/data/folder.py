"""A folder of PNG and JPEG images of one size."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaelab.data.dataset import Raw, raw
from vaelab.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg")


def read(where: str) -> tuple[Raw, None]:
    """All images in and below a directory, in the order of their paths, as they stand: grey (C = 1) or RGB (C = 3).

    The first-level sub-folders, if there are any, are the classes: the label is the folder's place in the alphabet.
    Palettes are resolved (to RGB), an opaque alpha channel is dropped, the orientation that a camera notes is applied;
    nothing is resized or clipped.

    Raises:
        DataError: no images, images that differ in size or colour, images only partly in sub-folders, or an image that
            is damaged, transparent, or of more than 8 bits per channel.
    """
    folder = Path(where).expanduser()
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise DataError(
            found=f"{folder}: {'no images' if folder.is_dir() else 'no such folder'}",
            expected=f"a folder with {', '.join(SUFFIXES)} files",
            do="check the path",
        )
    labels = _labels(folder, paths)
    first = picture(paths[0])
    images = np.empty((len(paths), *first.shape), np.uint8)
    for index, path in enumerate(paths):
        image = picture(path)
        if image.shape != first.shape:
            raise DataError(
                found=f"{path}: {_size(image)}, but {paths[0]}: {_size(first)}",
                expected="images of one size, all grey or all RGB",
                do="crop, resize or convert them, or keep each kind in its own folder",
            )
        images[index] = image
    return raw(folder, images, labels), None


def picture(path: Path) -> np.ndarray:
    """The uint8 [C, H, W] levels of one PNG or JPEG file.

    Raises:
        DataError: see `read`.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as opened:
            image = ImageOps.exif_transpose(opened)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            found=f"{path}: not a PNG or JPEG image, or damaged ({type(error).__name__})",
            expected="whole image files",
            do="replace or remove the file",
        ) from error
    if _bits(path) > 8 or image.mode not in _TARGET:
        raise DataError(
            found=f"{path}: mode {image.mode} with {_bits(path)} bits per channel",
            expected="grey or RGB with 8 bits per channel",
            do="convert it with an image program",
        )
    if not _opaque(image):
        raise DataError(
            found=f"{path}: transparent pixels",
            expected="an opaque image",
            do="lay it over a background with an image program",
        )
    levels = np.asarray(image.convert(_TARGET[image.mode]))
    return levels[None] if levels.ndim == 2 else levels.transpose(2, 0, 1)


# What Pillow calls the ways to store a pixel -> the one that it is read as, without loss.
_TARGET = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB"}


def _opaque(image: "Image") -> bool:
    if "A" not in image.mode and "transparency" not in image.info:
        return True
    return image.convert("RGBA").getchannel("A").getextrema()[0] == 255


def _bits(path: Path) -> int:
    """Bits per channel, from the header: Pillow reads 16-bit RGB as 8-bit without a word."""
    with path.open("rb") as file:
        header = file.read(25)
    return header[24] if header.startswith(b"\x89PNG") else 8


def _labels(folder: Path, paths: list[Path]) -> np.ndarray | None:
    classes = [parts[0] if len(parts := path.relative_to(folder).parts) > 1 else "" for path in paths]
    names = sorted(set(classes))
    if names == [""]:
        return None
    if "" in names:
        raise DataError(
            found=f"{folder}: images both in sub-folders and beside them ({paths[classes.index('')].name})",
            expected="every image in a sub-folder that is its class, or none",
            do="move the images",
        )
    return np.array([names.index(name) for name in classes])


def _size(image: np.ndarray) -> str:
    channels, height, width = image.shape
    return f"{height} x {width} {'RGB' if channels == 3 else 'grey'}"
