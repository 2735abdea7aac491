"""False alarms on real images: 200 random splits of held-out images into calibration and test, asked 5 %."""

import math
from pathlib import Path

import numpy as np
import pytest

import vaelab as vl
from vaelab.serving.conformal import p_values
from vaelab.serving.scores import Scores, score

pytestmark = pytest.mark.slow
ALARM, SPLITS = 0.05, 200
SCORES = ("nll_nats", "distortion_nats", "complexity_corrected_nats")


def scored(folder: Path, train: np.ndarray, held_out: np.ndarray, protocol: str) -> Scores:
    """The scores of images that a small model was not trained on."""
    np.savez(folder / "images.npz", train_images=train, test_images=held_out)
    spec = vl.Spec(
        data=f"npz:{folder}/images.npz",
        protocol=protocol,
        latent=5,
        network="mlp:hidden=64",
        epochs=5,
        batch=50,
        validation=0,
        nll_samples=1,
    )
    run = vl.train(spec, folder, "run", compile="never", callback=vl.SILENT)
    return score(run.model(), run.data().test, samples=10)


@pytest.mark.parametrize(("name", "calibration", "protocol"), [("mnist", 999, "binary-dynamic"), ("frey", 479, "8bit")])
def test_false_alarms_are_as_asked(name, calibration, protocol, real_data, tmp_path):
    """The mean over the splits is within 3 standard errors of 5 %, and its spread is that of exchangeable scores."""
    data = vl.load(name, root=real_data)
    if name == "mnist":
        train, held_out = data.train.images[:3000], data.test.images[:2000]
    else:
        frames = np.concatenate([split.images for split in (data.train, data.validation, data.test) if split])
        train, held_out = np.split(np.random.default_rng(0).permutation(frames), [900])
    found = scored(tmp_path, train, held_out, protocol)
    random, n, test = np.random.default_rng(0), calibration, len(held_out) - calibration
    k = round(ALARM * (n + 1))
    assert k / (n + 1) == ALARM
    for which in SCORES:
        values, seen = found.unusual(which), np.empty(SPLITS)
        for split in range(SPLITS):
            order = random.permutation(len(values))
            seen[split] = (p_values(values[order[:n]], values[order[n:]]) <= ALARM).mean()
        error = seen.std(ddof=1) / math.sqrt(SPLITS)
        exchangeable = math.sqrt(
            k * (n + 1 - k) / (n + 1) ** 2 / (n + 2) + ALARM * (1 - ALARM) / test * (n + 1) / (n + 2)
        )
        print(
            f"{name}, {which}: {n} images calibrate, {test} are tested: seen {seen.mean():.2%} +- {error:.2%}, "
            f"sd of a split {seen.std(ddof=1):.2%} (exchangeable: {exchangeable:.2%})"
        )
        assert abs(seen.mean() - ALARM) <= 3 * error
        assert 0.8 < seen.std(ddof=1) / exchangeable < 1.2
