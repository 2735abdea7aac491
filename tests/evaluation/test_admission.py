"""What `vl.estimate_bounds` and `vl.fit` are given: refused in one line where it is not what the model describes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import vaelab as vl
from tests.traps.small import build, dataset, noise, splits
from vaelab.system.errors import DataError, SpecError

SPEC = vl.Spec(data="digits", latent=2, network="mlp:hidden=8", epochs=1, batch=100, nll_samples=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> vl.Run:
    return vl.train(SPEC, tmp_path_factory.mktemp("runs"), compile="never")


@pytest.mark.parametrize("protocol", ["grey", "8bit", "levels", "binary-static", "binary-threshold"])
def test_a_trained_model_is_not_measured_on_pixels_of_another_protocol(run, protocol: str):
    test = vl.load_data("digits", protocol=protocol).test
    with pytest.raises(
        SpecError, match=f"protocol {protocol}; expected protocol binary-dynamic, with which the model was"
    ):
        vl.estimate_bounds(run.model(), test, 2, 0)


def test_it_is_measured_on_those_of_its_own(run):
    assert len(vl.estimate_bounds(run.model(), run.data().test, 2, 0).nll) == 180


def test_a_model_learns_its_protocol_by_being_trained(tmp_path):
    model = build()
    assert model.protocol is None
    vl.fit(model, vl.Elbo(), splits("binary-static"), vl.Spec(epochs=1, batch=10), tmp_path, compile="never")
    assert model.protocol == "binary-static"
    with pytest.raises(SpecError, match="expected protocol binary-static"):
        vl.estimate_bounds(model, dataset(noise(5), "binary-dynamic"), 2, 0)


def test_a_model_that_was_told_labels_is_still_held_to_its_protocol(tmp_path):
    run = vl.train(SPEC.model_copy(update={"condition": "labels"}), tmp_path, compile="never")
    with pytest.raises(SpecError, match="expected protocol binary-dynamic"):
        vl.estimate_bounds(run.model().given(3), vl.load_data("digits", protocol="grey").test, 2, 0)


def test_a_model_that_was_not_trained_is_held_to_its_likelihood():
    with pytest.raises(
        SpecError, match="likelihood Bernoulli on images read by protocol 8bit; expected a protocol that it"
    ):
        vl.estimate_bounds(build(), dataset(noise(5), "8bit"), 2, 0)
    assert len(vl.estimate_bounds(build(), dataset(noise(5), "grey"), 2, 0).nll) == 5  # admitted, by name


def test_training_is_held_to_the_likelihood_too(tmp_path):
    with pytest.raises(SpecError, match="likelihood Gaussian on images read by protocol binary-static"):
        vl.fit(build("gaussian"), vl.Elbo(), splits("binary-static"), vl.Spec(batch=10), tmp_path)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (noise(5), "a ndarray in the place of data"),
        (torch.from_numpy(noise(5)), "a Tensor in the place of data"),
        (splits("grey"), "a Splits in the place of data"),
    ],
    ids=["array", "tensor", "splits"],
)
def test_what_is_no_dataset_is_refused(data, found: str):
    with pytest.raises(DataError, match=f"{found}; expected a Dataset"):
        vl.estimate_bounds(build(), data, 2, 0)


def test_images_of_another_size_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"test images of shape \(1, 4, 5\) .*; expected \(1, 4, 4\), the shape of the model"
    ):
        vl.estimate_bounds(build(), dataset(noise(5, (1, 4, 5)), "grey"), 2, 0)
    other = splits("grey", shape=(1, 4, 5))
    with pytest.raises(DataError, match=r"train images of shape .*; expected \(1, 4, 4\)"):
        vl.fit(build(), vl.Elbo(), replace(other, test=other.train), vl.Spec(batch=10), tmp_path)


def test_a_dataset_in_the_place_of_splits_is_refused(tmp_path):
    with pytest.raises(DataError, match="a Dataset in the place of splits"):
        vl.fit(build(), vl.Elbo(), dataset(noise(30), "grey", "train"), vl.Spec(batch=10), tmp_path)


def test_the_images_of_an_array_are_measured_as_they_are_however_they_are_held():
    images = noise(7)
    expected = vl.estimate_bounds(build(), dataset(images, "grey"), 2, 0).nll
    for same in (torch.from_numpy(images), np.asfortranarray(images)):
        assert torch.equal(vl.estimate_bounds(build(), dataset(same, "grey"), 2, 0).nll, expected)
