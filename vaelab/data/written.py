"""Images of any source, written as one .npy file that `npy:` reads without loading it."""

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vaelab.data.dataset import Raw
from vaelab.data.reading import AS_FOUND, Reading
from vaelab.data.sources import contents_of, parse
from vaelab.data.stored import Images, blocks
from vaelab.system.errors import RunError, SpecError
from vaelab.system.files import as_run_error, exists, expanded, hold, opened, write_atomically


@dataclass(frozen=True)
class Written:
    """What `convert` wrote.

    Arguments:
        images: the file, uint8 [N, C, H, W].
        labels: the file of the labels, int64 [N]; None if the images have no labels.
        shape: [N, C, H, W].
        kept: images that an interrupted conversion had written already.
        left: what the source has and the files have not, in words.
    """

    images: Path
    labels: Path | None
    shape: tuple[int, ...]
    kept: int
    left: tuple[str, ...]


def convert(
    source: str,
    path: Path | str,
    root: Path | str | None = None,
    reading: Reading = AS_FOUND,
    split: str = "train",
    overwrite: bool = False,
) -> Written:
    """Write the images of one split of a source to `path`, and their labels beside it: images.npy, images.labels.npy.

    The levels are those of the source: no protocol is applied, and no images are held out. The images go to
    images.npy.part, in pieces. Images that an interrupted conversion left there are compared with the source and kept
    if they are equal. The file gets its name when it is complete, after the labels.

    Arguments:
        source, root, reading: as in `load_data`.
        split: "train", "validation" or "test", as the source has it.
        overwrite: whether files that are there already are replaced.

    Raises:
        SpecError: `path` does not end with .npy, the source does not have this split, or as `load_data`.
        DataError: as `load_data`.
        RunError: a file exists and is not to be replaced, another process writes it, or it cannot be written.
    """
    path = expanded(path)
    if path.suffix != ".npy":
        raise SpecError(found=f"the path {path}", expected="a name that ends with .npy", do="choose such a name")
    beside = path.with_suffix(".labels.npy")
    for file in (path, beside):
        if os.path.lexists(file) and not overwrite:
            raise RunError(found=f"{file} exists", expected="a path that does not exist yet", do="add --overwrite")
    parsed = parse(source)
    _, contents = contents_of(parsed, root, reading)
    held: dict[str, Raw | None] = {"train": contents.train, "validation": contents.validation, "test": contents.test}
    raw = held[split]
    if raw is None:
        own = [name for name, one in held.items() if one is not None]
        raise SpecError(
            found=f"split {split} of {parsed.text}, which it does not have",
            expected=f"one of {', '.join(own)}",
            do="choose another --split",
        )
    left = [f"its {len(one.images):,} {name} images" for name, one in held.items() if one and name != split]
    left += ["its factors"] if raw.factors is not None else []
    left += ["the names of its classes"] if raw.labels is not None and contents.class_names else []
    part = path.with_name(f"{path.name}.part")
    try:
        with os.fdopen(opened(part, os.O_RDWR | os.O_CREAT), "r+b") as file:
            _lock(file, part)
            kept = _fill(file, raw.images)
            _write_labels(beside, raw.labels)
            if os.path.lexists(path) and not overwrite:
                raise exists(path)
            os.replace(part, path)
    except OSError as error:
        raise as_run_error(error, part) from error
    return Written(path, None if raw.labels is None else beside, raw.images.shape, kept, tuple(left))


def _fill(file: BinaryIO, images: Images) -> int:
    """Write the images to `file`, after those that it has already, and return the number of these."""
    header, kept, same = _header(images.shape), 0, True
    if file.read(len(header)) != header:
        file.seek(0)
        file.truncate()
        file.write(header)
    for block in blocks(images):
        start = file.tell()
        content = np.ascontiguousarray(block).data.cast("B")
        if same and file.read(len(content)) == content:
            kept += len(block)
            continue
        if same:
            same = False
            file.seek(start)
            file.truncate()
        file.write(content)
    file.truncate()
    file.flush()
    os.fsync(file.fileno())
    return kept


def _write_labels(path: Path, labels: np.ndarray | None) -> None:
    """Write the labels, or delete those of a file that is replaced."""
    if labels is None:
        with suppress(FileNotFoundError):
            path.unlink()
        return
    content = io.BytesIO()
    np.save(content, labels)
    write_atomically(path, content.getvalue())


def _header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        hold(file.fileno())
    except BlockingIOError as error:
        raise RunError(
            found=f"another process writes {path}", expected="one writer at a time", do="wait until it ends, or stop it"
        ) from error
