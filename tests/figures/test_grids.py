"""Grids of images and the bare panels made of them."""

import numpy as np
import pytest
import torch
from PIL import Image

from vaelab.figures import panels, save
from vaelab.figures.grids import centres, grid_figure, mosaic
from vaelab.system.errors import SpecError


@pytest.mark.parametrize("channels", [1, 3])
def test_mosaic_puts_every_image_in_its_cell(channels):
    images = torch.rand(5, channels, 3, 2)
    grid = mosaic(images, columns=3, gap=2)
    assert grid.shape == (2 * 3 + 2, 3 * 2 + 2 * 2, channels)
    seen = np.ones_like(grid)
    for i, image in enumerate(images):
        row, column = divmod(i, 3)
        cell = slice(row * 5, row * 5 + 3), slice(column * 4, column * 4 + 2)
        np.testing.assert_array_equal(grid[cell], image.permute(1, 2, 0).numpy())
        seen[cell] = grid[cell]
    np.testing.assert_array_equal(grid, seen)  # white everywhere else


def test_centres_are_the_middles_of_cells():
    assert centres(3, size=5, gap=2) == [2, 9, 16]
    assert centres(2, size=4, gap=0) == [1.5, 5.5]


def test_mosaic_clips():
    assert mosaic(torch.tensor([-1.0, 2.0]).reshape(1, 1, 1, 2), 1, 0).ravel().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("channels", "drawn", "caption"),
    [
        (1, 1, "seed 0"),
        (2, 1, "seed 0 The first of 2 channels is drawn."),
        (3, 3, "seed 0"),
        (13, 3, "seed 0 The first 3 of 13 channels are drawn, as red, green and blue."),
    ],
)
def test_the_caption_says_which_channels_are_drawn(channels, drawn, caption):
    images = torch.rand(2, channels, 3, 3)
    np.testing.assert_array_equal(mosaic(images, 2, 1), mosaic(images[:, :drawn], 2, 1))
    figure, _ = grid_figure([images], 2, 1, caption="seed 0")
    assert figure.texts[1].get_text().replace("\n", " ") == caption


def test_large_images_do_not_make_a_wall():
    figure, _ = grid_figure([torch.zeros(64, 3, 256, 256)], 8, 2)
    assert max(figure.get_size_inches()) < 8


def test_a_long_title_wraps_and_stays_above_the_grid():
    short, _ = grid_figure([torch.zeros(64, 1, 8, 8)], 8, 1, title="short")
    long, _ = grid_figure([torch.zeros(64, 1, 8, 8)], 8, 1, title="a rather long title " * 8)
    assert long.get_size_inches()[0] == short.get_size_inches()[0]
    assert long.get_size_inches()[1] > short.get_size_inches()[1]
    bottom = long.texts[0].get_window_extent().y0
    assert bottom > long.axes[0].get_window_extent().y1
    assert long.texts[0].get_window_extent().x0 > 0


def test_texts_beside_a_wide_axis_stay_in_the_figure():
    figure, _ = grid_figure([torch.zeros(26, 1, 8, 8)], 13, 1, title="title " * 30, caption="caption " * 30, left=1.15)
    width = figure.get_size_inches()[0] * figure.dpi
    assert all(text.get_window_extent().x0 >= 0 and text.get_window_extent().x1 <= width for text in figure.texts)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 20), (3, 32, 32)])
def test_panels_are_crisp(shape, tmp_path):
    """Every pixel of the file is the pixel of the image that covers it: nothing is blurred, shifted or lost."""
    images = np.random.default_rng(0).integers(0, 256, (36, *shape), np.uint8)
    save(panels.data_panel(images), tmp_path / "panel.png")
    with Image.open(tmp_path / "panel.png") as image:
        seen = np.asarray(image.convert("RGB"))
    grid = mosaic(torch.from_numpy(images) / 255, 6, max(1, round(shape[2] / 14)))
    dots = seen.shape[0] // grid.shape[0]
    assert dots >= 2
    expected = np.broadcast_to(np.kron(grid, np.ones((dots, dots, 1))), seen.shape)
    assert np.abs(seen / 255 - expected).max() <= 1.01 / 255


def test_panels_compare_cell_by_cell(mirror, make_data):
    shape = (1, 6, 5)
    model, data = mirror(shape), make_data(shape)
    indices = np.array([5, 3, 59, 0] * 4)
    figures = {
        "data": panels.data_panel(data.images[indices]),
        "reconstruction": panels.reconstruction_panel(model, data, indices),
        "sample": panels.sample_panel(model, count=16),
    }
    sizes = {tuple(figure.get_size_inches()) for figure in figures.values()}
    assert len(sizes) == 1
    for figure in figures.values():
        assert not [text for text in figure.texts if text.get_text()]
        assert figure.axes[0].get_position().bounds == pytest.approx((0, 0, 1, 1))
    shown = {name: np.asarray(figure.axes[0].images[0].get_array()) for name, figure in figures.items()}
    x = torch.from_numpy(data.images[indices]) / 255
    np.testing.assert_allclose(shown["data"], mosaic(x, 4, 1)[..., 0])
    np.testing.assert_allclose(shown["reconstruction"], mosaic((8 * x - 4).sigmoid(), 4, 1)[..., 0], atol=1e-5)


def test_manifold_panel_is_the_manifold_without_text(make_model, make_data):
    from vaelab.figures import FIGURES

    model = make_model((1, 4, 4), 2)
    bare, full = panels.manifold_panel(model), FIGURES["manifold"](model, make_data((1, 4, 4)))
    arrays = [np.asarray(figure.axes[0].images[0].get_array()) for figure in (bare, full)]
    np.testing.assert_array_equal(*arrays)
    with pytest.raises(SpecError):
        panels.manifold_panel(make_model((1, 4, 4), 3))


def test_sample_panel_is_seeded(make_model):
    model = make_model((1, 4, 4), 3)
    state = torch.get_rng_state()
    a, b, c = (np.asarray(panels.sample_panel(model, seed=s).axes[0].images[0].get_array()) for s in (0, 0, 1))
    assert (a == b).all()
    assert (a != c).any()
    assert torch.equal(torch.get_rng_state(), state)
