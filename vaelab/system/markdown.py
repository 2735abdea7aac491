"""Text from files, in a page of Markdown: it stays text, whatever it contains."""

import re

from vaelab.system.errors import in_print

MARKS = str.maketrans(
    {"\\": "\\\\", "<": "&lt;", "`": "'", **{mark: f"\\{mark}" for mark in "|[]*~!"}}  # of Markdown
)
BLOCK = re.compile(r"^([0-9]*)(#|>|[-+] |(?<=[0-9])[.)] )")  # a heading, a quotation or a list


def as_markdown(text: str) -> str:
    """Escape a text, so that it cannot start or end a cell, line, tag, link or code."""
    return BLOCK.sub(r"\1\\\2", in_print(" ".join(text.splitlines())).translate(MARKS))


def as_code(text: str) -> str:
    """A text as code in a line, which it cannot end: a backtick becomes an apostrophe."""
    return "`" + in_print(text).replace("`", "'") + "`"
