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


@pytest.mark.parametrize("name", COMMANDS)
def test_the_functions_that_the_table_names_are_in_the_file_of_the_command(name):
    module = importlib.import_module(f"vaelab.cli.commands.{name.split()[0]}")
    assert all(callable(getattr(module, f)) for f in (COMMANDS[name].defaults, COMMANDS[name].more_help) if f)


def test_the_command_line_treats_no_command_as_a_special_case():
    source = inspect.getsource(importlib.import_module("vaelab.cli.main"))
    assert not [name for name in COMMANDS if f'"{name}"' in source]
