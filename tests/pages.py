"""Type the pages of the documentation: their commands and scripts in order, compared with what the pages show."""

import re
import shlex
from typing import Any

import pytest

from vaelab.cli.main import main


def masked(text: str) -> str:
    """The text with N for each number and one space for several: numbers differ in their last digits."""
    return "\n".join(re.sub(r" +", " ", line).strip() for line in re.sub(r"\d[\d,.]*(e-\d+)?", "N", text).splitlines())


def shows(shown: str, said: str) -> bool:
    """Whether `shown` is `said`, but for numbers; a line of three dots stands for any lines, also at the end."""
    parts = re.split(r"^\.\.\.$", masked(shown), flags=re.MULTILINE)
    pattern = ".*".join(re.escape(part.strip("\n")) for part in parts)
    return re.fullmatch(pattern + "\n*", masked(said).strip("\n"), re.DOTALL) is not None


def type_page(page: str, capsys: pytest.CaptureFixture[str], more: dict[str, list[str]]) -> int:
    """Run the `sh` and `python` blocks of a page, and compare each `text` block with what the one before it printed.

    Arguments:
        more: command -> flags that are added to it, which make it faster.

    Returns:
        The number of compared blocks.
    """
    said, names, compared = "", dict[str, Any](), 0
    for kind, text in re.findall(r"```(sh|python|text)\n(.*?)```", page, re.DOTALL):
        if kind == "text":
            assert shows(text, said), f"the page shows\n{text}\nand this was printed:\n{said}"
            compared += 1
            continue
        capsys.readouterr()
        if kind == "python":
            exec(compile(text, "page", "exec"), names)
        else:
            for line in filter(None, text.splitlines()):
                words = shlex.split(line, comments=True)[1:]
                assert main([*words, *more.get(words[0], [])]) == 0, f"{line}: {capsys.readouterr().err}"
        said = capsys.readouterr().out
    return compared
