"""`vaelab data convert`: any source as one .npy file."""

import os
import subprocess
import sys

import numpy as np
import pytest

from vaelab.cli.main import main
from vaelab.data import written
from vaelab.data.sources import contents_of, load_data, parse
from vaelab.data.written import convert
from vaelab.system.errors import RunError, SpecError
from vaelab.system.files import hold


def test_the_file_is_the_source(tmp_path):
    done = convert("digits", tmp_path / "d.npy")
    original = contents_of(parse("digits"))[1].train
    assert done.kept == 0
    assert done.labels == tmp_path / "d.labels.npy"
    np.testing.assert_array_equal(np.load(tmp_path / "d.npy"), original.images)
    np.testing.assert_array_equal(np.load(tmp_path / "d.labels.npy"), original.labels)
    again = load_data(f"npy:{tmp_path / 'd.npy'},{tmp_path / 'd.labels.npy'}", protocol="binary-dynamic")
    assert again.train.sha256 == load_data("digits").train.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.labels.npy", "d.npy"]


def test_images_on_disk_are_converted_in_pieces(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    np.save(tmp_path / "nhwc.npy", images)
    monkeypatch.setattr("vaelab.data.stored.BLOCK", 700)
    done = convert(f"npy:{tmp_path / 'nhwc.npy'}", tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(done.images), images.transpose(0, 3, 1, 2))
    assert done.labels is None


def _interrupted(path, monkeypatch, pieces):
    """A conversion of `digits` that ends after some pieces, as if it was killed."""
    monkeypatch.setattr("vaelab.data.stored.BLOCK", 64 * 100)
    whole = written.blocks

    def some(images):
        for k, block in enumerate(whole(images)):
            if k == pieces:
                raise KeyboardInterrupt
            yield block

    with monkeypatch.context() as patched:
        patched.setattr(written, "blocks", some)
        with pytest.raises(KeyboardInterrupt):
            convert("digits", path)
    assert not path.exists()


def test_an_interrupted_conversion_goes_on(tmp_path, monkeypatch):
    convert("digits", tmp_path / "whole.npy")
    _interrupted(tmp_path / "d.npy", monkeypatch, 5)
    assert convert("digits", tmp_path / "d.npy").kept == 500
    assert (tmp_path / "d.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize("damage", ["other pixels", "cut short", "too long", "another header"])
def test_what_was_left_is_compared_with_the_source(tmp_path, monkeypatch, damage):
    convert("digits", tmp_path / "whole.npy")
    _interrupted(tmp_path / "d.npy", monkeypatch, 5)
    part = tmp_path / "d.npy.part"
    content = bytearray(part.read_bytes())
    if damage == "other pixels":
        content[128 + 64 * 250] ^= 1
    elif damage == "another header":
        content[40] ^= 1
    part.write_bytes(content[:-30] if damage == "cut short" else content + bytes(10**6 * (damage == "too long")))
    kept = {"other pixels": 200, "cut short": 400, "too long": 500, "another header": 0}[damage]
    assert convert("digits", tmp_path / "d.npy").kept == kept
    assert (tmp_path / "d.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_file_is_replaced_only_if_asked(tmp_path):
    np.save(tmp_path / "plain.npy", np.full((3, 4, 4), 9, np.uint8))
    convert("digits", tmp_path / "d.npy")
    before = (tmp_path / "d.npy").read_bytes()
    with pytest.raises(RunError, match="add --overwrite"):
        convert(f"npy:{tmp_path / 'plain.npy'}", tmp_path / "d.npy")
    assert (tmp_path / "d.npy").read_bytes() == before
    convert(f"npy:{tmp_path / 'plain.npy'}", tmp_path / "d.npy", overwrite=True)
    assert np.load(tmp_path / "d.npy").shape == (3, 1, 4, 4)
    assert not (tmp_path / "d.labels.npy").exists()  # those of the file that was replaced


def test_another_writer_is_seen(tmp_path):
    with (tmp_path / "d.npy.part").open("wb") as other:
        hold(other.fileno())
        with pytest.raises(RunError, match="another process writes"):
            convert("digits", tmp_path / "d.npy")


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "d.npy.part").symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match="symbolic link"):
        convert("digits", tmp_path / "d.npy")
    assert (tmp_path / "mine").read_text() == "mine"


def test_the_path_and_the_split_are_checked(tmp_path):
    with pytest.raises(SpecError, match="a name that ends"):
        convert("digits", tmp_path / "d.npz")
    with pytest.raises(SpecError, match="one of train; choose"):
        convert("digits", tmp_path / "d.npy", split="test")
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "convert", "shapes", "shapes.npy"]) == 0
    said = capsys.readouterr().out
    assert "shapes.npy: uint8 [" in said
    assert "its factors" in said
    assert main(["data", "convert", "shapes", "shapes.npy"]) == 2
    assert "shapes.npy exists" in capsys.readouterr().err


@pytest.mark.thorough(1, group="process")
def test_a_killed_conversion_goes_on(tmp_path):
    code = (
        "import os, sys; from vaelab.data import stored, written; stored.BLOCK = 6400; whole = written.blocks\n"
        "def some(images):\n"
        "    for k, block in enumerate(whole(images)):\n"
        "        if k == 7: written.os._exit(9)\n"
        "        yield block\n"
        "written.blocks = some; written.convert('digits', sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "d.npy")], env=dict(os.environ), check=False)
    assert done.returncode == 9
    assert convert("digits", tmp_path / "d.npy").shape[0] == len(np.load(tmp_path / "d.npy"))
