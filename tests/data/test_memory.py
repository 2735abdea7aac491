"""Files that would take more memory than there is: told by their headers, before it is taken."""

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaelab as vl
from vaelab.data.conversion import Conversion, parse_resize
from vaelab.data.formats import folder, idx, mat
from vaelab.data.formats import npz as arrays
from vaelab.data.formats.picture import picture
from vaelab.data.reading import parse_reading
from vaelab.system import memory
from vaelab.system.errors import DataError, SpecError


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """10 MB are free, and 20 MB must not be taken."""
    monkeypatch.setattr(memory, "free_bytes", lambda: 10_000_000)
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_what_is_free_is_between_nothing_and_all(monkeypatch):
    monkeypatch.undo()
    tracemalloc.start()  # the fixture stops it
    assert 2**20 < memory.free_bytes() <= memory.total_bytes()


def test_a_small_gz_of_much(tmp_path: Path, refused):
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb") as file:
        file.write(struct.pack(">4sIII", bytes((0, 0, 8, 3)), 50_000, 28, 28))
        for _ in range(50):
            file.write(bytes(28 * 28 * 1000))
    assert path.stat().st_size < 200_000
    with refused(DataError, path, "needs 39.2 MB of memory, 10.0 MB are free"):
        idx.array(path, 3)


def test_a_gz_that_goes_on_behind_what_its_header_says(tmp_path: Path, refused):
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb") as file:
        file.write(struct.pack(">4sIII", bytes((0, 0, 8, 3)), 1, 28, 28))
        for _ in range(50):
            file.write(bytes(1_000_000))
    with refused(DataError, path, "more", "expected 800 bytes"):
        idx.array(path, 3)


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


@pytest.mark.parametrize("length", [50_000_000, 8])
def test_a_small_mat_of_much(tmp_path: Path, refused, length: int):
    """By its tag, or behind what its tag says."""
    deflate, inner = zlib.compressobj(), b""
    inner += deflate.compress(struct.pack("<II", 14, length))
    for _ in range(50):
        inner += deflate.compress(bytes(1_000_000))
    inner += deflate.flush()
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(inner)) + inner)
    words = ("needs 100.0 MB of memory",) if length > 8 else ("damaged",)
    with refused(DataError, path, *words):
        mat.read(path)


def test_a_small_npz_of_much(tmp_path: Path, refused):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (60_000, 28, 28)})
    path = tmp_path / "images.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", head.getvalue())
    with refused(DataError, path, "needs 94.1 MB of memory, 10.0 MB are free", "images.npy"):
        arrays.read(str(path))


def test_images_that_are_small_files_of_much(tmp_path: Path, refused):
    for number in range(300):  # one of which needs 1.6 MB to be decoded
        Image.new("L", (400, 200)).save(tmp_path / f"{number}.png")
    with refused(DataError, tmp_path, "300 images of 200 x 400 grey: needs 24.0 MB", "10.0 MB are free"):
        folder.read(str(tmp_path))


def test_a_model_that_is_too_large(tmp_path: Path):
    spec = vl.Spec(data="digits", latent=1_000_000, network="mlp:hidden=500")
    with pytest.raises(SpecError, match=r"such a model: needs 36\.0 GB of memory, 10\.0 MB are free"):
        vl.train(spec, tmp_path, compile="never", callback=vl.SILENT)
    assert not list(tmp_path.iterdir())
    tracemalloc.clear_traces()  # modules were imported


def test_images_that_are_made_larger_are_compared_with_the_memory_first(tmp_path: Path, refused):
    for name in "abc":
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"{name}.png")
    with refused(DataError, "3 images of 16000x16000 pixels: needs 768.0 MB", "--resize"):
        folder.read(str(tmp_path), parse_reading(resize="16000x16000"))
    with refused(DataError, "a.png: needs", "choose a smaller --resize"):
        picture(tmp_path / "a.png", Conversion(parse_resize("16000x16000")))
