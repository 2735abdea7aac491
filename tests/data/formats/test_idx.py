import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vaelab.data.formats import idx
from vaelab.system.errors import DataError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([7, 1], np.uint8)


def encoded(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@given(
    array=arrays.arrays(np.uint8, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)),
    ending=st.sampled_from(["", ".gz"]),
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, ending: str):
    path = write(tmp_path_factory.mktemp("idx") / f"array{ending}", encoded(array))
    read = idx.array(path, array.ndim)
    np.testing.assert_array_equal(read, array, strict=True)
    assert read.flags.writeable


def test_one_file_of_images_and_a_pair(tmp_path: Path):
    images = write(tmp_path / "images.gz", encoded(IMAGES))
    labels = write(tmp_path / "labels", encoded(LABELS))
    contents = idx.read(str(images))
    alone = contents.train
    assert contents.test is None
    assert alone.labels is None
    np.testing.assert_array_equal(alone.images, IMAGES[:, None], strict=True)
    pair = idx.read(f"{images},{labels}").train
    np.testing.assert_array_equal(pair.labels, np.array([7, 1]), strict=True)


def test_a_directory_mixes_plain_and_gzipped_files(tmp_path: Path):
    for name, array in zip(idx.FILES, (IMAGES, LABELS, IMAGES[:1] + 100, LABELS[:1]), strict=True):
        write(tmp_path / (name if "labels" in name else f"{name}.gz"), encoded(array))
    contents = idx.read(str(tmp_path))
    train, test = contents.train, contents.test
    assert test is not None
    assert (len(train.images), len(test.images)) == (2, 1)
    assert test.images[0, 0, 0, 0] == 100


def test_a_directory_without_all_four_files_is_refused(tmp_path: Path, refused):
    write(tmp_path / idx.FILES[0], encoded(IMAGES))
    with refused(DataError, tmp_path, "no train-labels", "t10k-images"):
        idx.read(str(tmp_path))


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("length", range(len(encoded(IMAGES))))
def test_a_truncated_file_is_refused(tmp_path: Path, refused, length: int, ending: str):
    path = write(tmp_path / f"cut{ending}", encoded(IMAGES)[:length])
    with refused(DataError, path):
        idx.read(str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encoded(IMAGES) + b"\0", ("41 bytes", "40 bytes", "(2, 3, 4)")),
        (b"\0\0\x08\x03" + b"\xff" * 12, ("16 bytes", "4294967295")),
        (encoded(LABELS), ("00 00 08 01", "00 00 08 03")),
        (b"\0\0\x0d\x03" + encoded(IMAGES)[4:], ("00 00 0d 03",)),
        (encoded(IMAGES[None]), ("00 00 08 04",)),
        (encoded(IMAGES)[::-1], ("expected '00 00 08 03'",)),
        (gzip.compress(encoded(IMAGES)), ("1f 8b", ".gz in its name")),
        (encoded(IMAGES[:0]), ("no pixels",)),
        (encoded(IMAGES[:, :0]), ("no pixels",)),
    ],
    ids=["too long", "huge", "labels", "floats", "4 dimensions", "reversed", "unnamed gzip", "no images", "no rows"],
)
def test_what_is_not_idx_images_is_refused(tmp_path: Path, refused, content: bytes, words: tuple[str, ...]):
    path = write(tmp_path / "images", content)
    with refused(DataError, path, *words):
        idx.read(str(path))


@pytest.mark.parametrize("length", range(1, len(gzip.compress(encoded(IMAGES))), 3))
def test_a_truncated_gzip_is_refused(tmp_path: Path, refused, length: int):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(encoded(IMAGES))[:length])
    with refused(DataError, path, f"{length} bytes", "complete gzip file"):
        idx.read(str(path))


def test_an_empty_gzip_is_refused(tmp_path: Path, refused):
    (tmp_path / "images.gz").touch()
    with refused(DataError, tmp_path / "images.gz"):
        idx.read(str(tmp_path / "images.gz"))


@pytest.mark.parametrize("place", [0, 3, 20, -6, -1])
def test_a_damaged_gzip_is_refused(tmp_path: Path, refused, place: int):
    damaged = bytearray(gzip.compress(encoded(IMAGES)))
    damaged[place] ^= 0xFF
    (tmp_path / "images.gz").write_bytes(damaged)
    with refused(DataError, tmp_path / "images.gz"):
        idx.read(str(tmp_path / "images.gz"))


def test_a_plain_file_named_gz_is_refused(tmp_path: Path, refused):
    (tmp_path / "images.gz").write_bytes(encoded(IMAGES))
    with refused(DataError, tmp_path / "images.gz", "not gzip data", "remove .gz"):
        idx.read(str(tmp_path / "images.gz"))


def test_unequal_counts_swapped_and_missing_files_are_refused(tmp_path: Path, refused):
    images, labels = write(tmp_path / "i", encoded(IMAGES)), write(tmp_path / "l", encoded(LABELS[:1]))
    with refused(DataError, images, labels, "2 images", "(1,)"):
        idx.read(f"{images},{labels}")
    with refused(DataError, labels, "swapped"):
        idx.read(f"{labels},{images}")
    with refused(DataError, tmp_path / "nowhere", "No such file"):
        idx.read(f"{images},{tmp_path / 'nowhere'}")
