"""Images in hand: what is understood, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

import vaelab as vl
from vaelab.data.dataset import Dataset
from vaelab.serving.images import as_read, levels_of

LEVELS = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6), np.uint8)
GREY = LEVELS[:, :1]
SHAPE, GREY_SHAPE = (3, 5, 6), (1, 5, 6)


@pytest.mark.parametrize(
    "images",
    [
        LEVELS,
        LEVELS.transpose(0, 2, 3, 1),
        torch.from_numpy(LEVELS),
        (LEVELS / 255).astype(np.float32),
        torch.from_numpy(LEVELS).double() / 255,
        [Image.fromarray(image.transpose(1, 2, 0)) for image in LEVELS],
        list(LEVELS),
    ],
    ids=["first", "last", "tensor", "floats", "doubles", "pil", "list"],
)
def test_every_form_gives_the_same_levels(images):
    np.testing.assert_array_equal(levels_of(images, SHAPE), LEVELS)


@pytest.mark.parametrize(
    "image",
    [LEVELS[0], LEVELS[0].transpose(1, 2, 0), Image.fromarray(LEVELS[0].transpose(1, 2, 0)), LEVELS[0] / 255],
    ids=["first", "last", "pil", "floats"],
)
def test_one_image_becomes_a_batch_of_one(image):
    np.testing.assert_array_equal(levels_of(image, SHAPE), LEVELS[:1])


@pytest.mark.parametrize("images", [GREY, GREY[:, 0], GREY.transpose(0, 2, 3, 1), GREY[:, 0] / np.float32(255)])
def test_grey_images_need_no_axis_of_channels(images):
    np.testing.assert_array_equal(levels_of(images, GREY_SHAPE), GREY)


def test_bools_are_black_and_white():
    np.testing.assert_array_equal(levels_of(GREY[0, 0] > 100, GREY_SHAPE)[0, 0], np.where(GREY[0, 0] > 100, 255, 0))


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (LEVELS.astype(np.float32), "float images from 0 to 255; expected floats in [0, 1], or uint8 levels; divide"),
        (LEVELS / 127.5 - 1, "float images from -1 to 1"),
        (LEVELS.astype(np.int64), "images of int64"),
        (np.where(LEVELS > 9, np.nan, 0.5), "NaN or infinite"),
        (LEVELS[:, :, :4], r"images of shape (4, 3, 4, 6); expected [N, 3, 5, 6] or [N, 5, 6, 3]"),
        (LEVELS[:, :2], "images of shape (4, 2, 5, 6)"),
        (LEVELS % 2, "only the levels 0 and 1"),
        (Image.new("RGBA", (6, 5)), "a PIL image: transparent pixels"),
        ("x", "images of type str"),
        ([], "images of type list"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_found(images, says):
    with pytest.raises(vl.VaelabError) as refused:
        levels_of(images, SHAPE)
    assert says in str(refused.value)


def test_the_static_noise_of_an_image_does_not_depend_on_the_others():
    data = Dataset("some", "test", GREY, None, "binary-static")
    together = as_read(data, "binary-static").images
    assert set(np.unique(together)) == {0, 255}
    for i in range(len(GREY)):
        np.testing.assert_array_equal(as_read(data.take(np.array([i])), "binary-static").images[0], together[i])
