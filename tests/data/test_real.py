"""The real files, where they are (see the fixture `real`)."""

from pathlib import Path

import numpy as np

from vaelab.data import load_data


def test_mnist(real: Path):
    splits = load_data("mnist", real, validation=0)
    assert (len(splits.train), len(splits.test)) == (60_000, 10_000)
    assert splits.train.shape == (1, 28, 28)
    assert splits.train.note == splits.test.note == ""
    assert splits.train.labels is not None
    assert splits.test.labels is not None
    assert splits.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert splits.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    # upright: sevens have their ink above, and ones are tall
    mean = {digit: splits.test.images[splits.test.labels == digit].mean((0, 1)) for digit in (1, 7)}
    assert mean[7][:14].sum() > 1.1 * mean[7][14:].sum()
    assert np.ptp(np.nonzero(mean[1].max(1) > 60)[0]) > 1.5 * np.ptp(np.nonzero(mean[1].max(0) > 60)[0])


def test_mnist_validation_comes_out_of_the_training_images(real: Path):
    splits = load_data("mnist", real)
    assert splits.validation is not None
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (54_000, 6_000, 10_000)


def test_svhn(real: Path):
    splits = load_data("svhn", real, validation=0)
    assert splits.train.shape == (3, 32, 32)
    assert splits.train.labels is not None
    assert set(splits.train.labels) == set(range(10))
    counts = (len(splits.train), len(splits.test))
    assert splits.test.note == ("" if counts == (73_257, 26_032) else f"SVHN slice, {counts[0]:,}/{counts[1]:,}")
    # the official training file begins with the house numbers 19 and 23
    assert splits.train.labels[:4].tolist() == [1, 9, 2, 3]


def test_frey(real: Path):
    splits = load_data("frey", real, validation=0.1)
    assert splits.validation is not None
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 1965
    assert splits.train.shape == (1, 28, 20)
    assert splits.train.labels is None
