"""Write the training images once, so that all peers train on the same pixels."""

from pathlib import Path

import numpy as np

from benchmarks.workloads import Workload
from vaelab.data import load_data

SVHN_FULL = {"train": 73_257, "test": 26_032}
SEED = 0


def write_training_arrays(chosen: dict[str, Workload], folder: Path, root: str | None) -> None:
    """Write FOLDER/<key>.npy for each workload that trains, and .npz for vaelab.

    MNIST is binarised once, with the protocol `binary-static`. A slice of SVHN is repeated until it is long enough.

    Arguments:
        root: the data directory (see `vaelab.data.load_data`).
    """
    sources: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for key, workload in chosen.items():
        if workload.training is None:
            continue
        grey = workload.training.shape[0] == 1
        name, protocol = ("mnist", "binary-static") if grey else ("svhn", "levels")
        if name not in sources:
            splits = load_data(name, root, validation=0, protocol=protocol)
            sources[name] = splits.train.images, splits.test.images
        train, test = sources[name]
        rows = np.arange(workload.training.images) % len(train)
        np.save(folder / f"{key}.npy", train[rows])
        np.savez(folder / f"{key}.npz", train_images=train[rows], test_images=test[:1000])


def write_full_svhn(folder: Path) -> Path:
    """Write a generated SVHN of the official size and format in `folder`, a data directory for `vaelab.data.load_data`.

    A gradient with a little noise compresses to about 0.7 of its size, as the real SVHN does.
    """
    from scipy.io import savemat

    (folder / "svhn").mkdir(exist_ok=True)
    random = np.random.default_rng(SEED)
    for name, count in SVHN_FULL.items():
        images = random.integers(0, 256, (32, 32, 3, count), np.uint8) >> 5
        images += np.arange(0, 128, 4, dtype=np.uint8)[:, None, None, None]
        labels = random.integers(1, 11, (count, 1)).astype(np.uint8)
        savemat(folder / "svhn" / f"{name}_32x32.mat", {"X": images, "y": labels}, do_compression=True)
    return folder
