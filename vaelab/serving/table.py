"""Write rows to a file whose format is its suffix: .npz, .npy, .csv or .parquet."""

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vaelab.system.errors import SpecError
from vaelab.system.files import exists, make_folder, new_file

GROUP = 10_000  # rows of a group of a Parquet file
Column = np.ndarray | Sequence[str]  # a value for each row: [N, ...], or text


def check_output(path: Path | str, suffixes: Sequence[str], overwrite: bool) -> Path:
    """Return `path` if it may be written.

    Raises:
        SpecError: its suffix is another.
        RunError: it exists, and `overwrite` is not set.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise SpecError(
            found=f"output {path}",
            expected=f"a file that ends with {', '.join(suffixes)}",
            do="choose one of these formats",
        )
    check_new(path, overwrite)
    return path


def check_new(path: Path, overwrite: bool) -> None:
    """Raise RunError if `path` exists and `overwrite` is not set."""
    if (path.exists() or path.is_symlink()) and not overwrite:
        raise exists(path)


def row_names(names: Sequence[str], label_names: Sequence[str], count: int) -> dict[str, Column]:
    """The first columns of a table of `count` images: the name of each and, if there is one, of its class.

    Without names, these are the places of the images, counted from 0.
    """
    named: dict[str, Column] = {"name": names or [str(i) for i in range(count)]}
    return named | ({"label": label_names} if label_names else {})


def write_table(path: Path, columns: Mapping[str, Column], overwrite: bool = False) -> None:
    """Write columns with a value for each row.

    .npz holds each column as an array, .npy only the first column that is an array. In .csv and .parquet an array with
    several numbers for a row becomes as many columns, NAME_1, NAME_2, ... The file is written part by part, without a
    copy of it in memory.

    Arguments:
        overwrite: whether to replace a file at `path`.

    Raises:
        SpecError: another suffix, or .parquet without pyarrow.
        RunError: the file exists, or cannot be written; nothing is left of it.
    """
    kind = path.suffix.lower()
    if kind not in WRITERS:
        raise SpecError(found=f"suffix {kind!r}", expected=f"one of {', '.join(WRITERS)}", do="choose one of these")
    make_folder(path.parent)
    with new_file(path, replace=overwrite) as file:
        WRITERS[kind](file, columns)


def _npz(file: BinaryIO, columns: Mapping[str, Column]) -> None:
    arrays = {name: column if isinstance(column, np.ndarray) else np.array(column) for name, column in columns.items()}
    np.savez(file, allow_pickle=False, **arrays)  # one array after another


def _npy(file: BinaryIO, columns: Mapping[str, Column]) -> None:
    array = np.ascontiguousarray(next(column for column in columns.values() if isinstance(column, np.ndarray)))
    # np.save writes to the descriptor of a file, and does not say why that failed
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data)


def flat_columns(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Columns with one value for each row: an array [N, ...] becomes as many as it has numbers for a row."""
    flat: dict[str, Column] = {}
    for name, column in columns.items():
        if not isinstance(column, np.ndarray) or column.ndim == 1:
            flat[name] = column
            continue
        each = column.reshape(len(column), -1)
        flat |= {f"{name}_{k + 1}": each[:, k] for k in range(each.shape[1])}
    return flat


def _csv(file: BinaryIO, columns: Mapping[str, Column]) -> None:
    flat, text = flat_columns(columns), io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    written = csv.writer(text, lineterminator="\n")
    written.writerow(flat)
    written.writerows(zip(*(map(_cell, column) for column in flat.values()), strict=True))  # row by row
    text.detach()


def _cell(value: object) -> str:
    """The shortest text that gives the same number back; nothing for NaN, which is a number that there is not."""
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else str(value)
    return str(value)


def _parquet(file: BinaryIO, columns: Mapping[str, Column]) -> None:
    try:
        import pyarrow as arrow  # pyright: ignore[reportMissingImports]
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SpecError(
            found="a .parquet file without pyarrow",
            expected="this package",
            do="run `pip install pyarrow`, or write .csv",
        ) from error
    flat = flat_columns(columns)
    groups = (
        arrow.table({name: arrow.array(column[start : start + GROUP]) for name, column in flat.items()})
        for start in range(0, len(next(iter(flat.values()))), GROUP)
    )
    first = next(groups)
    with parquet.ParquetWriter(file, first.schema) as written:
        for group in chain([first], groups):
            written.write_table(group)


WRITERS = {".npz": _npz, ".npy": _npy, ".csv": _csv, ".parquet": _parquet}
SUFFIXES = tuple(WRITERS)
