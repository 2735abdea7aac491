"""Tables that hold at any width: no name is broken in two, and nothing is cut off.

A table that is too wide for the terminal becomes a block for each row: its name, and below it its values with their
headers.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

GAPS = (2, 1)  # columns of space between the columns of a table, the first that fits


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Arguments:
        header: its name.
        right: whether its cells are aligned right, as numbers are.
        sentence: if its cells may be wrapped between words, the width below which they are not; otherwise 0.
    """

    header: str
    right: bool = False
    sentence: int = 0


def table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> RenderableType:
    """The rows as a table, or as blocks where a table is too wide for the console."""
    widths = [_narrowest(column, [row[i] for row in rows]) for i, column in enumerate(columns)]
    for gap in GAPS:
        if sum(widths) + gap * (len(columns) - 1) <= console.width:
            made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
            for column, width in zip(columns, widths, strict=True):
                made.add_column(
                    column.header,
                    justify="right" if column.right else "left",
                    no_wrap=column.sentence == 0,
                    min_width=width,
                )
            for row in rows:
                made.add_row(*row)
            return made
    return Group(*(block for row in rows for block in _block(columns, row, console.width)))


def _narrowest(column: Column, cells: Sequence[str]) -> int:
    """The smallest width of a column at which no word of it is broken."""
    if not column.sentence:
        return max(map(len, (column.header, *cells)))
    texts = (column.header, *cells)
    return max(*(len(word) for text in texts for word in text.split()), min(max(map(len, texts)), column.sentence))


def _block(columns: Sequence[Column], row: Sequence[str], width: int) -> list[RenderableType]:
    """A row as its first cell, and below it the other cells that are not empty, as many in a line as fit."""
    lines, line = [row[0]], ""
    for column, cell in zip(columns[1:], row[1:], strict=True):
        said = f"{column.header} {cell}".strip() if cell else ""
        if line and said and len(line) + 2 + len(said) > width - 2:
            lines, line = [*lines, line], said
        else:
            line = "  ".join(filter(None, (line, said)))
    name, *values = [*lines, line]
    wrapped = (textwrap.fill(value, width - 2, break_on_hyphens=False, break_long_words=False) for value in values)
    return [Text(name, overflow="fold"), *(Padding(Text(value, overflow="fold"), (0, 0, 0, 2)) for value in wrapped)]
