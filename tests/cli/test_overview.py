"""The overview: a sentence for each command, from the command's docstring."""

import importlib
import inspect

import pytest

from vaelab.cli.commands import COMMANDS
from vaelab.cli.overview import overview, sentence


@pytest.mark.parametrize("name", COMMANDS)
def test_a_sentence_is_the_first_line_of_the_docstring(name):
    module = importlib.import_module(f"vaelab.cli.commands.{name.split()[0]}")
    first = inspect.getdoc(getattr(module, name.replace(" ", "_"))).splitlines()[0]
    assert sentence(name) == first
    assert f"  {name:<12} {first}" in overview().splitlines()
    assert first.endswith(".")


def test_it_fits_a_terminal_of_80_columns():
    assert max(map(len, overview().splitlines())) <= 80


def test_of_a_first_word_its_commands_are_listed():
    shown = overview("data")
    assert all((f"  {name} " in shown) == name.startswith("data ") for name in COMMANDS)
