"""Sources of images: what the user writes, the search for their files, and their division into splits."""

import inspect
import os
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from vaelab.data.dataset import Contents, Dataset, Raw, Splits
from vaelab.data.formats import options as file_options
from vaelab.data.protocol import protocol as find_protocol
from vaelab.data.protocol import with_protocol
from vaelab.data.reading import AS_FOUND, TEST_SHARE, Reading
from vaelab.data.source_table import SOURCES, SourceEntry
from vaelab.data.splitting import held_out, split_off, validation_count
from vaelab.parts.contracts import Source
from vaelab.parts.names import make
from vaelab.parts.trust import modules_in
from vaelab.system.errors import DataError, SpecError, VaelabError, in_one_line
from vaelab.system.files import as_argument, expanded
from vaelab.system.private import user_cache

# Two runs are comparable only if these are the same in both, whatever their seeds: the test images that are held out
# if a source has no test images of its own, and the noise of `binary-static`.
FIXED_SEED = 0
KIND = "data source"  # the kind of part, in errors
ARRAY = "array"  # array:DIGEST names images that were given in Python; see `vaelab.data.in_hand`


class ParsedSource(NamedTuple):
    """A source as the user names it, read.

    Arguments:
        name: its name.
        entry: its entry in `SOURCES`.
        argument: "" if it takes none.
        said: what the user should know if the name can mean two things, or is short for another; "" for nothing.
    """

    name: str
    entry: SourceEntry
    argument: str
    said: str = ""

    @property
    def text(self) -> str:
        """NAME or NAME:ARGUMENT, as the user writes it."""
        return f"{self.name}:{self.argument}" if self.argument else self.name


def load_data(
    source: str | ParsedSource,
    root: Path | str | None = None,
    validation: float = 0.1,
    seed: int = 0,
    protocol: str | None = None,
    reading: Reading = AS_FOUND,
) -> Splits:
    """Read a source and divide it into training, validation and test images.

    The source's own validation and test images are used if it has them. If a source has no test images, some of its
    training images become the test split: `reading.test`, by default a tenth. These images do not depend on the seed,
    and neither does the noise of `binary-static`.

    Arguments:
        source: a name of `SOURCES`, or name:ARGUMENT ("mnist", "idx:fashion", "folder:faces"), or your own source as
            package.module:Name with its options; or a source that is already parsed.
        root: the data directory: the files of a named source are in ROOT/mnist/...; None for $VAELAB_DATA, then the
            cache.
        validation: 0 for none; below 1, a share of the training images; otherwise a number of images. A source with
            its own validation images uses those instead, unless this is 0.
        seed: determines which training images become validation images.
        protocol: the name of the protocol; None for the default of the source.
        reading: how image files are converted and labelled, and how images are held out.

    Raises:
        SpecError: the source or protocol is unknown, the held-out images leave no training images, or the source cannot
            be read as `reading` says.
        DataError: a file is missing, damaged, or of another shape; or your own source fails.
    """
    source = parse(source) if isinstance(source, str) else source
    chosen = find_protocol(source.entry.protocol if protocol is None else protocol).name
    splits = read(source, root, reading)
    if splits.validation is None:
        count, train, held = validation_count(len(splits.train), validation), splits.train, None
        if count:
            train, held = split_off(train, count, seed, "validation", reading.stratify)
        return with_protocol(replace(splits, train=train, validation=held), chosen, FIXED_SEED)
    own = f"the {len(splits.validation):,} validation images of {source.text}"
    if validation:
        said = f"validation: {own}; no training images are held out"
        return with_protocol(replace(splits, said=(*splits.said, said)), chosen, FIXED_SEED)
    said = f"--validation 0: {own} are not used"
    return with_protocol(replace(splits, validation=None, said=(*splits.said, said)), chosen, FIXED_SEED)


def read(source: str | ParsedSource, root: Path | str | None = None, reading: Reading = AS_FOUND) -> Splits:
    """Read a source: its training, validation and test images. `reading.test` become the test split if it has none.

    `validation` is None if the source has no validation images of its own. The levels are as stored: no protocol is
    applied; `protocol` of the result is only the default name.

    Raises:
        SpecError, DataError: as `load_data`.
    """
    source = parse(source) if isinstance(source, str) else source
    entry, (where, contents) = source.entry, contents_of(source, root, reading)
    train, validation, test = (
        None if held is None else _split(source.text, split, held, entry.protocol, contents)
        for split, held in (
            ("train", contents.train), ("validation", contents.validation), ("test", contents.test),
        )
    )  # fmt: skip
    assert train is not None
    said = (source.said,) if source.said else ()
    if test is None:
        train, test = _own_test(train, reading)
    elif reading.test != TEST_SHARE:
        said += (f"test: the {len(test):,} test images of {source.text}; no training images are held out",)
    for other in (validation, test):
        if other is not None and other.shape != train.shape:
            raise DataError(
                found=f"{where}: training images of shape {train.shape}, {other.split} images of shape {other.shape}",
                expected="one shape (C, H, W)",
                do="use the files of one data set",
            )
    if entry.official not in (None, (len(train), len(test))):
        note = f"{source.name.upper()} slice, {len(train):,}/{len(test):,}"
        train, test = replace(train, note=note), replace(test, note=note)
    files = file_options.path_of(where) if entry.options else where
    at = _absolute(files, several="," in entry.argument) if files else ""
    said += ((f"{source.text} is read from {at}",) if at else ()) + contents.said
    if contents.left_out:
        said += (f"left out of {source.text}: {contents.left_out}",)
    return Splits(train, validation, test, at, said)


def contents_of(
    source: ParsedSource, root: Path | str | None = None, reading: Reading = AS_FOUND
) -> tuple[str, Contents]:
    """Read a source as it is: the path that was read ("" if none), and its splits.

    Raises:
        DataError: as `load_data`.
        SpecError: `reading` converts or labels image files, and the source has none.
    """
    where = str(locate(source.name, root)) if source.entry.files else source.argument
    if source.entry.read_as is not None:
        return where, source.entry.read_as(where, reading)
    if reading.conversion != AS_FOUND.conversion or reading.labels != AS_FOUND.labels:
        raise SpecError(
            found=f"resize, grey, convert or labels with {source.text}",
            expected="image files: folder:DIR, zip:FILE, tar:FILE or parquet:FILE",
            do="leave them out: these images are read as they are",
        )
    return where, source.entry.read(where)


def modules_of(source: str) -> list[str]:
    """The user's own modules that a source names, as the user writes it; none for a source of the table."""
    return [] if source.partition(":")[0] in (*SOURCES, ARRAY) else modules_in(source)


def parse(source: str) -> ParsedSource:
    """Return the name, table entry and argument ("" if there is none) of a source as the user writes it.

    The path of a folder is short for folder:PATH, and FILE.npz for npz:FILE.npz; a name of `SOURCES` comes first. The
    user's own source, package.module:Name, is imported and constructed. Its entry has no files and no argument.

    Raises:
        SpecError: there is no such source; its argument is missing, or it takes none; or the part is not a source.
    """
    if "\0" in source:
        raise SpecError(found=f"data source {source!r}", expected="a path without NUL", do="write the path again")
    name, _, argument = source.partition(":")
    if name == ARRAY:
        return ParsedSource(source, SourceEntry("images given in Python", "8bit", lambda _: _not_at_hand(source)), "")
    if name not in SOURCES:
        return _of_path(source) or ParsedSource(source, _own(source), "")
    if bool(argument) != bool(SOURCES[name].argument):
        raise SpecError(found=f"data source {source!r}", expected=_usage(name), do="write it in that form")
    same = "" if argument or not Path(name).is_dir() else f"{name} is the data set; the folder here is folder:{name}"
    return ParsedSource(name, SOURCES[name], argument, same)


def _of_path(source: str) -> ParsedSource | None:
    """The source of a folder, or of a file by its ending; None if there is none, or `source` has a colon."""
    if not source or ":" in source:
        return None
    path = expanded(source)
    name = "folder" if path.is_dir() else path.suffix.lower().removeprefix(".")
    if name not in SOURCES or not SOURCES[name].argument or path.is_dir() != (name == "folder") or not path.exists():
        return None
    return ParsedSource(name, SOURCES[name], source, f"{source} is read as {name}:{source}")


def _not_at_hand(source: str) -> Contents:
    raise DataError(
        found=f"data {source}: images that were given to vl.train in Python and are in no file",
        expected="the same images again",
        do="give them in Python: data= of vl.train, source= of vl.evaluate, vl.figure, vl.resume and Run.data",
    )


def _own(source: str) -> SourceEntry:
    """The entry of the user's own source, package.module:Name:option=value."""
    module, *rest = source.split(":")
    if not (rest and all(word.isidentifier() for word in (*module.split("."), rest[0]))):
        raise _unknown(source)
    try:
        own: Source = make(KIND, {}, source)
    except SpecError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and missing.name == module.partition(".")[0]:
            raise _unknown(source) from error
        raise
    summary = (inspect.getdoc(own) or source).split("\n")[0]
    return SourceEntry(summary, find_protocol(own.protocol).name, lambda _: _read_own(source, own))


def _read_own(source: str, own: Source) -> Contents:
    try:
        contents = own.read()
    except VaelabError:
        raise
    except Exception as error:  # the user's code may raise any exception
        raise DataError(
            found=f"{KIND} '{source}' cannot be read ({in_one_line(error)})", expected="images", do="correct its read()"
        ) from error
    if not isinstance(contents, Contents):
        raise DataError(
            found=f"the read() of {KIND} '{source}' returns an object of type {type(contents).__name__}",
            expected="vaelab.data.Contents, made with vaelab.data.raw(name, images, labels)",
            do="see docs/extending.md",
        )
    return contents


def _usage(name: str) -> str:
    argument = SOURCES[name].argument
    return f"{name}:{argument}" if argument else name


def _unknown(source: str) -> SpecError:
    close = [_usage(key) for key in get_close_matches(source.partition(":")[0], SOURCES, 1)]
    meant = [f"folder:{source}"] if Path(source).is_dir() else close
    there = "" if ":" in source else ", no file or folder of this name"
    return SpecError(
        found=f"data source {source!r}{there}",
        expected=f"one of {', '.join(map(_usage, SOURCES))}, or package.module:Name",
        do=f"did you mean {meant[0]}?"
        if meant
        else "check the path, or choose one of these"
        if there
        else "choose one of these",
    )


def roots(root: Path | str | None) -> list[Path]:
    """The data directories to search, in order: only `root` if it is given; otherwise $VAELAB_DATA and the cache."""
    if root is not None:
        return [expanded(root)]
    named = os.environ.get("VAELAB_DATA")
    return [*([expanded(named)] if named else []), user_cache()]


def locate(name: str, root: Path | str | None) -> Path:
    """Return the first directory ROOT/name that has every file of a named source.

    Raises:
        DataError: no directory has them all.
    """
    places = [at / name for at in roots(root)]
    for place in places:
        if not missing(SOURCES[name], place):
            return place
    looked = [f"{place} (no {', '.join(missing(SOURCES[name], place))})" for place in places]
    flag = "" if root is None else f" --data-root {as_argument(root)}"
    fetch = f"run `vaelab data fetch {name}{flag}`" if SOURCES[name].official else "put the files there"
    raise DataError(
        found=f"{name}: not all of its files are in {' or in '.join(looked)}",
        expected="all of them in one folder",
        do=f"{fetch}, or {'set VAELAB_DATA' if root is None else 'give another --data-root'}",
    )


def missing(entry: SourceEntry, place: Path) -> list[str]:
    """Return the files of a named source that are missing from `place`."""
    endings = ("", ".gz") if entry.gzipped else ("",)
    return [file for file in entry.files if not any((place / f"{file}{ending}").is_file() for ending in endings)]


def _split(source: str, split: str, held: Raw, protocol: str, contents: Contents) -> Dataset:
    return Dataset(
        source,
        split,
        held.images,
        held.labels,
        protocol,
        held.note,
        held.factors,
        held.factor_names,
        contents.class_names if held.labels is not None else {},
    )


def _absolute(where: str, several: bool) -> str:
    """Make a path absolute; with `several`, each of the paths between commas."""
    return ",".join(str(expanded(path).absolute()) for path in (where.split(",") if several else [where]))


def _own_test(data: Dataset, reading: Reading) -> tuple[Dataset, Dataset]:
    if len(data) < 2:
        raise DataError(
            found=f"{data.name}: {len(data)} image",
            expected="two images or more, to train on one and to test on another",
            do="add images",
        )
    count = held_out("test", len(data), reading.test)
    own = f"no official test split: {count:,} of {len(data):,} images held out"
    own += ", from each class in proportion" if reading.stratify else ""
    note = f"{data.note}; {own}" if data.note else own
    return split_off(replace(data, note=note), count, FIXED_SEED, "test", reading.stratify)
