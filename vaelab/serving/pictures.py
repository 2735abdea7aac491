"""Write images as PNG files: one for each, pairs, or a grid."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vaelab.serving.folder import new_folder
from vaelab.serving.table import Column, check_new, write_table
from vaelab.system.errors import DataError, RunError
from vaelab.system.files import make_folder, write_atomically

GAP = 2  # white pixels between two images
LONGEST = 80  # characters of a file's name
OURS = (".png", ".csv")  # a folder with other files is not replaced


def check_folder(folder: Path, overwrite: bool) -> None:
    """Raise RunError if `folder` exists, unless `overwrite` is set and it has only what vaelab writes."""
    check_new(folder, overwrite)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RunError(found=f"{folder} is a file or a link", expected="a new folder", do="choose another --out")
    if folder.is_dir() and (other := next((p for p in folder.iterdir() if p.suffix not in OURS or p.is_dir()), None)):
        found = f"{folder} contains {other.name}"
        raise RunError(found=found, expected="a folder with pictures and tables only", do="choose another --out")


def write_each(folder: Path, images: np.ndarray, columns: Mapping[str, Column]) -> None:
    """Write each of the levels uint8 [N, C, H, W] as a picture, and `columns` as images.csv.

    Arguments:
        columns: a value for each image; the first is its name, from which the name of its file is made.
    """
    names = file_names(next(iter(columns.values())))
    with new_folder(folder, folder.exists()) as at:
        for name, image in zip(names, images, strict=True):
            (at / name).write_bytes(png(image))  # the folder appears as a whole
        write_table(at / "images.csv", {"file": names, **columns})


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Pairs of levels [N, C, H, W] with white between them, [N, C, H, 2 W + GAP]."""
    gap = np.full((*left.shape[:3], GAP), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=3)


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


def write_grid(path: Path, images: np.ndarray) -> None:
    """Write levels uint8 [N, C, H, W] as one picture."""
    make_folder(path.absolute().parent)
    write_atomically(path, png(grid(images)))


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
        base = "".join(c if c.isalnum() or c in "-_." else "_" for c in base).lstrip(".")[-LONGEST:] or "image"
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
