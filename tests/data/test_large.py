"""SVHN at its official size: generated files, read in a fresh process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

MEASURE = r"""
import re, sys, time
from vaelab.data import load_data
start = time.perf_counter()
splits = load_data("svhn", sys.argv[1])
print(len(splits.train), len(splits.validation), len(splits.test), splits.test.note or "official")
# not ru_maxrss, which a process inherits from the one that started it
peak = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())
print(time.perf_counter() - start, int(peak[1]) * 1024 / 1e9)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("content", ["noise", "smooth"])
def test_official_size_in_under_ten_seconds_and_1200_megabytes(tmp_path: Path, content: str):
    (tmp_path / "svhn").mkdir()
    random = np.random.default_rng(0)
    for name, count in (("train", 73_257), ("test", 26_032)):
        images = random.integers(0, 256, (32, 32, 3, count), np.uint8)
        if content == "smooth":  # a gradient with a little noise packs to about 0.7 of its size, as real SVHN does
            images = (images >> 5) + np.arange(0, 128, 4, dtype=np.uint8)[:, None, None, None]
        labels = random.integers(1, 11, (count, 1)).astype(np.uint8)
        savemat(tmp_path / "svhn" / f"{name}_32x32.mat", {"X": images, "y": labels}, do_compression=True)
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    counts, cost = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    seconds, gigabytes = map(float, cost.split())
    print(f"{content}: {seconds:.1f} s, {gigabytes:.2f} GB")
    assert counts == "65931 7326 26032 official"
    assert seconds < 10
    assert gigabytes < 1.2
