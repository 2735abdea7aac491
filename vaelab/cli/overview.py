"""What `vaelab --help` and `vaelab data --help` print, made without importing the commands."""

import ast
from pathlib import Path

from vaelab.cli.commands import COMMANDS

FOLDER = Path(__file__).parent / "commands"


def overview(of: str = "") -> str:
    """The commands with their sentences; if `of` is given, those whose first word it is."""
    lines = [f"  {name:<12} {sentence(name)}" for name in COMMANDS if not of or name.split()[0] == of]
    if of:
        return "\n".join([f"usage: vaelab {of} COMMAND [OPTIONS]", "", *lines, "", _more(f"{of} COMMAND")])
    return "\n".join(
        [
            "usage: vaelab COMMAND [OPTIONS]",
            "",
            "Train, evaluate, look at and compare variational autoencoders.",
            "",
            *lines,
            "",
            "A first model, in seconds:    vaelab train --data digits --latent 2",
            "A first study, in minutes:    vaelab study digits",
            "",
            _more("COMMAND"),
            "`vaelab --version` prints the version.",
        ]
    )


def _more(command: str) -> str:
    return f"`vaelab help {command}` explains a command and its options."


def sentence(name: str) -> str:
    """The first line of a command's docstring, read from its file: its import takes seconds."""
    source = (FOLDER / f"{name.split()[0]}.py").read_text("utf-8")
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    return (ast.get_docstring(functions[name.replace(" ", "_")]) or "").split("\n")[0]
