"""docs/use.md is typed as it stands there, and prints what it shows."""

import re
from pathlib import Path

import numpy as np
import pytest

import vaelab as vl
from tests.pages import shows, type_page

PAGE = (Path(__file__).parents[1] / "docs" / "use.md").read_text("utf-8")
QUICK = ["--compile", "never"]


@pytest.mark.thorough(0.5, group="pages")
def test_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vaelab.runs.figure.figure", lambda *_, **__: None)  # which takes most of the time
    assert type_page(PAGE, capsys, {"train": QUICK, "resume": QUICK}) == PAGE.count("```text") == 7
    written = re.findall(r"--out (\S+)", PAGE)
    assert all((tmp_path / name).exists() for name in written)


def test_another_output_is_noticed():
    shown = "images  10\n...\nz.csv\n"
    assert shows(shown, "images      12\nmean  [3, 2]\n\nz.csv\n")
    assert not shows(shown, "images 12\nmean  [3, 2]\n\nx.csv\n")
    assert not shows(shown, "images 12\nmean  [3, 2]\n\nz.csv\nmore\n")
    assert not shows("a\n", "a\nb\n")


def test_every_method_of_the_table_is_there(done):
    methods = re.findall(r"`run\.(\w+)\(", PAGE)
    assert {"encode", "score", "sample", "reconstruct", "decode"} <= set(methods)
    assert all(callable(getattr(done, name)) for name in methods)
    images = done.data().test.images[:3]
    assert len(done.encode(images)) == len(done.reconstruct(images)) == 3
    np.testing.assert_array_equal(done.sample(2).images, vl.load(str(done.path)).sample(2).images)
