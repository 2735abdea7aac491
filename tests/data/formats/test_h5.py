"""Images that stay in an HDF5 file are those that memory would hold; what cannot be read is refused in one line."""

import sys
from pathlib import Path

import numpy as np
import pytest

from vaelab.data import load_data
from vaelab.data.formats import h5
from vaelab.data.stored import Stored
from vaelab.system.errors import DataError

h5py = pytest.importorskip("h5py")
RGB = np.random.default_rng(1).integers(0, 256, (70, 6, 4, 3), np.uint8)
FIRST = RGB.transpose(0, 3, 1, 2)
FACTORS = np.random.default_rng(2).integers(0, 4, (70, 6)) / 8


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The layout of 3D Shapes."""
    with h5py.File(tmp_path / "3dshapes.h5", "w") as file:
        file.create_dataset("images", data=RGB, chunks=(8, 6, 4, 3), compression="gzip")
        file["labels"] = FACTORS
    return tmp_path / "3dshapes.h5"


def test_the_layout_of_3d_shapes(path: Path):
    contents = h5.read(f"{path}:images=images:labels=labels")
    read = contents.train
    assert isinstance(read.images, Stored)
    np.testing.assert_array_equal(np.asarray(read.images), FIRST, strict=True)
    np.testing.assert_array_equal(read.factors, (FACTORS * 8).astype(np.int64), strict=True)
    assert read.labels is None
    assert contents.said == (
        f"{path}: labels: 6 columns of floats are read as factors",
        f"{path}: each factor is numbered by the rank of its value (4, 4, 4, 4, 4, 4 values)",
    )


@pytest.mark.parametrize("chunks", [None, (8, 6, 4, 3), (70, 2, 2, 1)])
def test_indexing_reads_what_an_array_would_give(tmp_path: Path, chunks):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=RGB, chunks=chunks)
    images = h5.read(str(tmp_path / "a.h5")).train.images
    for at in (np.array([5, 2, 2, 69, 8, 7]), slice(3, 30), slice(None, None, 20), np.array([], int)):
        np.testing.assert_array_equal(images[at], FIRST[at], strict=True)


def test_splits_on_disk_are_those_in_memory(path: Path):
    np.savez(path.with_suffix(".npz"), images=RGB, factors=(FACTORS * 8).astype(int))
    there, here = load_data(f"h5:{path}"), load_data(f"npz:{path.with_suffix('.npz')}")
    assert isinstance(there.train.images, Stored)
    assert (there.train.sha256, there.test.sha256) == (here.train.sha256, here.test.sha256)


def test_the_layout_of_usps(tmp_path: Path):
    pixels, classes = np.random.default_rng(0).random((12, 256), np.float32), np.arange(12) % 10
    with h5py.File(tmp_path / "usps.h5", "w") as file:
        for split, count in (("train", 12), ("test", 5)):
            file[f"{split}/data"], file[f"{split}/target"] = pixels[:count], classes[:count]
    contents = h5.read(f"{tmp_path / 'usps.h5'}:shape=16x16")
    assert contents.test is not None
    levels = np.round(pixels * 255).astype(np.uint8).reshape(-1, 1, 16, 16)
    np.testing.assert_array_equal(np.asarray(contents.train.images), levels)
    np.testing.assert_array_equal(np.asarray(contents.test.images), levels[:5])
    np.testing.assert_array_equal(contents.test.labels, classes[:5])
    assert contents.train.note == "floats quantised to 256 levels, largest change at most 0.0020"


def test_thirteen_bands_are_thirteen_channels(tmp_path: Path):
    bands = np.random.default_rng(0).integers(0, 256, (6, 13, 20, 16), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["bands"], file["class"] = bands, np.arange(6)
    contents = h5.read(f"{tmp_path / 'a.h5'}:images=bands:labels=class")
    np.testing.assert_array_equal(np.asarray(contents.train.images), bands)
    assert contents.said == (f"{tmp_path / 'a.h5'}: 13 channels, the second axis of shape (6, 13, 20, 16)",)


def test_a_key_that_is_missing_lists_those_there_are(path: Path, refused):
    with refused(DataError, path, "no array pictures", "one of images, labels", "images=pictures"):
        h5.read(f"{path}:images=pictures")


def test_floats_outside_0_and_1_are_refused(tmp_path: Path, refused):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = RGB / 200
    with refused(DataError, tmp_path / "a.h5", "float64 values from 0.0 to 1.275", "floats in [0, 1]"):
        h5.read(str(tmp_path / "a.h5"))


def test_an_array_that_was_never_written_is_refused(tmp_path: Path, refused):
    """A header of a few bytes may declare terabytes."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        chunked = file.create_dataset("images", (10**8, 64, 64, 3), np.uint8, chunks=(100, 64, 64, 3))
        chunked[:50] = 1
        file.create_dataset("whole", (10**8, 64, 64, 3), np.uint8)
    with refused(DataError, tmp_path / "a.h5", "images", "1 of its 1,000,000 chunks are stored", "completely"):
        h5.read(str(tmp_path / "a.h5"))
    with refused(DataError, tmp_path / "a.h5", "whole", "0 of its", "bytes are stored"):
        h5.read(f"{tmp_path / 'a.h5'}:images=whole")


def test_values_in_other_files_are_not_read(tmp_path: Path, refused):
    (tmp_path / "secret").write_bytes(bytes(range(240)))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["images"] = RGB
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", (10, 6, 4), np.uint8, external=[(str(tmp_path / "secret"), 0, 240)])
        file["link"] = h5py.ExternalLink(str(tmp_path / "b.h5"), "images")
        layout = h5py.VirtualLayout((70, 6, 4, 3), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "b.h5"), "images", (70, 6, 4, 3))
        file.create_virtual_dataset("virtual", layout)
    for key, word in (("images", "in other files"), ("virtual", "in other files"), ("link", "no array link")):
        with refused(DataError, tmp_path / "a.h5", word):
            h5.read(f"{tmp_path / 'a.h5'}:images={key}")


def test_other_and_damaged_files_are_refused(path: Path, tmp_path: Path, refused):
    whole = path.read_bytes()
    for name, content in {"empty": b"", "short": whole[:-900], "head": whole[:100], "text": b"no HDF5" * 99}.items():
        (tmp_path / name).write_bytes(content)
        with refused(DataError, tmp_path / name, "damaged, cut short or not an HDF5 file"):
            h5.read(str(tmp_path / name))
    with refused(DataError, "nowhere.h5", "No such file"):
        h5.read("nowhere.h5")
    with refused(DataError, tmp_path):
        h5.read(str(tmp_path))


def test_a_damaged_chunk_is_told_when_it_is_read(path: Path, tmp_path: Path, refused):
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(3)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 20] = bytes(20)
    (tmp_path / "damaged.h5").write_bytes(content)
    with refused(DataError, tmp_path / "damaged.h5", "damaged"):
        np.asarray(h5.read(str(tmp_path / "damaged.h5")).train.images)


def test_without_h5py_the_package_is_named(path: Path, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with refused(DataError, "h5py is not installed", "pip install 'vaelab[h5]'"):
        h5.read(str(path))


def test_names_that_are_not_text_and_damaged_chunks_are_one_line(path: Path, refused, monkeypatch):
    with h5py.File(path, "a") as file:
        file[b"\xff"] = FACTORS
    assert "\\xff" in h5.read(f"{path}:images=images").left_out

    def damaged(array: object) -> int:
        raise RuntimeError("incorrect metadata checksum after all read attempts")

    monkeypatch.setattr(h5.math, "prod", damaged)  # where the number of chunks is compared, which h5py fails to count
    with refused(DataError, path, "incorrect metadata checksum"):
        h5.read(f"{path}:images=images")
