"""Lines of text for people and programs. This file is imported at once, while `terminal` takes a while."""

from typing import TextIO

from vaelab.system.errors import in_print

WIDEST = 100  # columns of what is printed in a terminal
NARROWEST = 40  # in fewer, a page of help or a table has a word in a line or less, and takes minutes to make


def say(*lines: object, stream: TextIO | None = None, now: bool = False) -> None:
    """Print lines as they are; control characters, which a name may hold, are escaped. Without lines, an empty one.

    Arguments:
        stream: standard output if None.
        now: whether they are written at once, also to a pipe.
    """
    print(*(in_print(str(line)) for line in lines), sep="\n", file=stream, flush=now)


def fitting(width: int) -> int:
    """How many columns to use in a terminal of `width` columns."""
    return min(max(width, NARROWEST), WIDEST)
