"""The options of files of arrays, and the layouts that they describe."""

from pathlib import Path

import numpy as np
import pytest

from vaelab.data.formats import npz
from vaelab.data.formats.layout import layout_of
from vaelab.data.formats.options import Options, of_arrays, of_one_array, path_of
from vaelab.system.errors import DataError, SpecError


def test_options_follow_the_path():
    path, options = of_arrays("a:b/c.npz:key=x:labels=y:test_images=u:shape=28x20:order=F:axes=WH")
    assert path == "a:b/c.npz"
    assert options == Options({"images": "x", "labels": "y", "test_images": "u"}, (28, 20), "F", "WH")
    assert of_one_array("a.npy,b.npy:axes=nhwc") == ("a.npy,b.npy", Options({}, axes="NHWC"))
    assert of_arrays("a.npz") == ("a.npz", Options({}))


def test_a_file_whose_name_looks_like_options_is_that_file(tmp_path: Path):
    name = str(tmp_path / "a:shape=2x2")
    assert path_of(name) == str(tmp_path / "a")
    np.savez(tmp_path / "b.npz", images=np.arange(8, dtype=np.uint8).reshape(2, 2, 2))
    (tmp_path / "b.npz").rename(name)
    assert path_of(name) == name
    assert len(npz.read(name).train.images) == 2


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("a:shap=2x2", ("'shap=2x2'", "unknown", "images, labels", "shape, order, axes")),
        ("a:shape=2x2:shape=3x3", ("'shape=3x3'", "given twice")),
        ("a:shape=", ("'shape='", "without a value")),
        ("a:shape=28", ("shape=28", "HxW or CxHxW")),
        ("a:shape=0x3", ("shape=0x3",)),
        ("a:shape=2x2:order=X", ("order=X", "C or F")),
        ("a:order=F", ("order=F", "without a shape")),
        ("a:axes=NHX", ("axes=NHX", "NHW or NCHW")),
        ("a:shape=3x2x2:axes=NHW", ("axes=NHW", "CHW", "axes=HWC")),
        ("a:labels=y", ("labels", "without images")),
        ("a:images=x:test_labels=y", ("test_labels", "without images")),
        ("a:test_images=x", ("test_images", "without images")),
        ("a:key=x:images=y", ("key and images",)),
    ],
)
def test_wrong_options_are_refused(refused, argument: str, words: tuple[str, ...]):
    with refused(SpecError, *words):
        of_arrays(argument)


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 4), np.uint8)


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (IMAGES.reshape(5, 72), Options({}, (3, 6, 4))),
        (IMAGES.reshape(5, 72).T, Options({}, (3, 6, 4))),
        (IMAGES.transpose(0, 3, 2, 1).reshape(5, 72), Options({}, (3, 6, 4), "F")),
        (IMAGES.transpose(0, 2, 3, 1).reshape(5, 72), Options({}, (6, 4, 3), axes="HWC")),
        (IMAGES.transpose(0, 1, 3, 2).reshape(5, 72), Options({}, (6, 4, 3), "F", "HWC")),
        (IMAGES.transpose(2, 3, 1, 0), Options({}, axes="HWCN")),
    ],
    ids=["rows", "columns", "Fortran", "channels last", "Fortran, channels last", "HWCN"],
)
def test_each_layout_gives_the_same_images(array: np.ndarray, options: Options):
    if options.order == "F" and options.axes:
        array = np.stack([image.transpose(1, 2, 0).ravel(order="F") for image in IMAGES])
    np.testing.assert_array_equal(layout_of("a", array.shape, options).images(array), IMAGES)


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((5, 72), Options({}, (6, 4)), ("(5, 72)", "[N, 24] or [24, N]", "shape=6x4")),
        ((24, 24), Options({}, (6, 4)), ("(24, 24)", "either axis may be the images")),
        ((5, 6, 4), Options({}, (6, 4)), ("(5, 6, 4)", "[N, 24]")),
        ((5, 6, 4), Options({}, axes="NCHW"), ("(5, 6, 4)", "4 axes, for axes=NCHW")),
        ((5, 24), Options({}, axes="NHW"), ("3 axes", "shape=28x28")),
        ((5,), Options({}), ("(5,)", "reshape")),
    ],
)
def test_shapes_that_contradict_the_options_are_refused(refused, shape: tuple[int, ...], options: Options, words):
    with refused(DataError, "file, key", *words):
        layout_of("file, key", shape, options)


@pytest.mark.parametrize("shape", [(28, 20, 100), (32, 32, 3, 100)])
def test_matlab_s_order_of_axes_is_never_guessed(refused, shape: tuple[int, ...]):
    with refused(DataError, "a", shape, "an order that the file does not say", "axes=HW"):
        layout_of("a", shape, Options({}), matlab=True)
