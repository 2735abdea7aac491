"""A data source of the user's own: package.module:Name, held to its contract in one line."""

import sys

import numpy as np
import pytest

import vaelab as vl
from vaelab.data import Contents, load_data, raw
from vaelab.data.check import check
from vaelab.data.sources import modules_of, parse
from vaelab.system.errors import DataError, SpecError


class Noise:
    """Images of noise."""

    protocol = "8bit"

    def __init__(self, *, images: int = 40, side: int = 5):
        self.images, self.side = images, side

    def read(self):
        levels = np.random.default_rng(0).integers(0, 256, (self.images, 1, self.side, self.side), np.uint8)
        return Contents(raw("noise", levels, np.arange(self.images) % 3), test=raw("noise", levels[:6] // 2))


class Unread(Noise):
    def read(self):
        raise OSError("no disk\nanywhere")


class Wrong(Noise):
    def read(self):
        return np.zeros((5, 1, 2, 2), np.uint8)


class Floats(Noise):
    def read(self):
        return Contents(raw("noise", np.full((5, 1, 2, 2), 0.5)))


class Unreadable:
    """A source without read."""

    protocol = "8bit"


class Protocolless:
    """A source without a protocol."""

    def read(self):
        raise AssertionError


class Unknown(Noise):
    protocol = "9bit"


def function():
    """Contents themselves, and not a source."""
    return Contents(raw("noise", np.zeros((5, 1, 2, 2), np.uint8)))


HERE = __name__


def test_it_is_split_and_read_as_any_other():
    splits = load_data(f"{HERE}:Noise:images=50:side=4", validation=5)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (45, 5, 6)
    assert splits.train.shape == (1, 4, 4)
    assert splits.train.protocol == "8bit"
    assert splits.train.name == f"{HERE}:Noise:images=50:side=4"
    assert load_data(f"{HERE}:Noise", protocol="grey").train.protocol == "grey"
    assert splits.where == ""
    rows, said = check(f"{HERE}:Noise")
    assert [row.count for row in rows] == [40, 6]
    assert said == ()


def test_its_first_line_is_what_it_is():
    assert parse(f"{HERE}:Noise")[1].summary == "Images of noise."


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("Unread", DataError, "Unread' cannot be read (OSError: no disk)"),
        ("Wrong", DataError, "returns an object of type ndarray"),
        ("Floats", DataError, "images of float64"),
        ("Unreadable", SpecError, "a class, without read"),
        ("Protocolless", SpecError, "makes an object of type Protocolless, without protocol"),
        ("Unknown", SpecError, "'9bit'"),
        ("function", SpecError, "a function that does not say what it makes"),
        ("Noise:images=x", SpecError, "images of data source"),
        ("Noise:count=3", SpecError, "unknown option of data source"),
        ("Missing", SpecError, "cannot be imported"),
    ],
)
def test_one_that_is_none_is_a_line(name, error, words):
    with pytest.raises(error) as caught:
        load_data(f"{HERE}:{name}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("npx:a", "did you mean npz:FILE?"),
        ("nowhere:Bars", "or package.module:Name; choose one of these"),
        ("folder_:/a/b", "did you mean folder:DIR?"),
    ],
)
def test_a_slip_in_a_name_is_no_module(source, words):
    with pytest.raises(SpecError) as caught:
        load_data(source)
    assert words in str(caught.value)


def test_only_sources_that_are_not_in_the_table_name_modules():
    assert modules_of("npz:mine.npz") == modules_of("digits") == modules_of("folder:a:b") == []
    assert modules_of("mine:Bars:images=3") == ["mine"]
    assert vl.Spec(data="npz:mine.npz").own_modules == ()
    assert vl.Spec(data="mine:Bars", prior="a.b:C").own_modules == ("mine", "a.b")


def test_a_run_of_it_is_evaluated_again_only_if_its_module_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(
        "from tests.data.test_own_source import Noise\n\n\nclass Images(Noise):\n    pass\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    spec = vl.Spec(data="own:Images", latent=2, network="mlp:hidden=4", epochs=1, nll_samples=2)
    run = vl.train(spec, tmp_path, compile="never", callback=vl.SILENT)
    with pytest.raises(SpecError, match=r"names the module 'own' \(data own:Images\)"):
        vl.evaluate(run.path, "latents", again=True)
    assert vl.evaluate(vl.Run(run.path, trust="own"), "latents", again=True)
    sys.modules.pop("own", None)
