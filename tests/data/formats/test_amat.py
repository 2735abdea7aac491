"""Text files of numbers: H. Larochelle's binarised MNIST and its relatives."""

from pathlib import Path

import numpy as np
import pytest

from vaelab.data.formats import amat
from vaelab.system.errors import DataError

random = np.random.default_rng(0)
BITS, GREY = random.integers(0, 2, (7, 16)), random.random((7, 16))


def written(path: Path, rows: np.ndarray, form: str = "%d", **options: str) -> Path:
    np.savetxt(path, rows, fmt=form, **options)
    return path


def images(levels: np.ndarray, *shape: int) -> np.ndarray:
    return levels.astype(np.uint8).reshape(-1, 1, *(shape or (4, 4)))


@pytest.mark.parametrize("form", ["%d", "%.1f", "%.18e"])
def test_bits_are_black_and_white_however_they_are_written(tmp_path: Path, form: str):
    path = written(tmp_path / "binarized_mnist_train.amat", BITS, form)
    read = amat.read(str(path))
    np.testing.assert_array_equal(read.train.images, images(255 * BITS), strict=True)
    assert read.train.labels is None
    assert read.said == (
        f"{path}: rows of 16 numbers are 4 x 4 pixels, without labels",
        f"{path}: 0 is read as black, 1 as white",
    )


def test_one_more_column_is_the_label(tmp_path: Path):
    path = written(tmp_path / "mnist_basic.amat", np.c_[GREY, np.arange(7)], "%.18e")
    read = amat.read(str(path))
    np.testing.assert_array_equal(read.train.images, images(np.round(255 * GREY)), strict=True)
    np.testing.assert_array_equal(read.train.labels, np.arange(7), strict=True)
    assert read.said == (f"{path}: rows of 17 numbers are 4 x 4 pixels and a label",)


def test_a_shape_of_the_user_s(tmp_path: Path):
    path = written(tmp_path / "a.amat", np.c_[BITS, np.arange(7)])
    read = amat.read(f"{path}:shape=2x8")
    np.testing.assert_array_equal(read.train.images, images(255 * BITS, 2, 8), strict=True)
    np.testing.assert_array_equal(read.train.labels, np.arange(7), strict=True)


def test_levels_to_255(tmp_path: Path):
    levels = random.integers(0, 256, (7, 16))
    read = amat.read(str(written(tmp_path / "a.amat", levels)))
    np.testing.assert_array_equal(read.train.images, images(levels), strict=True)


def test_a_folder_has_the_three_splits(tmp_path: Path):
    for split, count in (("train", 7), ("valid", 3), ("test", 2)):
        written(tmp_path / f"binarized_mnist_{split}.amat", BITS[:count])
    read = amat.read(str(tmp_path))
    assert read.validation is not None
    assert read.test is not None
    assert [len(part.images) for part in (read.train, read.validation, read.test)] == [7, 3, 2]


def test_a_folder_without_such_names_is_refused(tmp_path: Path, refused):
    written(tmp_path / "a.amat", BITS)
    with refused(DataError, tmp_path, "files a.amat", "one .amat file for each split"):
        amat.read(str(tmp_path))


def test_large_files_are_read_in_blocks_of_lines(tmp_path: Path, monkeypatch):
    path = written(tmp_path / "a.amat", np.c_[BITS, np.arange(7)], newline="\r\n")
    whole = amat.read(str(path))
    monkeypatch.setattr(amat, "TOGETHER", 50)  # a row and a half
    blocks = amat.read(str(path))
    np.testing.assert_array_equal(blocks.train.images, whole.train.images)
    np.testing.assert_array_equal(blocks.train.labels, np.arange(7))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("no rows",)),
        ("0 1 0 1\n0 1\n", ("cut short", "rows of 2 and of 4 numbers")),
        ("0.5 0.1 0 1\n0.5 0.1\n", ("cut short, or not rows of numbers",)),
        ("a b c d\n", ("not rows of numbers",)),
        ("é\n", ("not rows of numbers",)),
        ("0 1 0\n", ("rows of 3 numbers", "shape=28x20")),
        ("0.5 0.5 0.5 1.5\n", ("float32 values from 0.5 to 1.5", "floats in [0, 1]")),
        ("0.5 nan 0.5 0.5\n", ("NaN",)),
        ("0 1 0 1 0.5\n", ("last column: float32", "whole numbers")),
    ],
)
def test_other_texts_are_refused(tmp_path: Path, refused, text: str, words: tuple[str, ...]):
    (tmp_path / "a.amat").write_text(text)
    with refused(DataError, tmp_path / "a.amat", *words):
        amat.read(str(tmp_path / "a.amat"))


def test_a_shape_that_does_not_fit_is_refused(tmp_path: Path, refused):
    path = written(tmp_path / "a.amat", BITS)
    with refused(DataError, path, "rows of 16 numbers", "24 pixels for shape=6x4"):
        amat.read(f"{path}:shape=6x4")
    with refused(DataError, "nowhere.amat", "No such file"):
        amat.read("nowhere.amat")


def test_a_file_without_lines_is_not_read_to_its_end(tmp_path: Path, refused, monkeypatch):
    monkeypatch.setattr(amat, "TOGETHER", 1000)
    monkeypatch.setattr(amat, "LONGEST", 10_000)
    with (tmp_path / "a.amat").open("wb") as file:
        file.truncate(1_000_000)
    with refused(DataError, tmp_path / "a.amat", "a row of more than"):
        amat.read(str(tmp_path / "a.amat"))
