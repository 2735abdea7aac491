"""Labels of image files that do not come from folders: from a CSV file, or from the names of the files."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from vaelab.data.name_pattern import first_groups, parse_pattern
from vaelab.system.errors import DataError, SpecError
from vaelab.system.files import expanded, parsed

NAMED = 10  # number of files that an error names
SPARE_ROWS = 1_000  # number of rows of a CSV file without an image that are read for its error
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
        SpecError: it is neither, or the regular expression is too long, invalid or has no group.
    """
    if not text:
        return None
    kind, _, rest = text.partition(":")
    if kind == "csv" and rest:
        return _from_csv(rest)
    if kind != "name" or not rest:
        raise SpecError(found=f"labels = {text!r}", expected=USAGE, do="write it in that form")
    return FromName(parse_pattern(rest))


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
        DataError: an image has no label, the regular expression takes too long, the CSV file has a file that does not
            exist or cannot be read, or a column is missing.
    """
    if isinstance(labelling, FromCsv):
        return _of_csv(labelling, folder, names)
    found = first_groups(labelling.pattern, [name.rpartition("/")[2] for name in names])
    if without := [name for name, group in zip(names, found, strict=True) if not group]:
        raise DataError(
            found=f"{folder}: {len(without):,} of {len(names):,} names give no label: {_some(without)}",
            expected=f"names that begin as {labelling.pattern.pattern} says, with a text in its first group",
            do="change --labels, or move those files elsewhere",
        )
    return [group for group in found if group is not None]


def _of_csv(labelling: FromCsv, folder: Path, names: Sequence[str]) -> list[str]:
    path = expanded(labelling.path)
    beside = folder if folder.is_dir() else folder.parent
    if not path.exists() and (beside / path).exists():
        path = beside / path
    most = 2 * len(names) + SPARE_ROWS
    rows = parsed(
        path,
        lambda text: _rows(text, labelling, path, most),
        expected="a CSV file in UTF-8 with a header",
        do="write it again",
        error=DataError,
    )
    if len(rows) > most:
        raise DataError(
            found=f"{path}: more than {most:,} rows, for {len(names):,} images",
            expected="a row for each image, and an image for each row",
            do="remove the rows of other images",
        )
    labels, unknown = _matched(rows, path, names)
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


def _rows(text: str, labelling: FromCsv, path: Path, most: int) -> list[tuple[str, str]]:
    """File and label of the first rows that are not empty, one more than `most`; the other columns are not kept."""
    lines = filter(None, csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    wanted = (labelling.file, labelling.label)
    try:
        header, rows = next(lines, []), [*islice(lines, 1)]
        if missing := [column for column in wanted if not rows or column not in header]:
            raise DataError(
                found=f"{path}: no column {missing[0]!r}" + (f", but {_some(header)}" if rows else ": no rows"),
                expected="a column with the file and one with the label of each image",
                do=f"name them: --labels csv:{labelling.path}:file=COLUMN:label=COLUMN",
            )
        file, label = map(header.index, wanted)
        padding = [""] * len(header)
        return [((row + padding)[file], (row + padding)[label]) for row in islice(chain(rows, lines), most + 1)]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _matched(rows: Sequence[tuple[str, str]], path: Path, names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The label of each image that has a row, and the files of rows without an image."""
    known, by_name = {*names}, dict[str, list[str]]()
    for name in names:
        by_name.setdefault(name.rpartition("/")[2], []).append(name)
    labels, unknown = dict[str, str](), list[str]()
    for number, (file, label) in enumerate(rows, 2):
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
