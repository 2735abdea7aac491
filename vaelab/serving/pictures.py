"""Write images: a PNG file for each in a folder, a grid of all, or arrays."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vaelab.serving.folder import check_new_folder, new_folder
from vaelab.serving.table import Column, check_new, write_table
from vaelab.system.errors import DataError, SpecError
from vaelab.system.files import make_folder, small, write_atomically

FORMATS = (".png", ".npz")  # of `write_pictures`, besides folders
GAP = 2  # white pixels between two images
TILE = 64  # pixels: images in a grid are enlarged to at least this height and width
LARGEST = 4096  # pixels: about the side of a grid, above which its images are enlarged less
MOST_SCALE = 64
LONGEST = 160  # bytes of a file's name
TABLE = "images.csv"
FIRST_COLUMNS = ["file", "name"]  # of images.csv


def foreign(folder: Path) -> str:
    """What a folder has that `write_each` does not write, in words; "" for nothing.

    A picture is that of vaelab if images.csv names it: other pictures may be the user's only ones.
    """
    there = sorted(folder.iterdir())
    if not there:
        return ""
    try:
        lines = csv.reader(io.StringIO(small(folder / TABLE).read_text(encoding="utf-8"), newline=""))
        named = {line[0] for line in lines if line} if next(lines, [])[:2] == FIRST_COLUMNS else None
    except (OSError, ValueError, csv.Error):
        named = None
    if named is None:
        return f"{there[0].name}, and no {TABLE} of vaelab that names it"
    others = (path for path in there if path.name not in (TABLE, *named) or path.is_symlink() or path.is_dir())
    return next((f"{path.name}, which vaelab did not write" for path in others), "")


def check_pictures(path: Path | str, overwrite: bool, scale: int | None = None) -> Path:
    """Return `path` if `write_pictures` may write there.

    An ending is a format, except one of digits only, such as that of a folder `model-0.5`.

    Raises:
        SpecError: another ending, or a scale that is not possible.
        RunError: it exists, unless `overwrite` may replace it.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind[1:] and not kind[1:].isdecimal() and kind not in FORMATS:
        raise SpecError(
            found=f"output {path}",
            expected=f"a file that ends with {' or '.join(FORMATS)}, or a folder, whose name has no such ending",
            do="choose one of these",
        )
    if scale is not None and not (1 <= scale <= MOST_SCALE and kind != ".npz"):
        found = f"scale = {scale}" + " with .npz, which has no pictures" * (kind == ".npz")
        do = "change it" if kind != ".npz" else "leave it out"
        raise SpecError(found=found, expected=f"a whole factor of pictures from 1 to {MOST_SCALE}", do=do)
    if kind in FORMATS:
        check_new(path, overwrite)
    else:
        check_new_folder(path, foreign, overwrite)
    return path


def write_pictures(
    path: Path,
    images: Sequence[np.ndarray],
    columns: Mapping[str, Column],
    arrays: Mapping[str, Column],
    overwrite: bool = False,
    scale: int | None = None,
) -> None:
    """Write images in the format of the suffix: .png, one grid of all; .npz, arrays; or a folder with a PNG of each.

    Arguments:
        path: as `check_pictures` returned it.
        images: levels uint8 [N, C, H, W]; several such arrays are shown beside each other.
        columns: the table of the folder, see `write_each`.
        arrays: the arrays of .npz.
        scale: the factor by which pictures are enlarged, each pixel to a square. None: 1 in a folder; in a grid, at
            least `TILE` pixels for an image, unless the grid would be larger than `LARGEST`.

    Raises:
        RunError: the file or folder exists and `overwrite` does not replace it, or it cannot be written.
        DataError: a picture cannot show so many channels.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        write_table(path, arrays, overwrite)
    elif kind == ".png":
        write_grid(path, beside([enlarged(of, scale or grid_scale(images)) for of in images]), overwrite)
    else:
        write_each(path, beside([enlarged(of, scale or 1) for of in images]), columns, overwrite)


def grid_scale(images: Sequence[np.ndarray]) -> int:
    """The factor by which the images of a grid are enlarged; see `write_pictures`."""
    count, _, height, width = images[0].shape
    side = math.sqrt(len(images) * count * height * width)
    return max(1, min(math.ceil(TILE / min(height, width)), int(LARGEST / side)))


def enlarged(images: np.ndarray, scale: int) -> np.ndarray:
    """Levels [N, C, H, W] with each pixel as a square of `scale` x `scale`."""
    return images if scale == 1 else images.repeat(scale, 2).repeat(scale, 3)


def write_each(folder: Path, images: np.ndarray, columns: Mapping[str, Column], overwrite: bool = False) -> None:
    """Write each of the levels uint8 [N, C, H, W] as a picture, and `columns` as images.csv.

    Arguments:
        columns: a value for each image; the first is its name, from which the name of its file is made.
        overwrite: whether to replace a folder that this function wrote.

    Raises:
        RunError: the folder exists, or cannot be written; nothing is left of it.
    """
    names = file_names(next(iter(columns.values())))
    with new_folder(folder, foreign, overwrite) as at:
        for name, image in zip(names, images, strict=True):
            (at / name).write_bytes(png(image))  # the folder appears as a whole
        write_table(at / TABLE, {FIRST_COLUMNS[0]: names, **columns})


def beside(images: Sequence[np.ndarray]) -> np.ndarray:
    """Levels [N, C, H, W] of several kinds, those of an image beside each other with white between them."""
    gap = np.full((*images[0].shape[:3], GAP), 255, np.uint8)
    parts = [part for of in images for part in (gap, of)]
    return np.concatenate(parts[1:], axis=3)


def grid(images: np.ndarray) -> np.ndarray:
    """Levels uint8 [N, C, H, W] as one image, row by row on white, about as wide as high: [C, ...]."""
    count, channels, height, width = images.shape
    columns = int(np.ceil(np.sqrt(count * height / width)))
    rows = -(-count // columns)
    cells = np.full((rows * columns, channels, height + GAP, width + GAP), 255, np.uint8)
    cells[:count, :, :height, :width] = images
    table = cells.reshape(rows, columns, channels, height + GAP, width + GAP).transpose(2, 0, 3, 1, 4)
    whole = table.reshape(channels, rows * (height + GAP), columns * (width + GAP))
    return whole[:, :-GAP, :-GAP]


def write_grid(path: Path, images: np.ndarray, overwrite: bool = False) -> None:
    """Write levels uint8 [N, C, H, W] as one picture; RunError if there is a file that is not to be replaced."""
    make_folder(path.absolute().parent)
    write_atomically(path, png(grid(images)), replace=overwrite)


def png(image: np.ndarray) -> bytes:
    """Levels uint8 [C, H, W] as a PNG file.

    Raises:
        DataError: the image has neither 1 nor 3 channels.
    """
    from PIL import Image

    if len(image) not in (1, 3):
        raise DataError(
            found=f"images of {len(image)} channels",
            expected="1 channel (grey) or 3 (colour), which a PNG can show",
            do="write .npz",
        )
    file = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)).save(file, "PNG")
    return file.getvalue()


def file_names(names: Column) -> list[str]:
    """A different name of a PNG file for each name, which may be a path."""
    taken, files = set[str](), list[str]()
    for name in map(str, names):
        path = Path(name)
        base = "_".join(part for part in (*path.parts[:-1], path.stem) if part not in ("/", "..", "."))
        base = "".join(c if c.isalnum() or c in "-_." else "_" for c in base).lstrip(".")
        base = base.encode()[-LONGEST:].decode(errors="ignore") or "image"
        file, number = f"{base}.png", 1
        while file.lower() in taken:
            number += 1
            file = f"{base}-{number}.png"
        taken.add(file.lower())
        files.append(file)
    return files


def numbered(what: str, count: int) -> Sequence[str]:
    """Names of `count` pictures: what-001, what-002, ..."""
    return [f"{what}-{i + 1:0{len(str(count))}}" for i in range(count)]
