"""A dozen images are enough: from four up a model is trained, measured as far as it can be, and drawn."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaelab as vl
from vaelab.cli.main import main
from vaelab.figures import FIGURES
from vaelab.system.errors import DataError

SPEC = vl.Spec(latent=2, network="mlp:hidden=8", epochs=2, nll_samples=3, likelihood="gaussian", protocol="8bit")


def made(count: int, channels: int, kind: str, home: Path) -> str:
    """So many images, as a source that names them."""
    images = np.random.default_rng(count).integers(0, 256, (count, 8, 8, channels), np.uint8)
    images = images[..., 0] if channels == 1 else images
    if kind == "npz":
        np.savez(home / "images.npz", images=images, labels=np.arange(count) % 2)
        return f"npz:{home / 'images.npz'}"
    (home / "images").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(home / "images" / f"{i}.png")
    return f"folder:{home / 'images'}"


@pytest.mark.thorough(0.5, group="trained whole")
@pytest.mark.parametrize(
    ("count", "channels", "kind", "test"),
    [(4, 3, "folder", 1), (5, 1, "npz", 1), (8, 1, "folder", 1), (12, 3, "npz", 1), (20, 1, "folder", 2)],
)
def test_few_images_are_trained_on_measured_and_drawn(count, channels, kind, test, tmp_path):
    said = list[str]()
    callback = vl.Callback(said.append, lambda status: None)
    spec = SPEC.model_copy(update={"data": made(count, channels, kind, tmp_path)})
    run = vl.train(spec, tmp_path / "runs", compile="never", callback=callback)
    images = {split: held["images"] for split, held in run.result["data"].items()}
    assert sum(images.values()) == count
    assert images["test"] == test
    assert run.result["steps"] == 2  # of all training images
    assert f"batch = 100: each step takes all {images['train']} training images, because there are no more" in said
    assert run.spec.batch == 100  # as it was asked for: the run's name stays what it is
    assert {"elbo", "nll", "bits_per_dim", "reconstruction_mse"} <= {metric.name for metric in run.metrics}

    drawn = {path.stem for path in vl.figure(run, callback=callback)}
    if test == 1:
        assert any(
            line.startswith("latents") and "left out: the aggregate posterior of 1 test" in line for line in said
        )
        assert drawn == {*FIGURES, "curves"} - {"interpolation"}
        assert any(line.startswith("interpolation left out: an interpolation of 1 test image;") for line in said)
        with pytest.raises(DataError, match="expected at least 2"):
            vl.figure(run, "interpolation")
    else:
        assert drawn == {*FIGURES, "curves"}


def test_the_command_says_what_is_left_out_of_a_dozen_images(tmp_path, monkeypatch, capsys):
    made(12, 1, "folder", tmp_path)
    monkeypatch.chdir(tmp_path)
    words = "train --data folder:images --likelihood gaussian --protocol 8bit --latent 2 --epochs 1 --compile never"
    assert main([*words.split(), "--network", "mlp:hidden=8", "--nll-samples", "2"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "batch = 100: each step takes all 10 training images" in out
    assert "interpolation left out" in out


def test_packs_of_few_images_are_lowered_alike(tmp_path):
    from tests.built import completed
    from vaelab.runs.claim import claim
    from vaelab.runs.directory import Run
    from vaelab.runs.vmapped import train_vmapped

    specs = [completed(SPEC.model_copy(update={"data": made(12, 1, "npz", tmp_path), "seed": s})) for s in (0, 1)]
    runs = [Run(tmp_path / f"seed{spec.seed}", must_exist=False) for spec in specs]
    for run, spec in zip(runs, specs, strict=True):
        claim(run, spec)
    said = list[str]()
    assert train_vmapped(runs, None, "never", vl.Callback(said.append, lambda status: None)) == {}
    assert [run.result["steps"] for run in runs] == [2, 2]
    assert "batch = 100: each step takes all 10 training images, because there are no more" in said
