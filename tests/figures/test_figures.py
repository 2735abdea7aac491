"""What every picture of a model promises: texts, sizes, and being a pure function of (model, data, seed)."""

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.text import Text
from torch import nn

from tests.figures.dots import check_whole_dots
from vaelab.figures import FIGURES, save
from vaelab.figures.model_calls import seeded_model
from vaelab.system.errors import SpecError

SHAPES = [(1, 28, 20), (3, 12, 16)]


def png(figure, folder) -> bytes:
    save(figure, folder / "figure.png")
    return (folder / "figure.png").read_bytes()


@pytest.mark.thorough(0.5)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("latent", [1, 2, 5])
@pytest.mark.parametrize("name", FIGURES)
def test_draws_every_shape_and_latent(name, shape, latent, make_model, make_data, tmp_path):
    model, data = make_model(shape, latent), make_data(shape, protocol="binary-dynamic" if shape[0] == 1 else "8bit")
    if name == "manifold" and latent != 2:
        with pytest.raises(SpecError, match="traversal"):
            FIGURES[name](model, data)
        return
    figure = FIGURES[name](model, data, title="A heading")
    assert "A heading" in [text.get_text() for text in figure.findobj(Text)]
    assert png(figure, tmp_path)[:4] == b"\x89PNG"
    check_whole_dots(figure)
    for ax in figure.axes:
        if ax.images:
            assert ax.images[0].get_array().ndim == (2 if shape[0] == 1 else 3)


@pytest.mark.parametrize("name", FIGURES)
def test_pure_function_of_the_seed(name, make_model, make_data, tmp_path):
    model, data = make_model((1, 8, 6), 2), make_data((1, 8, 6), count=200, protocol="binary-dynamic")
    first = png(FIGURES[name](model, data, seed=3), tmp_path)
    torch.manual_seed(99)
    assert png(FIGURES[name](model, data, seed=3), tmp_path) == first
    if name != "manifold":
        assert png(FIGURES[name](model, data, seed=4), tmp_path) != first


@pytest.mark.parametrize("name", FIGURES)
def test_leaves_no_trace(name, make_model, make_data, tmp_path):
    model, data = make_model((1, 8, 6), 2, decoder=noisy_decoder((1, 8, 6), 2)), make_data((1, 8, 6))
    model.posterior.network.eval()  # a frozen part stays frozen
    modes = [module.training for module in model.modules()]
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(5)
    state, rc = torch.get_rng_state(), dict(matplotlib.rcParams)
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    png(FIGURES[name](model, data), tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert dict(matplotlib.rcParams) == rc
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert all(not seen.requires_grad for seen in model.likelihood.network.seen)


def noisy_decoder(shape, latent) -> nn.Module:
    """Batch normalisation and dropout: a picture must neither train the one nor be shaken by the other."""
    size = int(np.prod(shape))
    return nn.Sequential(
        nn.Linear(latent, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, size), nn.Unflatten(1, shape)
    )


def test_modes_are_restored_after_an_error(make_model):
    model = make_model((1, 4, 4), 2)
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded_model(model, 0):  # noqa: PT012
        assert not model.training
        assert not torch.is_grad_enabled()
        torch.rand(1)
        raise ZeroDivisionError
    assert model.training
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", FIGURES)
def test_decodes_in_batches(name, make_model, make_data):
    model, data = make_model((1, 8, 6), 2), make_data((1, 8, 6))
    FIGURES[name](model, data)
    assert len(model.likelihood.network.seen) <= 4


@pytest.mark.parametrize("name", FIGURES)
def test_few_images_are_enough(name, make_model, make_data, tmp_path):
    model, data = make_model((1, 8, 6), 2), make_data((1, 8, 6), count=3)
    png(FIGURES[name](model, data), tmp_path)


def test_save_is_deterministic_and_bare(make_model, make_data, tmp_path):
    from PIL import Image

    figure = FIGURES["samples"](make_model((1, 8, 6), 2), make_data((1, 8, 6)))
    assert png(figure, tmp_path) == png(figure, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    with Image.open(tmp_path / "figure.png") as image:
        assert set(image.info) == {"dpi", "Description"}  # neither a date nor a version
        assert image.size == tuple(round(150 * inches) for inches in figure.get_size_inches())
    save(figure, tmp_path / "figure.png", dpi=100)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.size[0] == pytest.approx(100 * figure.get_size_inches()[0], abs=1)
