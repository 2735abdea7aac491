import numpy as np
import pytest

from vaelab.data import load_data, shapes
from vaelab.data.check import check, listing
from vaelab.data.dataset import Raw

SIZES = tuple(shapes.FACTORS.values())


@pytest.fixture(scope="module")
def made() -> Raw:
    return shapes.read().train


@pytest.fixture(scope="module")
def grid(made: Raw) -> np.ndarray:
    """[shape, colour, size, orientation, x, y, 3, 32, 32]."""
    return made.images.reshape(*SIZES, 3, 32, 32)


def ink(images: np.ndarray) -> np.ndarray:
    """How far each pixel of images [..., 3, H, W] is from the background: [..., H, W]."""
    return np.abs(images.astype(float) - shapes.BACKGROUND[:, None, None]).sum(-3)


def test_every_combination_of_factors_is_there_once_and_looks_like_no_other(made: Raw):
    assert made.images.shape == (24_576, 3, 32, 32)
    assert len(np.unique(made.factors, axis=0)) == len({image.tobytes() for image in made.images}) == 24_576
    assert made.factors.min(0).tolist() == [0] * 6
    assert tuple(made.factors.max(0) + 1) == SIZES
    np.testing.assert_array_equal(made.labels, made.factors[:, made.factor_names.index("shape")])


def test_neighbouring_values_differ_by_more_than_a_trace(grid: np.ndarray):
    """In some pixel by 20 levels at least, wherever the other factors are."""
    for axis in range(len(SIZES)):
        step = np.abs(np.diff(grid[..., ::3, ::3, :, :, :].astype(np.int16), axis=axis))
        assert step.max((-3, -2, -1)).min() >= 20, tuple(shapes.FACTORS)[axis]


def test_x_and_y_move_the_same_picture_right_and_down(grid: np.ndarray):
    np.testing.assert_array_equal(grid[..., 3, :, :, :, :-2], grid[..., 4, :, :, :, 2:])
    np.testing.assert_array_equal(grid[..., :, 3, :, :-2, :], grid[..., :, 4, :, 2:, :])


def test_no_shape_is_cut_off(grid: np.ndarray):
    """All of a shape's ink, at the edge as in the middle."""
    total = ink(grid[:, 0]).sum((-2, -1))  # [shape, size, orientation, x, y]
    np.testing.assert_array_equal(total, np.broadcast_to(total[..., 3:4, 3:4], total.shape))


def test_size_scales_the_area_and_orientation_keeps_it(grid: np.ndarray):
    area = ink(grid[:, 0, :, :, 3, 3]).sum((-2, -1))
    area = area / area[:, -1:, :1]  # of the largest, [shape, size, orientation]
    expected = (np.array(shapes.RADII) / max(shapes.RADII)) ** 2
    np.testing.assert_allclose(area, np.broadcast_to(expected[:, None], area.shape), rtol=0.02)


def test_orientation_turns_clockwise_from_upright(grid: np.ndarray):
    """The long axis of an ellipse leans left first and right last, as far as the angle says."""
    across, down = np.meshgrid(np.arange(32) - 15.5, np.arange(32) - 15.5)
    ellipse = ink(grid[0, 0, -1, :, 3, 3])  # centred at column and row 15
    across, down = across + 0.5, down + 0.5
    moments = [(ellipse * product).sum((1, 2)) for product in (across**2, across * down, down**2)]
    angle = 0.5 * np.arctan2(2 * -moments[1], moments[2] - moments[0])
    np.testing.assert_allclose(angle, shapes.ANGLES, atol=0.02)


def test_the_middle_has_the_colour_and_the_corners_the_background(made: Raw, grid: np.ndarray):
    assert made.images.min((0, 2, 3)).tolist() == shapes.BACKGROUND.tolist()
    for colour, levels in enumerate(shapes.COLOURS):
        assert (grid[:, colour, :, :, 3, 3, :, 15, 15] == levels).all()
    assert (made.images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] == shapes.BACKGROUND[:, None]).all()


def test_the_images_are_the_same_every_time(made: Raw):
    np.testing.assert_array_equal(shapes.read().train.images, made.images)
    digest = load_data("shapes").test.sha256
    assert digest.startswith("e4dbf0cc19e0")  # numbers published with this split stay comparable


def test_shapes_load_split_and_check_as_every_source_does(made: Raw):
    splits = load_data("shapes")
    test = splits.test
    assert splits.validation is not None
    assert (len(splits.train), len(splits.validation), len(test)) == (19_906, 2_212, 2_458)
    assert test.note == "no official test split: 2,458 of 24,576 images held out"
    assert (test.protocol, test.factor_names) == ("8bit", tuple(shapes.FACTORS))
    for data in (splits.train, splits.validation, test):
        row = np.ravel_multi_index(tuple(data.factors.T), SIZES)
        np.testing.assert_array_equal(data.images, made.images[row])
    assert [row.count for row in check("shapes")[0]] == [22_118, 2_458]
    assert next(row for row in listing() if row.usage == "shapes").present
