"""A small classifier of a data set's own labels; its penultimate activations are features of the images."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vaelab.data.dataset import Dataset
from vaelab.evaluation.proportion import Proportion
from vaelab.randomness.seeds import seed_generator
from vaelab.system.errors import DataError, RunError
from vaelab.system.files import make_folder
from vaelab.system.tensor_file import digest, read_tensors, write_tensors

FEATURES = 64
FEWEST = 100  # training images; a tenth of them is held out
HELD_OUT = 2_000  # images at most; the accuracy is then known within 1 %
FITTED_ON = 20_000  # images at most
STEPS, BATCH, RATE = 1_000, 128, 4e-3
VERSION = (
    f"conv 3x3/2 16, 32, mean 4x4, {FEATURES}; Adam {RATE:g}, {STEPS} x {BATCH} of {FITTED_ON}, "
    f"{HELD_OUT} held out; digest of all"
)


@dataclass(frozen=True)
class Classifier:
    """A fitted network; all layers but the last map images [N, C, H, W] in [0, 1] to features [N, 64]."""

    network: nn.Sequential
    accuracy: Proportion  # on held-out training images; no test image is used

    @property
    def features(self) -> nn.Module:
        return self.network[:-1]


def check_labels(train: Dataset) -> None:
    """Raise DataError if `train` has too few images, no labels, or labels of one class only."""
    if train.labels is None:
        raise DataError(
            found=f"features=classifier for {train.name}, whose training images have no labels",
            expected="a label for each image",
            do="use features=pixels, or features=package.module.Name for your own network",
        )
    if len(train) < FEWEST or len(np.unique(train.labels)) < 2:
        raise DataError(
            found=f"features=classifier for {len(train):,} training images of {len(np.unique(train.labels))} classes",
            expected=f"at least {FEWEST} images of at least 2 classes",
            do="use features=pixels, or more images",
        )


def seen(train: Dataset) -> int:
    """Return how many images of `train`, the first of `by_content`, the classifier is fitted to or judged by."""
    return _held_out(train) + min(FITTED_ON, len(train) - _held_out(train))


def classifier(train: Dataset, cache: Path) -> Classifier:
    """Return the classifier of the labels of `train`: read it from `cache`, or fit it and store it there.

    It is a convolutional network in float32. It is fitted on the CPU, with one thread and a fixed seed, to up to 20,000
    images with plain levels u / 255, for every protocol. Its accuracy is measured on up to 2,000 other images, at most
    a tenth of all. Both sets are taken in the order `by_content`. There is one file for each set of training images,
    labels and version, which many models share.

    Raises:
        RunError: the file in the cache is damaged, or the cache is not writable.
    """
    if (known := cached(train, cache)) is not None:
        return known
    make_folder(cache)
    fitted = _fit(train)
    count, n = str(fitted.accuracy.count), str(fitted.accuracy.n)
    header = {"version": VERSION, "train": train.sha256, "right": count, "held_out": n}
    write_tensors(_path(train, cache), fitted.network.state_dict(), header)
    return fitted


def cached(train: Dataset, cache: Path) -> Classifier | None:
    """Return the classifier in the cache, or None if there is none.

    Raises:
        RunError: its file is damaged.
    """
    path = _path(train, cache)
    if not path.exists():
        return None
    again = "delete it; vaelab fits the classifier again"
    tensors, header = read_tensors(path, damaged=again)
    try:
        with torch.random.fork_rng(devices=[]):  # it starts from random weights, which are then replaced
            network = _network(train)
        network.load_state_dict(tensors)
        accuracy = Proportion(int(header["right"]), int(header["held_out"]))
    except (RuntimeError, KeyError, ValueError) as error:
        raise RunError(
            found=f"{path} is damaged ({str(error).splitlines()[0]})",
            expected="a classifier that vaelab wrote",
            do=again,
        ) from error
    return Classifier(network.eval(), accuracy)


def weights_sha256(module: nn.Module) -> str:
    """Return a hexadecimal digest of the names, types, shapes and bytes of a module's parameters and buffers."""
    return digest(module.state_dict())


def _path(train: Dataset, cache: Path) -> Path:
    return cache / f"classifier-{hashlib.sha256(f'{VERSION} {train.sha256}'.encode()).hexdigest()[:16]}.safetensors"


def _held_out(train: Dataset) -> int:
    return min(HELD_OUT, len(train) // 10)


def _network(train: Dataset) -> nn.Sequential:
    assert train.labels is not None
    return nn.Sequential(
        nn.Conv2d(train.shape[0], 16, kernel_size=3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, FEATURES),
        nn.BatchNorm1d(FEATURES),  # so that features are of order 1 for all data
        nn.ReLU(),
        nn.Linear(FEATURES, len(np.unique(train.labels))),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: sums over threads round differently, and the digest of the weights is part of a metric's name."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _fit(train: Dataset) -> Classifier:
    held, known = _held_out(train), seen(train)
    ordered = train.take(train.by_content[:known])
    images = torch.from_numpy(ordered.in_memory)
    assert ordered.labels is not None
    classes = torch.from_numpy(np.unique(ordered.labels, return_inverse=True)[1])
    with _one_thread(), torch.random.fork_rng(devices=[]), torch.enable_grad():
        seed_generator(torch.device("cpu"), 0)
        network = _network(train)
        adam = torch.optim.Adam(network.parameters())
        for step in range(STEPS):
            adam.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
            chosen = torch.randint(held, known, (BATCH,))
            adam.zero_grad()
            cross_entropy(network(scaled(images[chosen])), classes[chosen]).backward()
            adam.step()
    network.eval().requires_grad_(False)
    with torch.no_grad():
        right = sum(
            int((network(scaled(x)).argmax(1) == y).sum())
            for x, y in zip(images[:held].split(BATCH), classes[:held].split(BATCH), strict=True)
        )
    return Classifier(network, Proportion(right, held))


def scaled(images: Tensor) -> Tensor:
    """Return levels uint8 as float32 in [0, 1], u / 255, for every protocol."""
    return images.float() / 255
