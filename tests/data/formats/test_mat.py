import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import savemat

from vaelab.data.formats import mat
from vaelab.system.errors import DataError

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


@given(data=st.data(), kind=st.sampled_from(TYPES), compress=st.booleans())
def test_what_scipy_writes_is_read(tmp_path_factory: pytest.TempPathFactory, data, kind: str, compress: bool):
    shapes = arrays.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4)
    array = data.draw(arrays.arrays(kind, shapes))
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    savemat(path, {"text": "skipped", "cells": np.array([1, "a"], object), "long_name": array}, do_compression=compress)
    read = mat.read(path)
    assert list(read) == ["long_name"]
    np.testing.assert_array_equal(read["long_name"], array, strict=True)


def big_endian(values: bytes, stored: int) -> bytes:
    """A file as a big-endian machine writes it: one double array `v` [1, 3], its values in a narrower type."""
    flags = struct.pack(">IIII", 6, 8, 6, 0)
    extents = struct.pack(">IIii", 5, 8, 1, 3)
    name = struct.pack(">HH4s", 1, 1, b"v")
    packed = struct.pack(">HH", len(values), stored) + values.ljust(4, b"\0")
    body = flags + extents + name + packed
    return b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + struct.pack(">II", 14, len(body)) + body


def test_big_endian_and_values_stored_in_a_narrower_type(tmp_path: Path):
    (tmp_path / "a.mat").write_bytes(big_endian(bytes((1, 2, 250)), 2))
    np.testing.assert_array_equal(mat.read(tmp_path / "a.mat")["v"], [[1.0, 2.0, 250.0]], strict=True)


@pytest.mark.parametrize(
    "content",
    [big_endian(b"\1\2", 2), big_endian(b"\1\2\3\4", 2), big_endian(b"\1\2\3", 99), big_endian(b"\1\2\3\4\5\6", 4)],
    ids=["few", "many", "unknown type", "too long for its tag"],
)
def test_values_that_do_not_fit_their_header_are_refused(tmp_path: Path, refused, content: bytes):
    (tmp_path / "a.mat").write_bytes(content)
    with refused(DataError, tmp_path / "a.mat", "damaged"):
        mat.read(tmp_path / "a.mat")


def test_compressed_data_without_their_checksum_are_refused(tmp_path: Path, refused):
    path = tmp_path / "a.mat"
    savemat(path, {"X": np.arange(24.0)}, do_compression=True)
    header, tag, data = (content := path.read_bytes())[:128], content[128:136], content[136:-4]
    path.write_bytes(header + tag[:4] + struct.pack("<I", len(data)) + data)
    with refused(DataError, path, "damaged"):
        mat.read(path)


@pytest.mark.parametrize("compress", [True, False])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, compress: bool):
    path = tmp_path / "a.mat"
    savemat(path, {"X": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "y": np.eye(2)}, do_compression=compress)
    whole, refusals = path.read_bytes(), 0
    for place in range(120, len(whole)):
        for value in (0, 9, 14, 127, 255):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                mat.read(path)
            except DataError:
                refusals += 1
    assert refusals > 100


FACES = np.random.default_rng(0).integers(0, 256, (11, 28, 20), np.uint8)


def test_the_layout_of_frey_faces(tmp_path: Path):
    """`ff` [560, N]: each column has the 28 rows of a face, one after another."""
    savemat(tmp_path / "frey_rawface.mat", {"ff": FACES.reshape(11, 560).T})
    read = mat.images(f"{tmp_path / 'frey_rawface.mat'}:key=ff:shape=28x20")
    np.testing.assert_array_equal(read.train.images, FACES[:, None], strict=True)
    assert read.said == ()


def test_columns_of_matlab_s_own_order(tmp_path: Path):
    columns = np.stack([face.ravel(order="F") for face in FACES], 1)
    savemat(tmp_path / "a.mat", {"ff": columns})
    read = mat.images(f"{tmp_path / 'a.mat'}:key=ff:shape=28x20:order=F")
    np.testing.assert_array_equal(read.train.images, FACES[:, None], strict=True)


def test_the_layout_of_omniglot(tmp_path: Path):
    random = np.random.default_rng(0)
    ink = random.random((9, 28, 28))
    flat = np.stack([image.ravel(order="F") for image in ink], 1)
    alphabets = random.integers(0, 5, 9)
    one_hot = np.eye(5)[:, alphabets]
    arrays = {"data": flat, "target": one_hot, "targetchar": np.arange(9)[None]}
    path = tmp_path / "chardata.mat"
    savemat(path, {**arrays, "testdata": flat[:, :4], "testtarget": one_hot[:, :4], "testtargetchar": np.arange(4)})
    read = mat.images(f"{path}:shape=28x28:order=F")
    assert read.test is not None
    np.testing.assert_array_equal(read.train.images[:, 0], np.round(ink * 255).astype(np.uint8))
    np.testing.assert_array_equal(read.train.labels, alphabets)
    np.testing.assert_array_equal(read.test.labels, alphabets[:4])
    assert read.left_out == "arrays targetchar, testtargetchar"
    assert read.said == (
        f"{path}: target: one-hot rows are read as the classes 0 to 4",
        f"{path}: testtarget: one-hot rows are read as the classes 0 to 4",
    )
    own = mat.images(f"{path}:images=data:labels=targetchar:shape=28x28:order=F")
    np.testing.assert_array_equal(own.train.labels, np.arange(9))


@pytest.mark.parametrize("axes", ["NHW", "HWN"])
@pytest.mark.parametrize(
    "labels", [[[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]], np.arange(11.0)[:, None]], ids=["row", "column"]
)
def test_labels_in_a_row_or_a_column(tmp_path: Path, labels, axes: str):
    savemat(tmp_path / "a.mat", {"x": FACES if axes == "NHW" else FACES.transpose(1, 2, 0), "y": labels})
    read = mat.images(f"{tmp_path / 'a.mat'}:images=x:labels=y:axes={axes}")
    np.testing.assert_array_equal(read.train.images, FACES[:, None], strict=True)
    np.testing.assert_array_equal(read.train.labels, np.ravel(labels).astype(np.int64), strict=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", ("arrays ff", "images=KEY")),
        (":key=gg:shape=28x20", ("no array gg", "one of ff")),
        (":key=ff", ("(560, 11)", "shape=28x28")),
        (":key=ff:shape=28x28", ("(560, 11)", "[N, 784] or [784, N], for shape=28x28")),
    ],
)
def test_arrays_that_are_not_described_are_refused(tmp_path: Path, refused, options: str, words: tuple[str, ...]):
    savemat(tmp_path / "a.mat", {"ff": FACES.reshape(11, 560).T})
    with refused(DataError, tmp_path / "a.mat", *words):
        mat.images(f"{tmp_path / 'a.mat'}{options}")


def test_a_file_of_matlab_7_3_is_sent_to_the_reader_of_hdf5(tmp_path: Path, refused):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF")
    with refused(DataError, tmp_path / "a.mat", f"h5:{tmp_path / 'a.mat'}:images=KEY", "-v7"):
        mat.images(f"{tmp_path / 'a.mat'}:key=ff")
