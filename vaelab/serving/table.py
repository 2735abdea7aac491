"""Write rows to a file whose format is its suffix: .npz, .npy, .csv or .parquet."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vaelab.system.errors import SpecError
from vaelab.system.files import exists, make_folder, write_atomically

SUFFIXES = (".npz", ".npy", ".csv", ".parquet")
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
    several numbers for a row becomes as many columns, NAME_1, NAME_2, ...

    Arguments:
        overwrite: whether to replace a file at `path`.

    Raises:
        SpecError: another suffix, or .parquet without pyarrow.
        RunError: the file exists, or cannot be written; nothing is left of it.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        content = _npz(columns)
    elif kind == ".npy":
        content = _npy(next(column for column in columns.values() if isinstance(column, np.ndarray)))
    elif kind == ".csv":
        content = _csv(columns)
    elif kind == ".parquet":
        content = _parquet(columns)
    else:
        raise SpecError(found=f"suffix {kind!r}", expected=f"one of {', '.join(SUFFIXES)}", do="choose one of these")
    make_folder(path.parent)
    write_atomically(path, content, replace=overwrite)


def _npz(columns: Mapping[str, Column]) -> memoryview:
    file = io.BytesIO()
    arrays = {name: column if isinstance(column, np.ndarray) else np.array(column) for name, column in columns.items()}
    np.savez(file, allow_pickle=False, **arrays)
    return file.getbuffer()  # without a copy


def _npy(array: np.ndarray) -> memoryview:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getbuffer()


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


def _csv(columns: Mapping[str, Column]) -> bytes:
    flat, text = flat_columns(columns), io.StringIO()
    written = csv.writer(text, lineterminator="\n")
    written.writerow(flat)
    shown = [[_cell(value) for value in column] for column in flat.values()]
    written.writerows(zip(*shown, strict=True))
    return text.getvalue().encode()


def _cell(value: object) -> str:
    """The shortest text that gives the same number back; nothing for NaN, which is a number that there is not."""
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else str(value)
    return str(value)


def _parquet(columns: Mapping[str, Column]) -> memoryview:
    try:
        import pyarrow as arrow  # pyright: ignore[reportMissingImports]
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SpecError(
            found="a .parquet file without pyarrow",
            expected="this package",
            do="run `pip install pyarrow`, or write .csv",
        ) from error
    arrays = {name: arrow.array(column) for name, column in flat_columns(columns).items()}
    file = io.BytesIO()
    parquet.write_table(arrow.table(arrays), file)
    return file.getbuffer()
