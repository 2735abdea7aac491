"""Read image files in a column of Parquet tables: the layout of image data sets of Hugging Face. It needs pyarrow.

A row has a struct of `bytes` (the content of an image file) and `path`, or only bytes, and a label. The schema's
metadata "huggingface" may have the names of the classes.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.data.formats import options as file_options
from vaelab.data.formats.extras import optional
from vaelab.data.formats.folder import split_of
from vaelab.data.formats.levels import whole
from vaelab.data.formats.members import decoder
from vaelab.data.formats.picture import size
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

DEFAULTS = {"image": ("image", "img"), "label": ("label", "labels")}  # names of the columns, if the user gives none
ROWS = 256  # rows that are read at a time
DAMAGED = (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError)  # what pyarrow raises


def read(where: str) -> Contents:
    """Read one file, or the .parquet files in and below a folder.

    In a folder, the first word of a file's name (train-00000-of-00002.parquet), or the name of its folder, is its
    split.
    The options `image` and `label` name the columns.

    Raises:
        DataError: pyarrow is not installed; a file is missing or damaged; there is no such column; an image is missing
            or differs in size; or `formats.picture.picture` refuses one.
        SpecError: an option is wrong.
    """
    at, given = file_options.split(where, ("image", "label"))
    path = expanded(at)
    arrow = optional("pyarrow.parquet", "parquet")
    splits = _splits(path) if path.is_dir() else {"train": [path]}
    first, raws, names, others = None, dict[str, Raw](), dict[int, str](), list[str]()
    for split, files in splits.items():
        tables = [_table(arrow, file) for file in files]
        image, label = (_column(files[0], tables[0], option, given.get(option)) for option in ("image", "label"))
        assert image is not None
        names |= _class_names(tables[0], label)
        others += [name for name in tables[0].schema_arrow.names if name not in (image, label, *others)]
        images, labels, first = _images(path, files, tables, image, label, first)
        raws[split] = raw(f"{path}, {split} images", images, labels)
    left_out = f"column{'s' * (len(others) > 1)} {', '.join(others)}" if others else ""
    return Contents(raws["train"], raws.get("validation"), raws.get("test"), names, left_out)


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


def _images(
    path: Path,
    files: list[Path],
    tables: list["ParquetFile"],
    image: str,
    label: str | None,
    first: tuple[str, np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, np.ndarray]]:
    """The images [N, C, H, W] and labels of a split; also the first image of all, which the others are like."""
    count = sum(table.metadata.num_rows for table in tables)
    images, labels, at = np.empty((0, 1, 1, 1), np.uint8), list[np.ndarray](), 0
    with decoder() as decode:
        for file, table in zip(files, tables, strict=True):
            for row, content, numbers in _rows(file, table, image, label):
                name = f"{file}, row {row}"
                decoded = decode(content, Path(name))
                first = first or (name, decoded)
                if at == 0:
                    check_free(f"{path}: {count:,} images of {size(decoded)}", count * decoded.nbytes, "use fewer")
                    images = np.empty((count, *decoded.shape), np.uint8)
                if decoded.shape != first[1].shape:
                    raise DataError(
                        found=f"{name}: {size(decoded)}, but {first[0]}: {size(first[1])}",
                        expected="images of one size, all grey or all RGB",
                        do="resize or convert them",
                    )
                images[at], at = decoded, at + 1
                labels += [numbers] if numbers is not None else []
    if first is None or at < count:
        raise DataError(
            found=f"{path}: {at:,} of {count:,} rows", expected="one image or more", do="download the files again"
        )
    return images, np.concatenate(labels) if labels else None, first


def _rows(
    file: Path, table: "ParquetFile", image: str, label: str | None
) -> Iterator[tuple[int, bytes, np.ndarray | None]]:
    """The number of each row, the content of its image file, and its label as [1]."""
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
                yield row, content, None if numbers is None else numbers[index : index + 1]
                row += 1
    except DAMAGED as error:
        raise _damaged(file, error) from error


def _labels(where: str, column: Any) -> np.ndarray:
    if column.null_count:
        raise DataError(
            found=f"{where}: rows without a label", expected="a label in each row", do="name another column"
        )
    return whole(where, np.asarray(column.to_numpy(zero_copy_only=False)))
