"""What the README shows is run as it is written."""

import re
import shlex
from pathlib import Path

import pytest

from vaelab.assemble import completed
from vaelab.spec import Spec

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_python_example(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert "nats/image" in capsys.readouterr().out


@pytest.mark.parametrize("line", re.findall(r"^vaelab train (.*)$", README, re.MULTILINE))
def test_the_specs_of_the_commands(line):
    words = shlex.split(line)
    fields = {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)
    }
    completed(Spec(**fields))


def test_the_files_it_links_to():
    for path in re.findall(r"\]\(([^)]+)\)", README):
        assert (Path(__file__).parents[1] / path).exists(), path


def test_every_noun_has_one_sentence():
    for noun in (
        "Distribution",
        "Head",
        "Conditional",
        "Prior",
        "Model",
        "Draw",
        "Objective",
        "Dataset",
        "Spec",
        "Run",
        "Study",
    ):
        assert f"| **{noun}** |" in README
