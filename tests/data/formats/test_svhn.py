from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vaelab.data.formats import svhn
from vaelab.system.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), np.uint8)
LABELS = np.array([[10], [1], [9], [10]], np.uint8)


def write(path: Path, **variables: object) -> Path:
    savemat(path, variables, do_compression=True)
    return path


def test_images_stand_upright_and_ten_is_zero(tmp_path: Path):
    images = IMAGES.copy()
    images[2, 5, 1, 3] = 77
    read = svhn.matlab(write(tmp_path / "a.mat", X=images, y=LABELS))
    assert read.images[3, 1, 2, 5] == 77  # image, channel, row, column
    np.testing.assert_array_equal(read.images, images.transpose(3, 2, 0, 1), strict=True)
    assert read.images.flags.c_contiguous
    assert read.images.flags.writeable
    np.testing.assert_array_equal(read.labels, np.array([0, 1, 9, 0]), strict=True)


@pytest.mark.parametrize("labels", [LABELS.astype(np.float64), LABELS.astype(np.int32)])
def test_labels_may_be_any_whole_numbers(tmp_path: Path, labels: np.ndarray):
    read = svhn.matlab(write(tmp_path / "a.mat", X=IMAGES, y=labels))
    np.testing.assert_array_equal(read.labels, np.array([0, 1, 9, 0]), strict=True)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"X": IMAGES}, ("arrays X;", "X (images) and y (labels)")),
        ({"y": LABELS}, ("arrays y;",)),
        ({"X": IMAGES, "y": LABELS[:3]}, ("4 images", "(3,)")),
        ({"X": IMAGES, "y": LABELS.reshape(2, 2)}, ("4 images", "(2, 2)")),
        ({"X": IMAGES[:28], "y": LABELS}, ("(28, 32, 3, 4)", "(32, 32, 3, N)")),
        ({"X": IMAGES.transpose(3, 0, 1, 2), "y": LABELS}, ("(4, 32, 32, 3)",)),
        ({"X": IMAGES[..., 0], "y": LABELS[:1]}, ("(32, 32, 3)",)),
        ({"X": IMAGES / 255, "y": LABELS}, ("float64", "uint8")),
        ({"X": IMAGES.astype(np.int16), "y": LABELS}, ("int16",)),
        ({"X": "picture", "y": LABELS}, ("arrays y;",)),
        ({"X": IMAGES, "y": LABELS % 10}, ("label 0", "1 to 10")),
        ({"X": IMAGES, "y": LABELS + 1}, ("label 11",)),
        ({"X": IMAGES, "y": LABELS + 0.5}, ("label 10.5",)),
        ({"X": IMAGES, "y": LABELS * np.nan}, ("label nan",)),
        ({"X": IMAGES * 1j, "y": LABELS}, ("arrays y;",)),
        ({"a": "text"}, ("arrays (none)",)),
        ({"X": IMAGES[..., :0], "y": LABELS[:0]}, ("no pixels",)),
    ],
)
def test_another_content_is_refused(tmp_path: Path, refused, variables: dict[str, object], words: tuple[str, ...]):
    path = write(tmp_path / "a.mat", **variables)
    with refused(DataError, path, *words):
        svhn.matlab(path)


@pytest.mark.parametrize("compress", [True, False])
def test_a_truncated_file_is_refused(tmp_path: Path, refused, compress: bool):
    path = tmp_path / "a.mat"
    savemat(path, {"X": IMAGES, "y": LABELS}, do_compression=compress)
    whole = path.read_bytes()
    for length in [
        0,
        1,
        64,
        127,
        128,
        130,
        136,
        200,
        len(whole) // 2,
        len(whole) - 100,
        len(whole) - 70,
        len(whole) - 20,
    ]:
        path.write_bytes(whole[:length])
        with refused(DataError, path):
            svhn.matlab(path)


def test_other_formats_and_missing_files_are_refused(tmp_path: Path, refused):
    hdf5 = tmp_path / "new.mat"
    hdf5.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n".ljust(512))
    with refused(DataError, hdf5, "v7.3", "-v7"):
        svhn.matlab(hdf5)
    text = tmp_path / "text.mat"
    text.write_text("not a mat file\n" * 40)
    with refused(DataError, text):
        svhn.matlab(text)
    with refused(DataError, tmp_path / "train_32x32.mat", "No such file"):
        svhn.read(str(tmp_path))
