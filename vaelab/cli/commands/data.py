"""`vaelab data list`, `vaelab data check` and `vaelab data fetch`."""

from typing import Annotated

import tyro

from vaelab.cli.commands.flags import Root
from vaelab.data.fetch import PUBLISHED
from vaelab.data.sources import SOURCES

WRITTEN = [f"{name}:{source.argument}" if source.argument else name for name, source in SOURCES.items()]


def data_list(root: Root = None) -> None:
    """List the data sets and say whether their files are here."""
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
            print(f"{row.usage}: {'in' if row.present else 'belongs in'} {row.where}")


def data_check(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE", help=", ".join(WRITTEN))],
    root: Root = None,
) -> None:
    """Read a data set and print its splits.

    Each split is printed with its counts, classes, shape, hash and protocol.
    """
    from vaelab.cli import terminal
    from vaelab.data.check import check

    rows, said = check(source, root)
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
                "also in training": "" if row.seen is None else f"{row.seen:,} of {row.count:,}, by equal pixels",
                "note": row.note,
            },
        )


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
        print(path)
