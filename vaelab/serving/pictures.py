"""Write images as PNG files: one for each, pairs, or a grid."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vaelab.serving.folder import new_folder
from vaelab.serving.table import Column, write_table
from vaelab.system.errors import DataError
from vaelab.system.files import make_folder, small, write_atomically

GAP = 2  # white pixels between two images
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
