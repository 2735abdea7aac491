"""What is printed is escaped, and fits a terminal of any width."""

import ast
import errno
import sys
from pathlib import Path

import pytest

from vaelab.cli import output
from vaelab.cli.main import main
from vaelab.cli.output import say

CLI = Path(output.__file__).parent
HOSTILE = "\x1b]0;title\x07\x9b31m\u2028"


def unescaped(source: str) -> list[int]:
    """The lines that name `print`, or write to a stream of `sys`."""
    found = list[int]()
    for node in ast.walk(ast.parse(source)):
        named = isinstance(node, ast.Name) and node.id == "print"
        written = isinstance(node, ast.Attribute) and node.attr in ("write", "writelines")
        if named or (written and "sys.std" in ast.unparse(node)):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", sorted(CLI.rglob("*.py")), ids=lambda path: path.relative_to(CLI).as_posix())
def test_no_file_of_a_command_prints_but_by_say(path: Path):
    assert len(unescaped(path.read_text("utf-8"))) == (path == CLI / "output.py")


@pytest.mark.parametrize("source", ["print(x)", "map(print, x)", "sys.stderr.write(x)", "sys.stdout.writelines(x)"])
def test_other_ways_to_print_are_found(source: str):
    assert unescaped(source) == [1]


def test_lines_are_escaped(capsys):
    say("a", Path(f"b{HOSTILE}\n"), now=True)
    say()
    say("c\x00", stream=sys.stderr)
    assert capsys.readouterr() == ("a\nb\\x1b]0;title\\x07\\x9b31m\\u2028\\n\n\n", "c\\x00\n")


def test_the_name_in_an_error_of_the_system_is_escaped(capsys, monkeypatch):
    def fail(argv: list[str]) -> None:
        raise OSError(errno.EIO, "Input/output error", f"a{HOSTILE}\nb")

    monkeypatch.setattr("vaelab.cli.main._answer", fail)
    assert main(["data", "list"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("vaelab: a\\x1b]0;title\\x07\\x9b31m\\u2028\\nb: Input/output error; ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("serve", [False, True])
def test_what_explore_says_of_foreign_data_is_escaped(serve, run, tmp_path, capsys, monkeypatch):
    said = f"no {tmp_path}/{HOSTILE}"
    where = "vaelab.explorer.serve.service_of" if serve else "vaelab.explorer.page.explore"

    def made(runs, *rest):
        rest[-1](said)
        (tmp_path / f"{HOSTILE}.html").touch()
        return tmp_path / f"{HOSTILE}.html" if not serve else None

    monkeypatch.setattr(where, made)
    monkeypatch.setattr("vaelab.explorer.serve.serve", lambda service, ready: ready("http://") or "stopped")
    assert main(["explore", str(run), "--open", "no", *["--serve"][:serve]]) == 0
    found = capsys.readouterr().out
    assert "\\x1b]0;title\\x07" in found
    assert not {*HOSTILE} & {*found} - {*"]0;title31m"}


@pytest.mark.parametrize("columns", ["1", "5", "0", "-5", "abc", "39"])
def test_help_in_a_narrow_terminal_is_a_page_of_40_columns(columns: str, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["help", "push"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= (40 if columns in ("1", "5", "39") else 100)


def test_a_table_in_a_narrow_terminal_is_one_of_40_columns(monkeypatch):
    from vaelab.cli import terminal

    monkeypatch.setenv("COLUMNS", "1")
    monkeypatch.setattr(terminal.SafeConsole, "is_terminal", True)
    assert terminal.console().width == output.NARROWEST
