"""Encode files of images: the time and the memory of whole processes, beside a plain torch DataLoader.

    python -m benchmarks.encoding                        # 60,000 JPEGs, MNIST; three pairs
    python -m benchmarks.encoding --images 2000 --pairs 1

The JPEGs are 32 x 32 RGB: images of SVHN, each with its own change of brightness. They and a model that was trained for
one epoch are made in a temporary folder and deleted. Every process has the same encoder and writes an .npz with names,
mean and scale. The peer is `encoding_peer.py`: it decodes with Pillow in the worker processes of a DataLoader. Each
pair runs every row once, one after another; the table has medians, and ratios that were taken within the pairs.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image

import vaelab as vl
from benchmarks.found import require

PEER = Path(__file__).with_name("encoding_peer.py")
LOADER, FIRST, KEPT, MNIST = "DataLoader", "vaelab, first time", "vaelab, kept images", "vaelab, MNIST"
LAUNCHER = """
import os, sys, time
began = time.monotonic()
nothing = os.open(os.devnull, os.O_WRONLY)
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 1)])
_, status, used = os.wait4(child, 0)
print(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
BRIGHTER = 8  # levels, at most
QUALITY = 90  # of the JPEGs
LIKELIHOOD = {"levels": "discretised-gaussian:sigma=shared", "binary-dynamic": "bernoulli"}


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds by the clock, CPU seconds with those of its workers, and its largest memory."""

    wall_s: float
    cpu_s: float
    peak_mb: float  # 2^20 bytes; of the largest process, if there are several


def measured(command: Sequence[object], environment: Mapping[str, str]) -> Cost:
    """Run a command as a process of its own, started by a small one: a process begins with its parent's peak memory.

    Raises:
        CalledProcessError: it failed.
    """
    words = [sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, command)]
    told = subprocess.run(words, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(*map(float, told.stdout.splitlines()[-1].split()))


def write_jpegs(folder: Path, images: np.ndarray, count: int) -> None:
    """Write `count` JPEGs: images uint8 [N, 3, H, W], each chosen at random and made brighter or darker."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        image = images[random.integers(len(images))].astype(int) + random.integers(-BRIGHTER, BRIGHTER + 1, (3, 1, 1))
        levels = image.clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(levels)).save(folder / f"{number:06}.jpg", quality=QUALITY)


def trained(folder: Path, data: str, protocol: str, root: str | None) -> Path:
    """The directory of a run of one epoch with the network `mlp`."""
    spec = vl.Spec(data=data, protocol=protocol, likelihood=LIKELIHOOD[protocol], epochs=1, nll_samples=1)
    return vl.train(spec, folder / data, root=root, compile="never", device="cpu", callback=vl.SILENT).path


def same(ours: Path, theirs: Path) -> float:
    """The largest difference of the arrays of two outputs, relative to the largest value of each.

    Raises:
        AssertionError: the names of the images differ.
    """
    with np.load(ours) as one, np.load(theirs) as other:
        assert one["name"].tolist() == other["name"].tolist(), "other images"
        return max(float(abs(one[key] - other[key]).max() / abs(one[key]).max()) for key in ("mean", "scale"))


def table(costs: Mapping[str, Sequence[Cost]]) -> str:
    """A row for each kind of process; the ratio is the time of the DataLoader in the same pair, divided by its own."""
    lines = [
        "| process | wall | CPU | peak memory | times faster than the DataLoader: median (least to most) |",
        "|---|---|---|---|---|",
    ]
    for name, each in costs.items():
        wall, cpu, peak = (np.median([getattr(cost, of) for cost in each]) for of in ("wall_s", "cpu_s", "peak_mb"))
        ratios = [peer.wall_s / own.wall_s for peer, own in zip(costs[LOADER], each, strict=True)]
        shown = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        shown = "" if name in (LOADER, MNIST) else shown
        lines.append(f"| {name} | {wall:.1f} s | {cpu:.1f} s | {peak:,.0f} MB | {shown} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60_000, help="number of JPEGs")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="of the DataLoader")
    parser.add_argument("--threads", type=int, default=1, help="of torch, in each process; 0: as torch chooses")
    parser.add_argument("--data-root", help="the data directory, as in `vaelab train`")
    asked = parser.parse_args()
    require(["mnist", "svhn"], asked.data_root)
    costs = {name: list[Cost]() for name in (LOADER, FIRST, KEPT, MNIST)}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        svhn = vl.load_data("svhn", root=asked.data_root, validation=0).train.images
        write_jpegs(folder / "images", np.asarray(svhn), asked.images)
        time.sleep(3)  # vaelab keeps no image that changed in the last two seconds
        run = trained(folder, "svhn", "levels", asked.data_root)
        digits = trained(folder, "mnist", "binary-dynamic", asked.data_root)
        ours, theirs, kept = folder / "ours.npz", folder / "theirs.npz", {"XDG_CACHE_HOME": str(folder / "cache")}
        encode = [sys.executable, "-m", "vaelab", "encode"]
        common = ["--out", ours, "--overwrite", "--device", "cpu", "--threads", asked.threads]
        common += ["--data-root", asked.data_root] if asked.data_root else []
        peer = [PEER, folder / "images", run / "model.safetensors", theirs, asked.workers, asked.threads]
        for pair in range(asked.pairs):
            shutil.rmtree(folder / "cache", ignore_errors=True)
            costs[LOADER].append(measured([sys.executable, *peer], kept))
            costs[FIRST].append(measured([*encode, run, folder / "images", *common], kept))
            costs[KEPT].append(measured([*encode, run, folder / "images", *common], kept))
            difference = same(ours, theirs)
            costs[MNIST].append(measured([*encode, digits, "mnist", "--split", "train", *common], kept))
            print(f"pair {pair + 1}: outputs differ by at most {difference:.0e}", file=sys.stderr, flush=True)
    print(table(costs))
    print(
        f"\n{asked.images:,} JPEGs of 32 x 32; {asked.pairs} pairs; {asked.workers} workers; threads {asked.threads}; "
        f"{os.cpu_count()} processors ({platform.machine()}); Python {platform.python_version()}, torch "
        f"{torch.__version__}, Pillow {PIL.__version__}; load {os.getloadavg()[1]:.1f} (5 minutes); "
        f"{time.strftime('%Y-%m-%d')}"
    )


if __name__ == "__main__":
    main()
