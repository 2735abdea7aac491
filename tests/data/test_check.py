import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vaelab.data import fetch
from vaelab.data.check import check, listing
from vaelab.system.errors import DataError


def svhn(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, count in (("train", 6), ("test", 3)):
        images = np.random.default_rng(count).integers(0, 256, (32, 32, 3, count), np.uint8)
        savemat(folder / f"{name}_32x32.mat", {"X": images, "y": np.full((count, 1), 10, np.uint8)})


def test_a_source_is_described_split_by_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    svhn(tmp_path / "svhn")
    digests = dict(fetch.PUBLISHED["svhn"].md5)
    digests["test_32x32.mat"] = hashlib.md5((tmp_path / "svhn" / "test_32x32.mat").read_bytes()).hexdigest()
    monkeypatch.setitem(fetch.PUBLISHED, "svhn", fetch.PublishedFile((), digests, {}))
    (train, test), said = check("svhn", tmp_path)
    assert said == (f"svhn is read from {tmp_path / 'svhn'}",)
    assert (train.split, train.count, train.shape, train.labels) == ("train", 6, (3, 32, 32), {"0": 6})
    assert (test.split, test.count, test.protocol, test.note) == ("test", 3, "8bit", "SVHN slice, 6/3")
    assert (train.official, test.official) == (False, True)
    assert len({train.sha256, test.sha256}) == 2


def test_digits_are_checked_whole():
    (train, test), said = check("digits")
    assert said == ()
    assert train.count + test.count == 1797
    assert train.labels is not None
    assert test.labels is not None
    assert sum(train.labels.values()) + sum(test.labels.values()) == 1797
    assert train.official is None


def test_checking_what_is_not_there_is_refused(tmp_path: Path, refused):
    with refused(DataError, tmp_path / "mnist", "vaelab data fetch mnist"):
        check("mnist", tmp_path)


def test_the_listing_says_what_is_there_and_where(tmp_path: Path):
    svhn(tmp_path / "svhn")
    rows = {row.usage: row for row in listing(tmp_path)}
    assert list(rows) == [
        "digits",
        "shapes",
        "mnist",
        "svhn",
        "frey",
        "idx:DIR|IMAGES[,LABELS]",
        "npz:FILE",
        "npy:IMAGES[,LABELS]",
        "h5:FILE",
        "mat:FILE",
        "amat:FILE|DIR",
        "pt:FILE",
        "safetensors:FILE",
        "parquet:FILE|DIR",
        "zip:FILE",
        "tar:FILE",
        "folder:DIR",
    ]
    assert (rows["digits"].present, rows["digits"].where) == (True, None)
    assert (rows["svhn"].present, rows["svhn"].where) == (True, tmp_path / "svhn")
    assert (rows["mnist"].present, rows["mnist"].where) == (False, tmp_path / "mnist")
    assert (rows["npz:FILE"].present, rows["npz:FILE"].where) == (None, None)
    assert all(row.summary and row.protocol for row in rows.values())


def test_real_files_are_told_from_a_slice(real: Path):
    assert [row.official for row in check("mnist", real)[0]] == [True, True]
    rows, _ = check("svhn", real)
    official = (rows[0].count, rows[1].count) == (73_257, 26_032)
    assert [row.official for row in rows] == [official, official]


def test_the_factors_are_listed_with_their_numbers_of_values(tmp_path: Path):
    images, factors = np.zeros((4, 2, 2), np.uint8), np.array([[0, 1], [0, 2], [0, 3], [0, 3]])
    np.savez(
        tmp_path / "a.npz", train_images=images, train_factors=factors, test_images=images, factor_names=["a", "b"]
    )
    rows, _ = check(f"npz:{tmp_path / 'a.npz'}")
    assert [row.factors for row in rows] == [{"a": 1, "b": 3}, {}]
