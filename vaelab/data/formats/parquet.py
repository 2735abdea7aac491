"""Read image files in a column of Parquet tables: the layout of image data sets of Hugging Face. It needs pyarrow.

A row has a struct of `bytes` (the content of an image file) and `path`, or only bytes, and a label. The schema's
metadata "huggingface" may have the names of the classes.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.data.formats import options as file_options
from vaelab.data.formats.decode import Found
from vaelab.data.formats.extras import optional
from vaelab.data.formats.folder import split_of
from vaelab.data.formats.levels import whole
from vaelab.data.formats.picture import without_warnings
from vaelab.data.reading import AS_FOUND, Reading
from vaelab.system.errors import DataError, SpecError
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

DEFAULTS = {"image": ("image", "img"), "label": ("label", "labels")}  # names of the columns, if the user gives none
ROWS = 256  # rows that are read at a time
NAME_BYTES = 200  # memory for the name of a row
DAMAGED = (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError)  # what pyarrow raises


def read(where: str, reading: Reading = AS_FOUND) -> Contents:
    """Read one file, or the .parquet files in and below a folder.

    In a folder, the first word of a file's name (train-00000-of-00002.parquet), or the name of its folder, is its
    split.
    The options `image` and `label` name the columns. Images are converted as those of a folder (`formats.folder.read`).

    Raises:
        DataError: pyarrow is not installed; a file is missing or damaged; there is no such column; an image is missing
            or differs in size; or `formats.picture.picture` refuses one.
        SpecError: an option is wrong, or `reading` says where labels are: they are in a column.
    """
    if reading.labels is not None:
        raise SpecError(
            found=f"labels with parquet:{where}",
            expected="a column of labels, because rows are no files with names",
            do="leave it out, or name another column, as in parquet:FILE:label=NAME",
        )
    at, given = file_options.split(where, ("image", "label"))
    path = expanded(at)
    arrow = optional("pyarrow.parquet", "parquet")
    splits = _splits(path) if path.is_dir() else {"train": [path]}
    tables = {split: [_table(arrow, file) for file in files] for split, files in splits.items()}
    raws, names, others = dict[str, Raw](), dict[int, str](), list[str]()
    columns = dict[str, tuple[str, str | None]]()
    for split, (first, *_) in tables.items():
        image, label = (_column(splits[split][0], first, option, given.get(option)) for option in ("image", "label"))
        assert image is not None
        columns[split] = image, label
        names |= _class_names(first, label)
        others += [name for name in first.schema_arrow.names if name not in (image, label, *others)]
    found = Found(path, _row_names(path, splits, tables), reading.conversion, "/" if path.is_dir() else ", ")
    parts, start = dict[str, tuple[slice, np.ndarray | None]](), 0
    for split, files in splits.items():
        stop, labels = _read(found, start, files, tables[split], *columns[split])
        parts[split], start = (slice(start, stop), labels), stop
    if start < len(found.names) or not start:
        raise DataError(
            found=f"{path}: {start:,} of {len(found.names):,} rows",
            expected="one image or more",
            do="download the files again",
        )
    decoded = found.decoded()
    for split, (part, labels) in parts.items():
        raws[split] = raw(f"{path}, {split} images", decoded.images[part], labels)
    left_out = f"column{'s' * (len(others) > 1)} {', '.join(others)}" if others else ""
    said = decoded.said(f"parquet:{where}", reading.conversion)
    return Contents(raws["train"], raws.get("validation"), raws.get("test"), names, left_out, said)


def _splits(folder: Path) -> dict[str, list[Path]]:
    """The files of each split, in the order of their paths."""
    files = sorted(file for file in folder.rglob("*.parquet") if not file.name.startswith("."))
    splits = dict[str, list[Path]]()
    for file in files:
        split = split_of(re.split(r"[._-]", file.name)[0]) or (
            split_of(file.parent.name) if file.parent != folder else ""
        )
        splits.setdefault(split or "", []).append(file)
    if set(splits) == {""}:
        return {"train": files}
    if "train" not in splits or "" in splits:
        odd = splits.get("", files)[0].relative_to(folder) if splits else "(none)"
        raise DataError(
            found=f"{folder}: .parquet files of {' and '.join(filter(None, splits)) or 'no split'}, among them {odd}",
            expected="files named train-..., validation-... and test-..., with training images, or none of these names",
            do="move the files, or name one file",
        )
    return splits


def _table(arrow: Any, file: Path) -> "ParquetFile":
    try:
        return arrow.ParquetFile(plain(file))
    except DAMAGED as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> DataError:
    missing = isinstance(error, OSError) and not file.is_file()
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(
        found=f"{file}: {'no such file' if missing else f'damaged, cut short or not a Parquet file ({why})'}",
        expected="a complete Parquet file",
        do="check the path" if missing else "copy or download it again",
    )


def _column(file: Path, table: "ParquetFile", option: str, given: str | None) -> str | None:
    """The name of a column; None if there are no labels."""
    columns = table.schema_arrow.names
    found = next((name for name in ([given] if given else DEFAULTS[option]) if name in columns), None)
    if found is None and (given or option == "image"):
        raise DataError(
            found=f"{file}: no column {given or option}",
            expected=f"one of {', '.join(columns) or '(none)'}",
            do=f"name the column, as in {option}={columns[0] if columns else 'NAME'}",
        )
    return found


def _class_names(table: "ParquetFile", label: str | None) -> dict[int, str]:
    """The names of the classes, from the metadata; none if they are not there."""
    try:
        described = json.loads((table.schema_arrow.metadata or {})[b"huggingface"])
        names = described["info"]["features"][label]["names"]
        return {number: str(name) for number, name in enumerate(names)}
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}


def _row_names(path: Path, splits: Mapping[str, list[Path]], tables: Mapping[str, list["ParquetFile"]]) -> list[str]:
    """The name of each row in errors, relative to `path`, in the order of the splits and files."""
    pairs = [pair for split in splits for pair in zip(splits[split], tables[split], strict=True)]
    count = sum(table.metadata.num_rows for _, table in pairs)
    check_free(f"{path}: {count:,} rows", NAME_BYTES * count, "use fewer")
    inside = "{0}, row {1}" if path.is_dir() else "row {1}"
    return [
        inside.format(file.relative_to(path), row) for file, table in pairs for row in range(table.metadata.num_rows)
    ]


def _read(
    found: Found, start: int, files: list[Path], tables: list["ParquetFile"], image: str, label: str | None
) -> tuple[int, np.ndarray | None]:
    """Add the images of a split to `found`, from place `start` on; return the place after them, and their labels."""
    at, labels = start, list[np.ndarray]()
    with without_warnings():
        for file, table in zip(files, tables, strict=True):
            for content, numbers in _rows(file, table, image, label):
                found.read(at, content)
                at += 1
                labels += [] if numbers is None else [numbers]
    return at, np.concatenate(labels) if labels else None


def _rows(file: Path, table: "ParquetFile", image: str, label: str | None) -> Iterator[tuple[bytes, np.ndarray | None]]:
    """The content of the image file of each row, and its label as [1]."""
    largest = max((table.metadata.row_group(k).total_byte_size for k in range(table.num_row_groups)), default=0)
    check_free(f"{file}: a group of rows", 2 * largest, "write the file with smaller groups of rows")
    row = 0
    try:
        for batch in table.iter_batches(ROWS, columns=[image, *([label] if label else [])]):
            pictures = batch.column(image)
            if pictures.type.num_fields and pictures.type.get_field_index("bytes") >= 0:
                pictures = pictures.field("bytes")
            numbers = None if label is None else _labels(f"{file}, {label}", batch.column(label))
            for index, content in enumerate(pictures):
                content = content.as_py()
                if not isinstance(content, bytes):
                    kind = "no bytes" if content is None else f"a value of type {pictures.type}"
                    raise DataError(
                        found=f"{file}, row {row}: {kind} in column {image}",
                        expected="the content of an image file",
                        do="write the files into the table, or name another column, as in image=NAME",
                    )
                yield content, None if numbers is None else numbers[index : index + 1]
                row += 1
    except DAMAGED as error:
        raise _damaged(file, error) from error


def _labels(where: str, column: Any) -> np.ndarray:
    if column.null_count:
        raise DataError(
            found=f"{where}: rows without a label", expected="a label in each row", do="name another column"
        )
    return whole(where, np.asarray(column.to_numpy(zero_copy_only=False)))
