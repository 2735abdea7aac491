"""`vaelab data list`, `check`, `convert`, `fetch` and `cache`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from vaelab.cli.commands.flags import Root, optional
from vaelab.data.fetch import PUBLISHED
from vaelab.data.reading import TEST_SHARE, parse_reading
from vaelab.data.sources import SOURCES
from vaelab.runs.spec import Spec
from vaelab.system.memory import in_words

if TYPE_CHECKING:
    from vaelab.data.decoded_cache import Entry

WRITTEN = [f"{name}:{source.argument}" if source.argument else name for name, source in SOURCES.items()]


def field_help(name: str) -> str:
    """What the help of `vaelab train` says of a field of the Spec."""
    return Spec.model_fields[name].description or ""


def data_list(root: Root = None) -> None:
    """List the data sets, and say whether their files were found."""
    from vaelab.cli import terminal
    from vaelab.data.check import listing

    here, found = {True: "yes", False: "no", None: ""}, listing(root)
    rows = [
        {"data": row.usage, "what it is": row.summary, "protocol": row.protocol, "here": here[row.present]}
        for row in found
    ]
    terminal.print_records("data sets", rows)
    for row in found:
        if row.where:
            terminal.say(f"{row.usage}: {'in' if row.present else 'belongs in'} {row.where}")


def data_check(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE", help=", ".join(WRITTEN))],
    resize: Annotated[str, optional(field_help("resize"), "empty", metavar="HxW|crop:HxW")] = "",
    grey: Annotated[bool, tyro.conf.arg(help=field_help("grey"))] = False,
    convert: Annotated[bool, tyro.conf.arg(help=field_help("convert"))] = False,
    labels: Annotated[str, optional(field_help("labels"), "empty", metavar="csv:FILE|name:REGEX")] = "",
    test: Annotated[float, tyro.conf.arg(help=field_help("test"))] = TEST_SHARE,
    stratify: Annotated[bool, tyro.conf.arg(help=field_help("stratify"))] = False,
    root: Root = None,
) -> None:
    """Read a data set and print its splits.

    Each split is printed with its counts, classes, shape, hash and protocol. The flags mean the same as in
    `vaelab train`, so the command shows what a training would read.
    """
    from vaelab.cli import terminal
    from vaelab.data.check import check

    rows, said = check(source, root, parse_reading(resize, grey, convert, labels, test, stratify))
    for line in said:
        terminal.console().print(line, highlight=False, soft_wrap=True)
    for row in rows:
        terminal.print_facts(
            f"{row.source}, {row.split} images",
            {
                "images": f"{row.count:,}",
                "shape (C, H, W)": " x ".join(map(str, row.shape)),
                "sha256": row.sha256,
                "protocol": row.protocol,
                "published content": {True: "yes", False: "no: not the official files", None: ""}[row.official],
                "labels": "  ".join(f"{label}: {count:,}" for label, count in (row.labels or {}).items()) or "none",
                "factors": "  ".join(f"{name}: {count:,} values" for name, count in row.factors.items()),
                "also in training": "" if row.seen is None else f"{row.seen:,} of {row.count:,}, by equal pixels",
                "note": row.note,
            },
        )


def data_convert(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE", help=", ".join(WRITTEN))],
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGES.npy", help="the file to write")],
    split: Annotated[
        Literal["train", "validation", "test"], tyro.conf.arg(help="which images of the source")
    ] = "train",
    resize: Annotated[str, optional(field_help("resize"), "empty", metavar="HxW|crop:HxW")] = "",
    grey: Annotated[bool, tyro.conf.arg(help=field_help("grey"))] = False,
    convert: Annotated[bool, tyro.conf.arg(help=field_help("convert"))] = False,
    labels: Annotated[str, optional(field_help("labels"), "empty", metavar="csv:FILE|name:REGEX")] = "",
    overwrite: Annotated[bool, tyro.conf.arg(help="replace files that exist")] = False,
    root: Root = None,
) -> None:
    """Write the images of a data set as one .npy file for `npy:`.

    The levels are those of the data set. Labels go to a second file beside it, IMAGES.labels.npy. Rerun the command to
    resume a conversion that was cut off.
    """
    from vaelab.cli import terminal
    from vaelab.data import written

    reading = parse_reading(resize, grey, convert, labels, TEST_SHARE, False)
    done = written.convert(source, out, root, reading, split, overwrite)
    if done.kept:
        terminal.say(f"{done.kept:,} images were already written, and are equal to those of {source}")
    if done.left:
        terminal.say(f"not written: {', '.join(done.left)}")
    terminal.say(f"{done.images}: uint8 {list(done.shape)}")
    if done.labels:
        terminal.say(f"{done.labels}: int64 [{done.shape[0]}]")


def data_fetch(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME", help=" or ".join(PUBLISHED))],
    root: Root = None,
) -> None:
    """Download a data set and check its published hashes.

    Rerun the command to resume a download that was cut off.
    """
    from vaelab.cli import terminal
    from vaelab.data.fetch import fetch

    with terminal.downloading(terminal.console()) as progress:
        paths = fetch(name, root, progress=progress)
    for path in paths:
        terminal.say(path)


def data_cache(
    clear: Annotated[bool, tyro.conf.arg(help="delete the copies; the folders themselves do not change")] = False,
) -> None:
    """List the decoded copies of image folders, or delete them.

    A folder gets a decoded copy if decoding its images takes more than half a second. It is decoded again when one of
    its files changes. If the copies take more than 5 GB together, the least recently used ones are deleted.
    """
    from vaelab.cli import terminal
    from vaelab.data import decoded_cache

    found = decoded_cache.clear() if clear else decoded_cache.entries()
    rows = [
        {
            "folder": entry.description.folder if entry.description else "damaged, will be made again",
            "images": _images(entry),
            "size": in_words(entry.size),
            "used": time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)),
        }
        for entry in found
    ]
    if rows and not clear:
        terminal.print_records("decoded folders", rows)
    total = in_words(sum(entry.size for entry in found))
    folders = "1 decoded folder" if len(found) == 1 else f"{len(found):,} decoded folders"
    terminal.say(f"{'deleted ' * clear}{folders} in {decoded_cache.place()}, {total}")


def _images(entry: "Entry") -> str:
    if entry.description is None:
        return ""
    count, channels, height, width = entry.description.shape
    return f"{count:,} of {height} x {width} {'RGB' if channels == 3 else 'grey'}"
