"""The benchmark of encoding: it measures processes, and both sides do the same work."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vaelab as vl
from benchmarks import encoding
from benchmarks.encoding import FIRST, KEPT, LOADER, MNIST, Cost, measured, same, table, write_jpegs
from vaelab.serving.latents import encode
from vaelab.serving.source import open_images


def test_a_process_is_measured_without_the_memory_of_this_one():
    held = np.ones(300_000_000 // 8)
    code = "import time; time.sleep(0.3); sum(range(10**6)); print('text')"
    cost = measured([sys.executable, "-c", code], {})
    assert held.sum()
    assert cost.wall_s >= 0.3
    assert cost.cpu_s > 0
    assert 3 < cost.peak_mb < 100
    with pytest.raises(subprocess.CalledProcessError):
        measured([sys.executable, "-c", "raise SystemExit(3)"], {})


def test_ratios_are_taken_within_pairs():
    walls = {LOADER: (10, 30, 20), FIRST: (5, 10, 40), KEPT: (1, 1, 1), MNIST: (4, 4, 4)}
    shown = table({name: [Cost(wall, 1, 1000) for wall in each] for name, each in walls.items()})
    assert f"| {FIRST} | 10.0 s | 1.0 s | 1,000 MB | 2.00 (0.50 to 3.00) |" in shown
    assert f"| {KEPT} | 1.0 s | 1.0 s | 1,000 MB | 20.00 (10.00 to 30.00) |" in shown
    assert f"| {MNIST} | 4.0 s | 1.0 s | 1,000 MB |  |" in shown


@pytest.mark.thorough(0.2, group="benchmarks")
def test_the_peer_encodes_the_same_images_with_the_same_network(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 8, 8), np.uint8)
    write_jpegs(tmp_path / "images", images, 7)
    np.savez(tmp_path / "train.npz", images=images)
    spec = vl.Spec(
        data=f"npz:{tmp_path / 'train.npz'}",
        protocol="levels",
        likelihood=encoding.LIKELIHOOD["levels"],
        validation=0,
        epochs=1,
        nll_samples=1,
    )
    run = vl.train(spec, tmp_path / "runs", compile="never", device="cpu", callback=vl.SILENT)
    found = open_images(run.model(), str(tmp_path / "images"))
    np.savez(tmp_path / "ours.npz", name=np.array(found.names), **encode(run.model(), found.data).arrays())
    peer = [encoding.PEER, tmp_path / "images", run.path / "model.safetensors", tmp_path / "theirs.npz", 1, 1]
    measured([sys.executable, *peer], {})
    assert same(tmp_path / "ours.npz", tmp_path / "theirs.npz") < 1e-5
    found.data.images[3] = 0
    np.savez(tmp_path / "ours.npz", name=np.array(found.names), **encode(run.model(), found.data).arrays())
    assert same(tmp_path / "ours.npz", tmp_path / "theirs.npz") > 1e-3
