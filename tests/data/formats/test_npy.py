"""Images that stay in a .npy file are those that memory would hold, and a file that cannot be used so is refused."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import Trap
from vaelab.data import load_data
from vaelab.data.dataset import Dataset
from vaelab.data.formats import npy
from vaelab.data.stored import Stored, blocks
from vaelab.system.errors import DataError, SpecError

RGB = np.random.default_rng(1).integers(0, 256, (70, 3, 6, 4), np.uint8)
LABELS = np.arange(70, dtype=np.uint8) % 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "labels.npy", LABELS)
    np.save(tmp_path / "images.npy", RGB)
    return tmp_path / "images.npy"


def stored(path: Path) -> Stored:
    images = npy.read(str(path)).train.images
    assert isinstance(images, Stored)
    return images


def test_splits_on_disk_are_those_in_memory(path: Path):
    np.savez(path.with_suffix(".npz"), images=RGB, labels=LABELS)
    there = load_data(f"npy:{path},{path.with_name('labels.npy')}", seed=3)
    here = load_data(f"npz:{path.with_suffix('.npz')}", seed=3)
    for a, b in zip((there.train, there.validation, there.test), (here.train, here.validation, here.test), strict=True):
        assert a is not None
        assert b is not None
        assert isinstance(a.images, Stored)
        np.testing.assert_array_equal(a.images[:], b.images)
        np.testing.assert_array_equal(a.labels, b.labels, strict=True)
        assert (len(a), a.shape, a.note, a.protocol, a.sha256) == (len(b), b.shape, b.note, b.protocol, b.sha256)
        np.testing.assert_array_equal(a.digests, b.digests)
        np.testing.assert_array_equal(a.some(3).in_memory, b.some(3).images, strict=True)


def test_images_without_an_axis_of_channels_get_one(tmp_path: Path):
    np.save(tmp_path / "grey.npy", RGB[:, 0])
    np.testing.assert_array_equal(stored(tmp_path / "grey.npy")[:], RGB[:, :1], strict=True)


WHITE = 255 * (RGB > 99).astype(np.uint8)


@pytest.mark.parametrize(
    ("array", "options", "images"),
    [
        (RGB.transpose(0, 2, 3, 1).copy(), "", RGB),
        (RGB.transpose(3, 0, 1, 2).copy(), ":axes=WNCH", RGB),
        (RGB.reshape(70, -1), ":shape=3x6x4", RGB),
        (RGB.reshape(70, -1).T.copy(), ":shape=3x6x4", RGB),
        (RGB.transpose(0, 3, 2, 1).reshape(70, -1), ":shape=3x6x4:order=F", RGB),
        (RGB.astype(np.int64), "", RGB),
        ((RGB / 255).astype(np.float32), "", RGB),
        (RGB > 99, "", WHITE),
        ((RGB > 99) * 1, "", WHITE),
    ],
    ids=["NHWC", "WNCH", "flat", "columns", "Fortran", "int64", "float", "bool", "0 and 1"],
)
def test_images_are_converted_when_they_are_read(tmp_path: Path, array, options: str, images: np.ndarray):
    np.save(tmp_path / "a.npy", array)
    read = npy.read(f"{tmp_path / 'a.npy'}{options}").train.images
    places = np.array([5, 2, 2, 69])
    np.testing.assert_array_equal(read[places], images[places], strict=True)
    np.testing.assert_array_equal(np.asarray(read), images, strict=True)


def test_values_beyond_the_first_that_are_looked_at_are_refused_when_they_are_read(tmp_path: Path, refused):
    floats = np.zeros((1000, 4, 4))
    floats[501] = 1.5  # between two of the hundred
    np.save(tmp_path / "a.npy", floats)
    read = npy.read(str(tmp_path / "a.npy")).train.images
    read[:500]
    with refused(DataError, tmp_path / "a.npy", "float64 values from 0.0 to 1.5"):
        np.asarray(read)


def test_one_image_with_levels_makes_0_and_1_levels(tmp_path: Path):
    levels = np.ones((1000, 4, 4), np.uint8)
    levels[501, 0, 0] = 200
    np.save(tmp_path / "a.npy", levels)
    contents = npy.read(str(tmp_path / "a.npy"))
    assert contents.said == ()
    np.testing.assert_array_equal(contents.train.images[:3], levels[:3, None])


def test_indexing_reads_what_an_array_would_give(path: Path):
    images = stored(path)
    places = np.array([5, 2, 2, 69])
    for at in (places, slice(3, 9), slice(None, None, 20), slice(60, 100)):
        np.testing.assert_array_equal(images[at], RGB[at], strict=True)
        assert not isinstance(images[at], np.memmap)
    np.testing.assert_array_equal(images.take(places)[1:3], RGB[[2, 2]])
    np.testing.assert_array_equal(images.take(places).take(np.array([3]))[:], RGB[[69]])
    assert (images.take(places).shape, images.take(places).nbytes) == ((4, 3, 6, 4), 4 * 72)


def test_what_is_read_is_the_caller_s_to_change(path: Path):
    before, images = path.read_bytes(), stored(path)
    images[:4][:] = 0
    images[:][:] = 0
    np.testing.assert_array_equal(images[:], RGB)
    assert path.read_bytes() == before


@pytest.mark.parametrize("block", [1, 72, 150, 10**9])
def test_blocks_are_all_images_once_and_no_larger_than_they_may(path: Path, monkeypatch, block: int):
    monkeypatch.setattr("vaelab.data.stored.BLOCK", block)
    for images in (stored(path), RGB):
        seen = list(blocks(images))
        np.testing.assert_array_equal(np.concatenate(seen), RGB)
        assert all(one.nbytes <= max(block, 72) for one in seen)
    data = Dataset("x", "train", stored(path), None, "8bit")
    header = b"|u1(70, 3, 6, 4)"
    assert data.sha256 == hashlib.sha256(header + RGB.tobytes()).hexdigest()
    assert data.digests.tolist() == [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in RGB]


def test_labels_may_stand_in_a_column(path: Path):
    np.save(path.with_name("labels.npy"), LABELS[:, None])
    read = npy.read(f"{path},{path.with_name('labels.npy')}").train
    np.testing.assert_array_equal(read.labels, LABELS.astype(np.int64), strict=True)


def test_a_threshold_is_applied_to_what_is_read(path: Path):
    splits = load_data(f"npy:{path}", protocol="binary-threshold", validation=0)
    np.testing.assert_array_equal(
        np.sort(splits.train.digests.view("S16")),
        np.sort(load_in_memory(path, "binary-threshold").train.digests.view("S16")),
    )
    assert set(np.unique(splits.train.images[:])) == {0, 255}
    grey = load_data(f"npy:{path}", protocol="grey", validation=0)
    np.testing.assert_array_equal(splits.train.images[:], (grey.train.images[:] >= 128) * 255)


def load_in_memory(path: Path, protocol: str):
    np.savez(path.with_suffix(".npz"), images=RGB)
    return load_data(f"npz:{path.with_suffix('.npz')}", protocol=protocol, validation=0)


def test_one_draw_for_good_of_images_on_disk_is_refused(path: Path, refused):
    with refused(SpecError, path, "binary-static", "binary-dynamic", ".npz"):
        load_data(f"npy:{path}", protocol="binary-static")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (RGB * 1.0, ("float64 values", "numpy.round(images).astype(numpy.uint8)")),
        (RGB.reshape(70, -1), ("(70, 72)", "shape=28x28")),
        (np.asfortranarray(RGB), ("Fortran order", "ascontiguousarray")),
        (RGB[:0], ("(0, 3, 6, 4)", "no pixels")),
        (RGB.astype(np.uint16) * 257, ("uint16", "65535 for 16 bits")),
        (RGB * np.float32(np.nan), ("NaN", "numpy.isfinite")),
        (RGB.astype(complex), ("complex128", "real numbers")),
    ],
    ids=[
        "float",
        "flat",
        "fortran",
        "none",
        "16 bits",
        "nan",
        "complex",
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, refused, array: np.ndarray, words: tuple[str, ...]):
    np.save(tmp_path / "a.npy", array)
    with refused(DataError, tmp_path / "a.npy", *words):
        load_data(f"npy:{tmp_path / 'a.npy'}")


def test_a_pickle_is_refused_and_never_run(tmp_path: Path, refused, trap: Trap):
    np.save(tmp_path / "a.npy", np.array([trap], dtype=object))
    with refused(DataError, tmp_path / "a.npy", "object", "numpy.save"):
        npy.read(str(tmp_path / "a.npy"))
    assert not trap.trace.exists()


def test_other_and_damaged_files_are_refused(path: Path, tmp_path: Path, refused):
    whole = path.read_bytes()
    np.savez(tmp_path / "archive.npz", images=RGB)
    cases = {
        "empty.npy": (b"", "0 bytes"),
        "short.npy": (whole[:-1], f"truncated or not an .npy file ({len(whole) - 1:,} bytes)"),
        "header.npy": (whole[:40], "truncated"),
        "text.npy": (b"not an array, but long enough to be one", "not an .npy file"),
        "archive.npz": (
            (tmp_path / "archive.npz").read_bytes(),
            "cannot be read in pieces",
            f"npz:{tmp_path}/archive.npz",
        ),
    }
    for name, (content, *words) in cases.items():
        (tmp_path / name).write_bytes(content)
        with refused(DataError, tmp_path / name, *words):
            npy.read(str(tmp_path / name))
    with refused(DataError, "nowhere.npy", "No such file"):
        npy.read(str(tmp_path / "nowhere.npy"))
    with refused(DataError, tmp_path, "directory"):
        npy.read(str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.arange(69), ("70 images", "(69,)")),
        (np.arange(70) / 2, ("labels", "float64", "whole numbers")),
        (np.ones((70, 2), int), ("(70, 2)", "factors")),
    ],
)
def test_labels_that_do_not_fit_are_refused(path: Path, refused, labels: np.ndarray, words: tuple[str, ...]):
    np.save(path.with_name("labels.npy"), labels)
    with refused(DataError, "labels.npy", *words):
        npy.read(f"{path},{path.with_name('labels.npy')}")


def test_a_file_that_is_cut_short_or_taken_away_in_use_is_said_and_not_read(path: Path, refused):
    images = stored(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with refused(DataError, path, "bytes now and not 5,168", "while its images were in use"):
        images[:1]
    path.unlink()
    with refused(DataError, path, "No such file", "while its images were in use"):
        images[:1]
