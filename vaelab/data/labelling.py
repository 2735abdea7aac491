"""Labels of image files that do not come from folders: from a CSV file, or from the names of the files."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaelab.system.errors import DataError, SpecError
from vaelab.system.files import expanded, parsed

NAMED = 10  # number of files that an error names
USAGE = "csv:FILE[:file=COLUMN:label=COLUMN] or name:REGEX"


@dataclass(frozen=True)
class FromCsv:
    """Labels from a CSV file with a header.

    Arguments:
        path: the file. A relative path begins in the current folder, or else in the folder of the images or
            of their archive.
        file: the column with the path of each image, relative to the folder of the images; the name alone is enough if
            only one image has it.
        label: the column with the labels.
    """

    path: str
    file: str = "file"
    label: str = "label"


@dataclass(frozen=True)
class FromName:
    """Labels from the name of each file: the first group of a regular expression, matched at the name's beginning."""

    pattern: re.Pattern[str]


Labelling = FromCsv | FromName


def parse_labels(text: str) -> Labelling | None:
    """Read "csv:FILE", with ":file=COLUMN" and ":label=COLUMN" behind it if needed, or "name:REGEX"; None for "".

    Raises:
        SpecError: it is neither, or the regular expression is invalid or has no group.
    """
    if not text:
        return None
    kind, _, rest = text.partition(":")
    if kind == "csv" and rest:
        return _from_csv(rest)
    if kind != "name" or not rest:
        raise SpecError(found=f"labels = {text!r}", expected=USAGE, do="write it in that form")
    try:
        pattern = re.compile(rest)
    except re.error as error:
        raise SpecError(
            found=f"labels = {text!r} ({error})", expected="a regular expression after name:", do="correct it"
        ) from error
    if not pattern.groups:
        raise SpecError(
            found=f"labels = {text!r}, without a group",
            expected="a group in brackets, which is the class",
            do=r"write, for example, 'name:(\d+)_.*'",
        )
    return FromName(pattern)


def _from_csv(text: str) -> FromCsv:
    path, *options = re.split(":(?=file=|label=)", text)
    columns = dict[str, str]()
    for option in options:
        key, _, column = option.partition("=")
        if not column or key in columns:
            found = f"labels = {'csv:' + text!r}"
            raise SpecError(found=found, expected=USAGE, do="name each column once")
        columns[key] = column
    return FromCsv(path, **columns)


def class_names(labelling: Labelling, folder: Path, names: Sequence[str]) -> list[str]:
    """The name of the class of each image.

    Arguments:
        folder: the folder of the images, or their archive.
        names: their paths in it, with "/" between folders.

    Raises:
        DataError: an image has no label, the CSV file has a file that does not exist or cannot be read, or a column is
            missing.
    """
    if isinstance(labelling, FromCsv):
        return _of_csv(labelling, folder, names)
    found = {name: labelling.pattern.match(name.rpartition("/")[2]) for name in names}
    if without := [name for name, match in found.items() if match is None or not match[1]]:
        raise DataError(
            found=f"{folder}: {len(without):,} of {len(names):,} names give no label: {_some(without)}",
            expected=f"names that begin as {labelling.pattern.pattern} says, with a text in its first group",
            do="change --labels, or move those files elsewhere",
        )
    return [match[1] for match in found.values() if match is not None]


def _of_csv(labelling: FromCsv, folder: Path, names: Sequence[str]) -> list[str]:
    path = expanded(labelling.path)
    beside = folder if folder.is_dir() else folder.parent
    if not path.exists() and (beside / path).exists():
        path = beside / path
    rows = parsed(
        path,
        _rows,
        expected="a CSV file in UTF-8 with a header",
        do="write it again",
        error=DataError,
    )
    columns = [column for column in (rows[0] if rows else {}) if column is not None]
    for column in (labelling.file, labelling.label):
        if column not in columns:
            raise DataError(
                found=f"{path}: no column {column!r}" + (f", but {', '.join(columns)}" if rows else ": no rows"),
                expected="a column with the file and one with the label of each image",
                do=f"name them: --labels csv:{labelling.path}:file=COLUMN:label=COLUMN",
            )
    labels, unknown = _matched(rows, labelling, path, names)
    without = [name for name in names if name not in labels]
    if unknown or without:
        sides = [
            f"{len(files):,} {words}: {_some(files)}"
            for files, words in ((unknown, f"of its files are not in {folder}"), (without, "images have no row"))
            if files
        ]
        raise DataError(
            found=f"{path}: {', and '.join(sides)}",
            expected="a row for each image, and an image for each row",
            do="correct the CSV file, or move those images elsewhere",
        )
    return [labels[name] for name in names]


def _rows(text: str) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _matched(
    rows: Sequence[Mapping[str, str]], labelling: FromCsv, path: Path, names: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """The label of each image that has a row, and the files of rows without an image."""
    known, by_name = {*names}, dict[str, list[str]]()
    for name in names:
        by_name.setdefault(name.rpartition("/")[2], []).append(name)
    labels, unknown = dict[str, str](), list[str]()
    for number, row in enumerate(rows, 2):
        file, label = (row[column] or "" for column in (labelling.file, labelling.label))
        file = file.removeprefix("./")
        same = [file] if file in known else by_name.get(file, [])
        if not same:
            unknown.append(file)
        elif len(same) > 1 or same[0] in labels or not label:
            why = f"is {' and '.join(same[:2])}" if len(same) > 1 else "has no label" if not label else "is named twice"
            raise DataError(
                found=f"{path}, row {number}: {file} {why}",
                expected="one row with a label for each image, named by its path in the folder of images",
                do="correct that row",
            )
        else:
            labels[same[0]] = label
    return labels, unknown


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f", and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
