import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import Trap
from vaelab.data.formats import npz as arrays
from vaelab.system.errors import DataError

GREY = np.random.default_rng(0).integers(0, 256, (5, 6, 4), np.uint8)
BANDS = np.random.default_rng(2).integers(0, 256, (5, 13, 20, 14), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (5, 3, 6, 4), np.uint8)


def write(path: Path, **variables: np.ndarray) -> Path:
    np.savez(path, **variables)  # pyright: ignore[reportArgumentType]
    return path


@pytest.mark.parametrize(
    ("stored", "images"),
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (RGB, RGB),
        (RGB.transpose(0, 2, 3, 1), RGB),
        (RGB.astype(np.int64), RGB),
        (RGB.astype(">u2"), RGB),
        (RGB / 255, RGB),
        ((RGB / 255).astype(np.float32), RGB),
        (GREY > 100, 255 * (GREY > 100)[:, None].astype(np.uint8)),
        ((GREY > 100).astype(np.uint8), 255 * (GREY > 100)[:, None].astype(np.uint8)),
        (GREY * 0, GREY[:, None] * 0),
        (RGB[:, :2], RGB[:, :2]),
        (BANDS, BANDS),
        (BANDS.transpose(0, 2, 3, 1), BANDS),
    ],
    ids=[
        "NHW",
        "N1HW",
        "NHW1",
        "N3HW",
        "NHW3",
        "int64",
        "big-endian",
        "float64",
        "float32",
        "bool",
        "0 and 1",
        "only 0",
        "2 channels",
        "13 channels",
        "13 channels last",
    ],
)
def test_each_layout_and_type_reads_the_same_images(tmp_path: Path, stored: np.ndarray, images: np.ndarray):
    contents = arrays.read(str(write(tmp_path / "a.npz", images=stored, other=np.zeros(3))))
    read = contents.train
    assert contents.test is contents.validation is None
    assert contents.left_out == "array other"
    assert read.labels is None
    np.testing.assert_array_equal(read.images, images, strict=True)
    assert read.images.flags.c_contiguous


def test_labels_and_an_official_test_split(tmp_path: Path):
    labels = np.arange(5, dtype=np.uint16)
    read = arrays.read(str(write(tmp_path / "a.npz", images=GREY, labels=labels))).train
    np.testing.assert_array_equal(read.labels, np.arange(5), strict=True)
    path = write(tmp_path / "b.npz", train_images=GREY, test_images=GREY[:2], test_labels=labels[:2])
    contents = arrays.read(str(path))
    train, test = contents.train, contents.test
    assert test is not None
    assert test.labels is not None
    assert train.labels is None
    assert (len(train.images), len(test.images)) == (5, 2)


@pytest.mark.parametrize(
    "names",
    [
        {"train": ("train_images", "train_labels"), "validation": ("val_images", "val_labels")},  # MedMNIST
        {"train": ("train_images", "train_labels"), "validation": ("valid_images", "valid_labels")},
        {"train": ("x_train", "y_train"), "validation": ("x_val", "y_val"), "test": ("x_test", "y_test")},  # Keras
        {"train": ("X_train", "Y_train"), "test": ("X_test", "Y_test")},
        {"train": ("train_images", "train_label"), "test": ("test_images", "Test_Label")},
        {"train": ("images", "label")},
        {"train": ("Images", "Labels")},
        {"train": ("x", "y")},
        {"train": ("train_images", "train_labels")},
    ],
)
@pytest.mark.parametrize("column", [False, True])
def test_each_split_is_read_by_any_of_its_names(tmp_path: Path, names: dict[str, tuple[str, str]], column: bool):
    variables: dict[str, np.ndarray] = {"mean": np.zeros(3), "pickled": np.array([None], object)}
    for at, (images, labels) in enumerate(names.values()):
        variables |= {images: GREY[at:], labels: np.arange(at, 5).reshape(5 - at, *[1] * column)}
    contents = arrays.read(str(write(tmp_path / "a.npz", **variables)))
    parts = {"train": contents.train, "validation": contents.validation, "test": contents.test}
    assert {split for split, part in parts.items() if part is not None} == set(names)
    for at, split in enumerate(names):
        np.testing.assert_array_equal(parts[split].images, GREY[at:, None])
        np.testing.assert_array_equal(parts[split].labels, np.arange(at, 5), strict=True)
    assert contents.left_out == "arrays mean, pickled"


def test_a_label_beyond_the_whole_numbers_that_are_kept_is_refused(tmp_path: Path, refused):
    labels = np.array([0, 1, 2, 3, 2**64 - 1], np.uint64)
    path = write(tmp_path / "a.npz", images=GREY, labels=labels)
    with refused(DataError, path, "18446744073709551615", "number the classes from 0"):
        arrays.read(str(path))


def test_factors_are_read_with_their_names(tmp_path: Path):
    factors = np.stack([np.arange(5), np.arange(5)[::-1]], 1).astype(np.uint8)
    path = write(tmp_path / "a.npz", images=GREY, factors=factors, factor_names=np.array(["x", "y"]))
    read = arrays.read(str(path)).train
    np.testing.assert_array_equal(read.factors, factors.astype(np.int64), strict=True)
    assert read.factor_names == ("x", "y")
    path = write(tmp_path / "b.npz", train_images=GREY, test_images=GREY[:2], test_factors=factors[:2])
    contents = arrays.read(str(path))
    train, test = contents.train, contents.test
    assert (train.factors, train.factor_names) == (None, ())
    assert test is not None
    assert test.factor_names == ("factor1", "factor2")


def test_floats_are_rounded_to_the_nearest_level_and_the_note_says_how_far(tmp_path: Path):
    values = np.array([0, 0.4 / 255, 0.75 / 255, 1]).reshape(1, 2, 2)
    read = arrays.read(str(write(tmp_path / "a.npz", images=values))).train
    assert read.images.ravel().tolist() == [0, 0, 1, 255]
    assert read.note == "floats quantised to 256 levels, largest change 0.0016"  # 0.4 / 255


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (GREY + 0.0, ("float64 values from 0.0 to 248.0", "[0, 1]", "numpy.round(images).astype(numpy.uint8)")),
        (GREY * 16.0, ("save images / white as floats", "white")),
        (GREY / 240, ("numpy.clip(images, 0, 1)",)),
        (GREY / 255 - 0.01, ("-0.01", "(images - low) / (high - low)")),
        (GREY / 127.5 - 1, ("-1.0", "(images + 1) / 2")),
        (np.where(GREY[0, 0, 0] == GREY, np.nan, GREY / 255), ("of them NaN", "numpy.isfinite")),
        (np.where(GREY[0, 0, 0] == GREY, np.inf, GREY / 255), ("infinite", "numpy.isfinite")),
        (np.full(GREY.shape, np.nan), ("120 of them NaN", "numpy.isfinite")),
        (GREY.astype(np.int16) - 1, ("int16", "-1", "(images - low) / (high - low)")),
        (GREY.astype(np.uint16) * 257, ("uint16", "65535 for 16 bits, 4095 for 12")),
        (GREY.astype(complex), ("complex128", "real numbers")),
        (GREY.astype(str), ("<U", "real numbers")),
        (GREY[:0], ("no pixels", "(0, 6, 4)")),
        (GREY.reshape(5, 24), ("(5, 24)", "[N, H, W]")),
        (RGB[..., :3], ("(5, 3, 6, 3)", "second or the last", ":axes=NCHW or :axes=NHWC")),
        (np.ones((5, 7, 6, 7)), ("(5, 7, 6, 7)", "no axis is clearly the channels", ":axes=NCHW or :axes=NHWC")),
        (np.uint8(7), ("()",)),
    ],
)
def test_images_of_another_kind_are_refused(tmp_path: Path, refused, images: np.ndarray, words: tuple[str, ...]):
    path = write(tmp_path / "a.npz", images=images)
    with refused(DataError, path, *words):
        arrays.read(str(path))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"pictures": GREY}, ("images",)),
        ({}, ("arrays (none)", "train_images")),
        ({"pictures": GREY, "train_labels": np.arange(5)}, ("arrays train_labels, pictures; expected images",)),
        ({"test_images": GREY, "val_images": GREY}, ("arrays test_images, val_images; expected",)),
        ({"images": GREY, "test_images": GREY}, ("arrays images, test_images", "rename")),
        ({"images": GREY, "y_train": np.arange(5)}, ("y_train has no images",)),
        ({"x_train": GREY, "y_train": np.arange(5), "test_labels": np.arange(5)}, ("test_labels has no images",)),
        ({"x_train": GREY, "train_images": GREY}, ("x_train and train_images", "two names for one array")),
        ({"train_images": GREY, "val_images": GREY, "valid_images": GREY}, ("val_images and valid_images",)),
        ({"images": GREY, "labels": np.arange(4)}, ("5 images", "(4,)")),
        ({"images": GREY, "labels": np.ones((5, 2), int)}, ("labels of shape (5, 2)", "factors=KEY")),
        ({"images": GREY, "labels": np.arange(4)[:, None]}, ("5 images", "(4,)", "give the labels of these images")),
        ({"images": GREY, "labels": np.arange(5) / 2}, ("labels: float64",)),
        ({"images": GREY, "labels": np.full(5, np.nan)}, ("labels: float64",)),
        ({"images": GREY, "labels": np.array(["a"] * 5)}, ("labels: <U1",)),
        ({"images": GREY, "factors": np.full((5, 2), np.nan)}, ("not finite",)),
        ({"images": GREY, "factors": np.array([["a"]] * 5)}, ("factors: <U1",)),
        ({"images": GREY, "factors": np.zeros((4, 2), int)}, ("5 images", "(4, 2)")),
        ({"images": GREY, "factors": np.zeros((5, 2), int), "factor_names": np.array("x")}, ("2 factors", "x")),
    ],
)
def test_missing_keys_and_wrong_labels_are_refused(
    tmp_path: Path, refused, variables: dict[str, np.ndarray], words: tuple[str, ...]
):
    path = write(tmp_path / "a.npz", **variables)
    with refused(DataError, path, *words):
        arrays.read(str(path))


def test_a_pickle_is_refused_and_never_run(tmp_path: Path, refused, trap: Trap):
    path = write(tmp_path / "a.npz", images=np.array([trap], dtype=object))
    with refused(DataError, path, "pickled"):
        arrays.read(str(path))
    assert not trap.trace.exists()


def test_other_files_are_refused(tmp_path: Path, refused):
    whole = write(tmp_path / "a.npz", images=GREY).read_bytes()
    cases = {"empty": b"", "text": b"not an archive\n", "short": whole[: len(whole) // 2], "damaged": bytearray(whole)}
    cases["damaged"][150] ^= 0xFF  # within the pixels: the checksum of the archive tells
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with refused(DataError, tmp_path / name):
            arrays.read(str(tmp_path / name))
    np.save(tmp_path / "single.npy", GREY)
    with refused(DataError, tmp_path / "single.npy", "single array", "savez"):
        arrays.read(str(tmp_path / "single.npy"))
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("images", "text")
    with refused(DataError, tmp_path / "zip.npz"):
        arrays.read(str(tmp_path / "zip.npz"))
    with refused(DataError, tmp_path / "nowhere.npz", "no such file"):
        arrays.read(str(tmp_path / "nowhere.npz"))
    with refused(DataError, tmp_path):
        arrays.read(str(tmp_path))


def test_the_factors_of_dsprites_have_their_published_names_and_its_pickle_is_not_read(tmp_path: Path):
    bits, classes = (GREY > 100).astype(np.uint8), np.random.default_rng(4).integers(0, 3, (5, 6))
    trap = np.array({"latents_names": Trap(tmp_path / "sprung")}, dtype=object)
    path = tmp_path / "dsprites.npz"
    np.savez(path, imgs=bits, latents_classes=classes, latents_values=classes / 3, metadata=trap)
    read = arrays.read(str(path))
    assert read.train.factor_names == ("color", "shape", "scale", "orientation", "pos_x", "pos_y")
    np.testing.assert_array_equal(read.train.factors, classes)
    values = arrays.read(f"{path}:images=imgs:factors=latents_values")
    assert values.train.factor_names == read.train.factor_names
    assert not (tmp_path / "sprung").exists()
    assert arrays.read(str(write(path, imgs=bits, latents_classes=classes[:, :5]))).train.factor_names[0] == "factor1"
    named = write(path, images=GREY, factors=classes)
    assert arrays.read(str(named)).train.factor_names[0] == "factor1"
