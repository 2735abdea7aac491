"""One-class MNIST: each detector gets the same images, and its scores come back by name."""

import json
import sys

import numpy as np
import pytest

import vaelab as vl
from benchmarks import one_class
from benchmarks.one_class import COMPARED, MODELS, Task, deviation, pyod_scores, table, vaelab_scores
from vaelab.serving.ranking import rank

TINY = Task(hidden=4, latent=2, epochs=1, batch=10)


def images(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)


@pytest.fixture
def test():
    return vl.Dataset("mnist", "test", images(12, 1), np.arange(12) % 3, "binary-dynamic")


@pytest.mark.parametrize("model", MODELS)
def test_every_score_of_vaelab_is_there(model, test, tmp_path):
    scores, seconds = vaelab_scores(tmp_path, 2, images(30, 0), test, TINY, model, regret=True)
    assert {name.removeprefix(f"{model}: ") for name in scores} == set(one_class.UNUSUAL)
    assert all(len(values) == 12 for values in scores.values())
    assert set(seconds) == {"training", "scores"}
    with np.load(tmp_path / "digit.npz") as arrays:
        assert np.array_equal(arrays["test_images"], test.images[2::3])


STUB = """
import json, sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[1])
with np.load(folder / "task.npz") as arrays:
    np.savez(folder / "pyod.npz", VAE=arrays["test"].max(1), AutoEncoder=arrays["train"].sum(1))
told = {"seconds": {"VAE": 1.0, "AutoEncoder": 2.0}, "versions": {"path": sys.path[0]}}
(folder / "pyod.json").write_text(json.dumps(told))
"""


def test_pyod_gets_the_same_pixels_and_budget(test, tmp_path, monkeypatch):
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setattr(one_class, "PEER", tmp_path / "stub.py")
    train = images(30, 0)
    scores, seconds, versions = pyod_scores(sys.executable, tmp_path, train, test, TINY)
    assert np.allclose(scores["pyod VAE"], test.images.reshape(12, -1).max(1) / 255)
    assert np.allclose(scores["pyod AutoEncoder"], train.reshape(30, -1).sum(1) / 255)
    assert seconds == {"pyod VAE": 1.0, "pyod AutoEncoder": 2.0}
    assert versions["path"] != str(tmp_path)  # no folder's modules hide those of Python
    task = json.loads((tmp_path / "task.json").read_text())
    assert (task["hidden"], task["latent"], task["epochs"], task["batch"]) == (4, 2, 1, 10)


def test_deviations_give_the_standard_error_of_delong():
    random = np.random.default_rng(0)
    unusual = np.arange(400) % 4 > 0
    values = np.round(random.normal(size=400) + unusual, 1)  # with ties
    spread = np.linalg.norm(deviation(values, unusual))
    found = rank(values, unusual)
    low, high = (np.log(at / (1 - at)) for at in found.auroc_interval)
    assert spread == pytest.approx((high - low) / 2 / 1.96 * found.auroc * (1 - found.auroc), rel=0.01)


def test_table_has_the_best_mean_first_and_the_errors_of_means_and_differences():
    aurocs = {"a": {1: 0.5, 8: 0.6}, COMPARED: {1: 0.9, 8: 0.8}}
    lines = table(aurocs, {"a": np.array([0.03, 0.04]), COMPARED: np.array([0.03, 0.0])}).splitlines()
    assert lines[0] == "| score | mean | compared minus this | 1 | 8 |"
    assert lines[2:] == [
        f"| {COMPARED} | 85.0 ± 3.0 |  | 90.0 | 80.0 |",
        "| a | 55.0 ± 5.0 | 30.0 ± 4.0 | 50.0 | 60.0 |",
    ]
