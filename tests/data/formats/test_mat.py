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
