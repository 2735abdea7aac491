"""docs/images.md is run as it is written."""

import re
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pages import shows
from vaelab.cli.main import main
from vaelab.data import decoded_cache
from vaelab.runs.directory import Run

PAGE = (Path(__file__).parents[1] / "docs" / "images.md").read_text()
COMMANDS = re.findall(r"^vaelab ([^#\n]*)", PAGE, re.MULTILINE)
CLASSES = {"animal": ["cat", "dog"], "labels.csv": ["0", "19"], "name:": ["1", "9"]}
SHORT = ["--epochs", "0.1", "--latent", "2", "--network", "mlp:hidden=8", "--nll-samples", "2", "--compile", "never"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    rows = ["file,label,animal"]
    for kind, size in (("cat", (40, 30)), ("dog", (30, 30))):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng([number, len(rows)]).integers(0, 256, (*size[::-1], 3), np.uint8)
            image, name = Image.fromarray(pixels), f"{kind}/{number}.jpg"
            if kind == "dog" and number == 1:
                name, image = f"{kind}/1.png", Image.fromarray(np.dstack([pixels, pixels[..., :1]]))
            elif kind == "dog" and number in (2, 3):
                image = image.convert("CMYK" if number == 2 else "L")
            elif kind == "dog" and number == 4:
                image = image.resize((20, 50))
            image.save(tmp_path / "photos" / name)
            rows.append(f"{name},{number},{kind}")
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(rows))
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for path in (tmp_path / "photos").rglob("*.*"):
            file.write(path, path.relative_to(tmp_path / "photos"))
    return tmp_path / "photos"


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_the_commands_work(command, photos, capsys):
    words = shlex.split(command)
    status = main([*words, *(SHORT if words[0] == "train" else [])])
    said = capsys.readouterr()
    assert status == (2 if command.strip() == "data check photos" else 0)
    if status:
        assert "2 of 40 images cannot be read" in said.err
        assert "dog/1.png" in said.err
    if words[:2] == ["data", "check"] and "--labels" in words:
        expected = next(names for labels, names in CLASSES.items() if labels in words[-1])
        assert all(f"{name}: " in said.out for name in expected)
    if words[0] == "train":
        (path,) = Path("runs").iterdir()
        assert (Run(path).spec.data, Run(path).spec.resize) == ("folder:photos", "crop:16x16")
        assert Run(path).spec.likelihood.startswith("gaussian")


def test_what_data_check_says(photos, capsys):
    (shown,) = re.findall(r"```\n(photos is read.*?)```", PAGE, re.DOTALL)
    assert main(shlex.split(COMMANDS[1])) == 0
    assert capsys.readouterr().out.startswith(shown.replace("…/photos", str(photos)))


def test_what_data_cache_says(photos, monkeypatch, capsys):
    monkeypatch.setattr(decoded_cache, "SETTLED_SECONDS", -1)  # kept though it is new and small
    monkeypatch.setattr(decoded_cache, "WORTH_SECONDS", 0)
    monkeypatch.setattr("vaelab.cli.terminal.WIDEST", 1000)  # for the long path of the test
    (shown,) = re.findall(r"```\n(decoded folders.*?)```", PAGE, re.DOTALL)
    assert main(shlex.split(COMMANDS[1])) == 0
    capsys.readouterr()
    assert main(["data", "cache"]) == 0
    said, home = capsys.readouterr().out, photos.parent
    assert shows(shown, said.replace(f"{home / 'cache' / 'vaelab'}", "…").replace(f"{home}", "…")), said
    assert main(["data", "cache", "--clear"]) == 0
    assert "deleted 1 decoded folder in" in capsys.readouterr().out


def test_the_python_example(photos):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "images.md", "exec"), {})
