"""Pictures and what is loaded for them."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.stats import norm
from torch import nn

from tests.traps.small import build, dataset, noise, npz, spec_of
from vaelab.figures import FIGURES
from vaelab.models import Conditional
from vaelab.runs.directory import Run
from vaelab.runs.train import train
from vaelab.system.errors import RunError
from vaelab.system.tensor_file import read_tensors


def test_t40_the_manifold_is_even_in_probability_and_decoded_at_once():
    """T40: a grid even in z, and hundreds of calls of the decoder for it."""
    model, calls = build(), []
    model.likelihood.network.register_forward_pre_hook(lambda module, inputs: calls.append(inputs[0].clone()))
    FIGURES["manifold"](model, dataset(noise(5), "grey"))
    (z,) = calls
    share = norm.cdf(z.double())
    for axis in (0, 1):
        places = np.unique(share[:, axis].round(6))
        np.testing.assert_allclose(np.diff(places), 1 / len(places), rtol=1e-3)  # steps of equal probability
        assert places[0] == pytest.approx(0.5 / len(places), rel=1e-3)  # and the middles of them
    assert len(np.unique(z.round(decimals=4), axis=0)) == len(z) == 400


@pytest.mark.parametrize("kind", FIGURES)
def test_t41_pictures_depend_on_no_flag_of_the_model(kind):
    """T41: batch-norm statistics to be adjusted by a flag before sampling."""
    model, data = build(), dataset(noise(60), "grey")
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), model.likelihood.network)
    model.likelihood = Conditional(network, model.likelihood.head, (2,))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    pictures = []
    for mode, seed in ((model.train(), 1), (model.eval(), 2), (model.train(), 3)):
        torch.manual_seed(seed)
        figure = FIGURES[kind](mode, data, seed=4)
        axes = figure.axes
        pictures.append(
            [np.asarray(image.get_array()) for ax in axes for image in ax.images]
            + [np.asarray(points.get_offsets()) for ax in axes for points in ax.collections]
        )
    assert len(pictures[0]) > 0
    for first, *others in zip(*pictures, strict=True):
        assert all(np.array_equal(first, other) for other in others)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("change", ["one missing", "one too many", "one renamed"])
def test_t41_weights_fit_to_the_last_tensor_or_are_refused(change, tmp_path):
    """T41: weights loaded with strict=False: what does not fit is left as it was, without a word."""
    run = train(spec_of(npz(tmp_path / "images.npz", noise(30), noise(10))), tmp_path, compile="never")
    path = run.path / "model.safetensors"
    tensors, header = read_tensors(path)
    name = next(iter(tensors))
    if change != "one too many":
        tensor = tensors.pop(name)
    if change != "one missing":
        tensors["likelihood.extra"] = tensor if change == "one renamed" else torch.zeros(3)
    save_file(tensors, path, header)
    with pytest.raises(RunError, match="does not fit"):
        Run(run.path).model()
