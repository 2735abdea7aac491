"""Every command of docs/use.md is typed as it stands there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaelab as vl
from tests.conftest import TINY
from vaelab.cli.main import main

PAGE = (Path(__file__).parents[1] / "docs" / "use.md").read_text("utf-8")
COMMANDS = re.findall(r"^vaelab (.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A run that is conditioned on labels."""
    spec = TINY.model_copy(update={"condition": "labels"})
    return vl.train(spec, tmp_path_factory.mktemp("labelled"), "run", compile="never", callback=vl.SILENT).path


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_work(line, done, labelled, tmp_path, monkeypatch, capsys):
    words = shlex.split(line, comments=True)
    (tmp_path / "photos").mkdir()
    data = done.data().test
    for i in range(3):
        Image.fromarray(data.images[i, 0]).save(tmp_path / "photos" / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    run = labelled if "--labels" in words else done.path
    words = [str(run) if word == "runs/x" else word for word in words]
    if words[0] == "resume":
        spec = TINY.model_copy(update={"epochs": 1.0})
        words[1] = str(vl.train(spec, tmp_path, "run", compile="never", callback=vl.SILENT).path)
        words += ["--out", "longer", "--compile", "never"]
    assert main(words) == 0, capsys.readouterr().err
    out = Path(words[words.index("--out") + 1])
    assert out.exists()
    assert str(out) in capsys.readouterr().out


def test_every_method_of_the_table_is_there(done):
    methods = re.findall(r"`run\.(\w+)\(", PAGE)
    assert {"encode", "score", "sample", "reconstruct", "decode"} <= set(methods)
    assert all(callable(getattr(done, name)) for name in methods)
    images = done.data().test.images[:3]
    assert len(done.encode(images)) == len(done.reconstruct(images)) == 3
    np.testing.assert_array_equal(done.sample(2).images, vl.load(str(done.path)).sample(2).images)
