"""A warning for scores of images that the model was trained on, and none for others."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import vaelab as vl
from tests.conftest import TINY
from vaelab.cli.main import main
from vaelab.runs.seen import NOTE

QUICK = {"samples": 2}


def pictures(at, count, seed):
    at.mkdir(parents=True)
    for i, levels in enumerate(np.random.default_rng(seed).integers(0, 256, (count, 8, 8), np.uint8)):
        Image.fromarray(levels).save(at / f"{i}.png")


def trained_on(data, out, **fields):
    spec = TINY.model_copy(update={"protocol": "8bit", "validation": 0.2, **fields})
    return vl.train(spec, out, "run", compile="never", callback=vl.SILENT, data=data)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run of a folder with splits, and the folder."""
    at = tmp_path_factory.mktemp("splits")
    for seed, split in enumerate(("train", "test")):
        pictures(at / "photos" / split, 20, seed)
    pictures(at / "new", 20, 7)
    shutil.copytree(at / "photos", at / "copy")
    return trained_on(f"folder:{at / 'photos'}", at), at


@pytest.mark.parametrize(
    ("images", "split", "seen"),
    [
        ("photos", "all", True),
        ("photos", "train", True),
        ("photos", "test", False),
        ("photos/train", "all", True),
        ("photos/train/3.png", "all", True),
        ("photos/test", "all", False),
        ("photos/test/3.png", "all", False),
        ("copy", "all", True),
        ("copy/train", "all", True),
        ("copy", "test", False),
        ("copy/test", "all", False),
        ("new", "all", False),
    ],
)
def test_a_folder_has_training_images_or_not(images, split, seen, folders):
    run, at = folders
    assert bool(run.score(at / images, split=split, **QUICK).note) == seen
    assert bool(run.score(f"folder:{at / images}", split=split, **QUICK).note if "png" not in images else seen) == seen
    if "png" in images:
        assert bool(run.score([at / images] * 2, **QUICK).note) == seen


def test_the_runs_own_images_and_arrays_are_known(done, tmp_path):
    data = done.data()
    for images, split, seen in (
        (None, "all", True),
        (None, "train", True),
        (None, "test", False),
        (None, "validation", False),
        ("digits", "all", True),
        (data.train, "all", True),
        (data.test, "all", False),
        (data.validation, "all", False),
        (data.test.images, "all", False),
    ):
        assert bool(done.score(images, split=split, **QUICK).note) == seen, (images, split)
    levels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    run = trained_on((levels, np.arange(60) % 2), tmp_path)
    assert run.score(levels / 255, **QUICK).note == NOTE
    assert f"note: {NOTE}" in repr(run.score(levels, **QUICK))
    assert not run.score(255 - levels, **QUICK).note
    assert not run.score(run.data().test.images, **QUICK).note
    (run.path / "examples.safetensors").unlink()
    assert not vl.load(run.path).score(replace(run.data().test, name="other"), **QUICK).note


def test_the_command_warns_on_the_error_output(folders, capsys, tmp_path):
    run, at = folders
    words = ["score", str(run.path), "--samples", "2", "--out", str(tmp_path / "s.csv"), "--overwrite"]
    for images in ([], [str(at / "photos")]):
        assert main([*words, *images]) == 0
        said = capsys.readouterr()
        assert said.err == f"vaelab: warning: {NOTE}\n"
        assert NOTE not in said.out
    assert main([*words, "--split", "test"]) == main([*words, str(at / "new")]) == 0
    assert not capsys.readouterr().err
