"""`vaelab parts`."""

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from vaelab.cli.commands.flags import optional
from vaelab.system.errors import unknown

if TYPE_CHECKING:
    from vaelab.parts.describe import Description


def parts(
    name: Annotated[
        str,
        tyro.conf.Positional,
        optional("a part such as gaussian, or a kind such as likelihood", "all", metavar="[NAME]"),
    ] = "",
) -> None:
    """List the parts and metrics, with their options.

    A part is a value of a flag of `vaelab train`; a metric is a value of `vaelab evaluate --metrics`. An option is
    written after the name and a colon, such as gaussian:sigma=pixel.
    """
    from vaelab.cli.terminal import console
    from vaelab.evaluation.measures import METRICS
    from vaelab.parts.describe import description
    from vaelab.runs.blueprint import TABLES

    tables: dict[str, dict[str, Callable[..., Any]]] = {**TABLES, "metric": METRICS}
    chosen = {
        kind: [part for part in table if name in ("", kind, part)]
        for kind, table in tables.items()
        if name in ("", kind, *table)
    }
    if not chosen:
        raise unknown("part", name, sorted({*tables, *(part for table in tables.values() for part in table)}))
    out = console()
    for kind, those in chosen.items():
        out.print(kind, style="bold", highlight=False)
        for part in those:
            for line in lines(description(part, tables[kind][part]), out.width):
                out.print(line, highlight=False, soft_wrap=True)
        out.print()


def lines(part: "Description", width: int) -> list[str]:
    """A part in lines of at most `width` columns: its name, what it is, and a line or more for each option."""
    said = [f"  {part.name}", *_wrapped(part.says, width, "    ")]
    for option in part.options:
        said += _wrapped(f"{option.text}  {option.says}", width, "    :", "        ")
    return said


def _wrapped(text: str, width: int, first: str, rest: str | None = None) -> list[str]:
    """Lines that are broken between words only."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
