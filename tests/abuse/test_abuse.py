"""A minute of the attacks of `make abuse`, chosen by a seed."""

import os
import random
import shutil

import pytest

from tests.abuse import commands, damage, kills


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return damage.prepare(tmp_path_factory.mktemp("abuse") / "prepared")


@pytest.mark.thorough(0.25, group="damaged files")
@pytest.mark.parametrize("number", range(120))
def test_a_damaged_file_is_told_in_a_line(number, prepared, tmp_path):
    assert damage.damage_once(prepared, tmp_path / "copy", random.Random(number)) == ""


@pytest.mark.parametrize("number", range(60))
def test_a_strange_command_line_is_answered_in_a_line(number, prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    assert commands.command_once(tmp_path / "copy", random.Random(number)) == ""


@pytest.mark.thorough(0.25, group="processes of a study")
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("number", range(3))
def test_a_killed_command_ends_as_if_it_had_not_been(number, tmp_path):
    (tmp_path / "two.toml").write_text(kills.STUDY)
    known = kills.reference(kills.scenarios(tmp_path / "two.toml")[number], tmp_path / "reference")
    assert kills.kill_once(known, tmp_path / "killed", random.Random(number)) == ""
