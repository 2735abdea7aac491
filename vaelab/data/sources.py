"""The sources of images that go by a name, where their files are looked for, and how they become splits."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from vaelab.data import digits, shapes
from vaelab.data.dataset import Contents, Dataset, Raw, Splits, split_off, validation_count
from vaelab.data.formats import folder, idx, npy, svhn
from vaelab.data.formats import npz as arrays
from vaelab.data.protocol import protocol as find_protocol
from vaelab.data.protocol import with_protocol
from vaelab.parts.contracts import Source
from vaelab.parts.names import make
from vaelab.parts.trust import modules_in
from vaelab.system.errors import DataError, SpecError, VaelabError, in_one_line
from vaelab.system.files import expanded, user_cache

# What must be the same in every run, whatever its seed, for two runs to be compared: the images set aside for testing
# where a source has no test images of its own, and the draw of `binary-static`.
FIXED_SEED = 0
TEST_SHARE = 0.1
FREY = "freyfaces.npz"
KIND = "data source"  # the kind of part, in errors


@dataclass(frozen=True)
class SourceEntry:
    """A data source as the table has it: a `vaelab.parts.contracts.Source`, and where its files are.

    Arguments:
        summary: one line that says what they are.
        protocol: the name of the protocol they are read by unless another is asked for.
        read: the directory of `files`, or the user's argument -> the images and the splits they stand in.
        files: what must lie in ROOT/name, each perhaps gzipped; empty for a source that needs none.
        argument: what the user appends as name:ARGUMENT; "" for none.
        official: the published numbers of training and test images; others are noted as a slice.
        gzipped: whether each of `files` may also be there as FILE.gz.
    """

    summary: str
    protocol: str
    read: Callable[[str], Contents]
    files: tuple[str, ...] = ()
    argument: str = ""
    official: tuple[int, int] | None = None
    gzipped: bool = False


class ParsedSource(NamedTuple):
    """A source as the user names it, read: its name, its entry in `SOURCES`, and its argument ("" if it takes none)."""

    name: str
    entry: SourceEntry
    argument: str

    @property
    def text(self) -> str:
        """NAME or NAME:ARGUMENT, as the user writes it."""
        return f"{self.name}:{self.argument}" if self.argument else self.name


SOURCES = {
    "digits": SourceEntry("8 x 8 digits inside scikit-learn, 1,797", "binary-dynamic", lambda _: digits.read()),
    "shapes": SourceEntry("32 x 32 RGB, made: shapes whose factors are known", "8bit", lambda _: shapes.read()),
    "mnist": SourceEntry(
        "28 x 28 digits", "binary-dynamic", idx.read, idx.FILES, official=(60_000, 10_000), gzipped=True
    ),
    "svhn": SourceEntry("32 x 32 RGB house numbers", "8bit", svhn.read, svhn.FILES, official=(73_257, 26_032)),
    "frey": SourceEntry("28 x 20 grey frames of one face", "8bit", lambda at: arrays.read(f"{at}/{FREY}"), (FREY,)),
    "idx": SourceEntry("IDX files named as MNIST's are, or one pair", "8bit", idx.read, argument="DIR|IMAGES[,LABELS]"),
    "npz": SourceEntry(
        "NumPy arrays: images, or train_images, val_images, test_images, or Keras' names",
        "8bit",
        arrays.read,
        argument="FILE",
    ),
    "npy": SourceEntry("a NumPy array that stays on disk", "8bit", npy.read, argument="IMAGES[,LABELS]"),
    "folder": SourceEntry(
        "image files of one size, in DIR/train, DIR/val, DIR/test or DIR itself; the sub-folders are the classes",
        "8bit",
        folder.read,
        argument="DIR",
    ),
}


def load(
    source: str | ParsedSource,
    root: Path | str | None = None,
    validation: float = 0.1,
    seed: int = 0,
    protocol: str | None = None,
) -> Splits:
    """Reads a source and divides it into training, validation and test images.

    The source's own validation and test images are used where it has them. A source without test images gives up a
    tenth of its training images, at least one, to the test split: the same images whatever the seed. `binary-static`
    likewise draws the same noise whatever the seed.

    Arguments:
        source: a name of `SOURCES`, or name:ARGUMENT ("mnist", "idx:fashion", "folder:faces"), or a source of your own
            as package.module:Name, with its options; or that, parsed.
        root: where the files of a named source lie, as ROOT/mnist/...; None for $VAELAB_DATA, then the cache.
        validation: 0 for none, a share of the training images if below 1, else how many; a source with validation
            images of its own uses these instead, unless it is 0.
        seed: decides which training images become validation images.
        protocol: how pixels are read; None for the source's own way.

    Raises:
        SpecError: an unknown source or protocol, or a validation split that leaves nothing to train on.
        DataError: files that are missing, damaged, or of another shape; a source of your own that fails.
    """
    source = parse(source) if isinstance(source, str) else source
    chosen = find_protocol(source.entry.protocol if protocol is None else protocol).name
    splits = read(source, root)
    if splits.validation is None:
        count = validation_count(len(splits.train), validation)
        train, held = split_off(splits.train, count, seed, "validation") if count else (splits.train, None)
        return with_protocol(replace(splits, train=train, validation=held), chosen, FIXED_SEED)
    own = f"the {len(splits.validation):,} validation images of {source.text}"
    if validation:
        said = f"validation: {own}; none are held out of the training images"
        return with_protocol(replace(splits, said=(*splits.said, said)), chosen, FIXED_SEED)
    said = f"{own} are not used, because of --validation 0"
    return with_protocol(replace(splits, validation=None, said=(*splits.said, said)), chosen, FIXED_SEED)


def read(source: str | ParsedSource, root: Path | str | None = None) -> Splits:
    """Reads a source: its training, validation and test images; a tenth is the test split where it has none.

    `validation` is None where the source has no validation images of its own. The levels are as stored, whatever the
    protocol is that they are read by unless another is asked for.

    Raises:
        SpecError, DataError: as `load`.
    """
    name, entry, argument = source = parse(source) if isinstance(source, str) else source
    where = str(locate(name, root)) if entry.files else argument
    contents = entry.read(where)
    train, validation, test = (
        None if held is None else _split(source.text, split, held, entry.protocol, contents)
        for split, held in (
            ("train", contents.train), ("validation", contents.validation), ("test", contents.test),
        )
    )  # fmt: skip
    assert train is not None
    if test is None:
        train, test = _own_test(train)
    for other in (validation, test):
        if other is not None and other.shape != train.shape:
            raise DataError(
                found=f"{where}: training images of shape {train.shape}, {other.split} images of shape {other.shape}",
                expected="one shape (C, H, W)",
                do="pair the files of one data set",
            )
    if entry.official not in (None, (len(train), len(test))):
        note = f"{name.upper()} slice, {len(train):,}/{len(test):,}"
        train, test = replace(train, note=note), replace(test, note=note)
    at = _absolute(where, several="," in entry.argument) if where else ""
    said = (f"{source.text} is read from {at}",) if at else ()
    if contents.left_out:
        said += (f"left out of {source.text}: {contents.left_out}",)
    return Splits(train, validation, test, at, said)


def modules_of(source: str) -> list[str]:
    """The modules of the user's own that a source names, as it is written: none for a source of the table."""
    return [] if source.partition(":")[0] in SOURCES else modules_in(source)


def parse(source: str) -> ParsedSource:
    """The name, table entry and argument ("" if it takes none) of a source as the user writes it.

    A source of the user's own, package.module:Name, is imported and made. Its entry has no files and no argument.

    Raises:
        SpecError: no such source, or an argument that is missing or too much, or a part that is not a source.
    """
    if "\0" in source:
        raise SpecError(found=f"data source {source!r}", expected="a path without NUL", do="write it anew")
    name, _, argument = source.partition(":")
    if name not in SOURCES:
        return ParsedSource(source, _own(source), "")
    if bool(argument) != bool(SOURCES[name].argument):
        raise SpecError(found=f"data source {source!r}", expected=_usage(name), do="write it like that")
    return ParsedSource(name, SOURCES[name], argument)


def _own(source: str) -> SourceEntry:
    """The entry of a source of the user's own, package.module:Name:option=value."""
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
    except Exception as error:  # of whatever kind: the code is the user's
        raise DataError(
            found=f"{KIND} '{source}' cannot be read ({in_one_line(error)})", expected="images", do="correct its read()"
        ) from error
    if not isinstance(contents, Contents):
        raise DataError(
            found=f"{KIND} '{source}', whose read() gives an object of type {type(contents).__name__}",
            expected="vaelab.data.Contents, of what vaelab.data.raw(name, images, labels) gives",
            do="see docs/extending.md",
        )
    return contents


def _usage(name: str) -> str:
    argument = SOURCES[name].argument
    return f"{name}:{argument}" if argument else name


def _unknown(source: str) -> SpecError:
    close = [_usage(key) for key in get_close_matches(source.partition(":")[0], SOURCES, 1)]
    meant = [f"folder:{source}"] if Path(source).is_dir() else close
    return SpecError(
        found=f"data source {source!r}",
        expected=f"one of {', '.join(map(_usage, SOURCES))}, or package.module:Name",
        do=f"did you mean {meant[0]}?" if meant else "choose one of these",
    )


def roots(root: Path | str | None) -> list[Path]:
    """Where named sources are looked for, in order: `root` alone where it is given; else $VAELAB_DATA, the cache."""
    if root is not None:
        return [expanded(root)]
    named = os.environ.get("VAELAB_DATA")
    return [*([expanded(named)] if named else []), user_cache()]


def locate(name: str, root: Path | str | None) -> Path:
    """The first directory ROOT/name that has every file of a named source.

    Raises:
        DataError: none has.
    """
    places = [at / name for at in roots(root)]
    for place in places:
        if not missing(SOURCES[name], place):
            return place
    looked = [f"{place} (no {', '.join(missing(SOURCES[name], place))})" for place in places]
    flag = "" if root is None else f" --data-root {root}"
    fetch = f"run `vaelab data fetch {name}{flag}`" if SOURCES[name].official else "put them there"
    raise DataError(
        found=f"{name}: not all files in {' nor in '.join(looked)}",
        expected="all of them in one folder",
        do=f"{fetch}, or {'set VAELAB_DATA' if root is None else 'give another --data-root'}",
    )


def missing(entry: SourceEntry, place: Path) -> list[str]:
    """Which of the files of a named source are not in `place`."""
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
    """A path, or `several` with commas between them, as absolute paths."""
    return ",".join(str(expanded(path).absolute()) for path in (where.split(",") if several else [where]))


def _own_test(data: Dataset) -> tuple[Dataset, Dataset]:
    if len(data) < 2:
        raise DataError(
            found=f"{data.name}: {len(data)} image",
            expected="at least two, one to train on and one to test on",
            do="add images",
        )
    count = max(1, round(TEST_SHARE * len(data)))
    own = f"no official test split: {count:,} of {len(data):,} images held out"
    note = f"{data.note}; {own}" if data.note else own
    return split_off(replace(data, note=note), count, FIXED_SEED, "test")
