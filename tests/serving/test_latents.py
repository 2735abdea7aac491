"""Latents, reconstructions and samples of every kind of model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import vaelab as vl
from vaelab.evaluation.measure import evaluating
from vaelab.evaluation.posterior_means import posterior_means
from vaelab.serving import latents
from vaelab.serving.latents import encode
from vaelab.serving.reconstruct import decode, levels_of_pixels, reconstruct
from vaelab.serving.sample import sample

KINDS = {
    "diagonal": {},
    "full": {"posterior": "full"},
    "flow": {"posterior": "flow"},
    "sphere": {"posterior": "von-mises-fisher", "prior": "sphere", "latent": 3},
    "ladder": {"model": "ladder:groups=1", "network": "mlp:hidden=8,8"},
    "codes": {"posterior": "codes:size=8:halvings=1", "prior": "codes", "latent": 4},
    "labels": {"condition": "labels"},
    "grey": {"protocol": "8bit", "network": "conv:channels=4"},
}


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    fields = {"data": "digits", "latent": 2, "network": "mlp:hidden=8", "epochs": 0.2, "nll_samples": 2}
    spec = vl.Spec(**{**fields, **KINDS[request.param]})
    run = vl.train(spec, tmp_path_factory.mktemp(request.param), compile="never", callback=vl.SILENT)
    return request.param, run.model(), run.data().test.take(np.arange(12))


def test_the_rows_of_several_passes_are_in_the_order_of_the_images(made, monkeypatch):
    _, model, data = made
    whole = encode(model, data, draws=2).arrays()
    monkeypatch.setattr(latents, "AT_A_TIME", 5)
    parts = encode(model, data, draws=2).arrays()
    assert parts.keys() == whole.keys()
    for name, array in parts.items():
        assert (array.shape, array.dtype) == (whole[name].shape, whole[name].dtype)
        np.testing.assert_allclose(array, whole[name], rtol=1e-5, atol=1e-5)


def test_images_are_digested_only_if_noise_is_drawn(made, monkeypatch):
    kind, model, data = made
    if kind not in ("diagonal", "grey"):
        pytest.skip("one protocol with noise and one without are enough")
    read = replace(data, protocol="grey" if kind == "diagonal" else "8bit")
    monkeypatch.setattr(latents, "admit_protocol", lambda model, data: None)
    encode(model, read)
    assert ("_hashes" in vars(read)) == (kind == "grey")


def test_the_noise_of_an_image_does_not_depend_on_the_others(made):
    _, model, data = made
    together = encode(model, data, draws=3)
    alone = encode(model, data.take(np.array([5])), draws=3)
    for name, array in together.arrays().items():
        assert len(array) == len(data)
        np.testing.assert_allclose(alone.arrays()[name][0], array[5], rtol=1e-5, atol=1e-5)
    image = reconstruct(model, data.take(np.array([5]))).images[0]
    np.testing.assert_allclose(reconstruct(model, data).images[5], image, rtol=1e-4, atol=1e-4)


@pytest.mark.thorough(0.3)
def test_draws_have_the_mean_and_the_scale(made):
    kind, model, data = made
    latents = encode(model, data, draws=2000)
    assert latents.draws is not None
    error = 5 * latents.scale / np.sqrt(2000 if not latents.estimated else 256) + 1e-5
    assert (np.abs(latents.draws.mean(1, dtype=np.float64) - latents.mean) < error).all()
    np.testing.assert_allclose(latents.draws.std(1), latents.scale, rtol=0.25, atol=1e-3)
    assert (latents.scale == 0).all() == (kind == "codes")
    assert sum(latents.groups) == model.latent


def test_another_seed_gives_other_draws_and_the_same_seed_the_same(made):
    kind, model, data = made
    first, again, other = (encode(model, data, draws=2, seed=seed).draws for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    if kind != "codes":
        assert (first != other).any()


def test_samples_are_a_function_of_the_seed(made):
    _, model, _ = made
    one, same, other = (sample(model, 4, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.images, same.images)
    assert (one.z != other.z).any()
    assert one.images.shape == (4, *model.image_shape)
    given = None if model.labels is None else one.labels
    np.testing.assert_allclose(decode(model, one.z, given), one.images, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    spec = vl.Spec(data="digits", protocol="grey", latent=2, network="mlp:hidden=8", epochs=1, nll_samples=2)
    run = vl.train(spec, tmp_path_factory.mktemp("plain"), compile="never", callback=vl.SILENT)
    return run.model(), run.data().test


def test_means_are_the_posterior_means(plain):
    model, data = plain
    np.testing.assert_allclose(encode(model, data).mean, posterior_means(model, data, 0), rtol=1e-5, atol=1e-5)


def test_codes_are_those_of_the_codebook(made):
    kind, model, data = made
    latents = encode(model, data)
    if kind != "codes":
        assert latents.codes is None
        return
    head = model.posterior.head
    assert latents.codes.shape == (12, 1, 4, 4)
    vectors = head.books[0].codes[torch.from_numpy(latents.codes[:, 0].reshape(12, -1))]  # [N, P, d]
    np.testing.assert_array_equal(vectors.transpose(1, 2).reshape(12, -1).numpy(), latents.mean)


def test_a_temperature_scales_the_prior(plain):
    model, _ = plain
    cold, warm = sample(model, 3000, temperature=0.5), sample(model, 3000)
    np.testing.assert_allclose(cold.z.std(0), 0.5, rtol=0.1)
    np.testing.assert_allclose(warm.z.std(0), 1.0, rtol=0.1)
    assert (sample(model, 2, temperature=0).z == 0).all()


def test_draws_of_pixels_are_not_means(plain):
    model, _ = plain
    drawn = sample(model, 4, draw=True).images
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    assert ((sample(model, 4).images > 0) & (sample(model, 4).images < 1)).all()


def test_the_squared_error_is_that_of_the_stored_levels(plain):
    model, data = plain
    made = reconstruct(model, data)
    expected = ((data.images / 255 - made.images.astype(np.float64)) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(made.squared_error, expected)
    assert made.squared_error.mean() < 0.1  # it has learned something: a wrong order of the images gives more


def test_labels_are_those_that_were_asked_for(made):
    kind, model, _ = made
    if kind != "labels":
        with pytest.raises(vl.VaelabError, match="not conditioned on labels"):
            sample(model, 2, labels=1)
        return
    assert sample(model, 3, labels=7).labels.tolist() == [7, 7, 7]
    assert sample(model, 2, labels=["3", "4"]).labels.tolist() == [3, 4]
    assert sample(model, 500).labels.max() > 5  # as frequent as in the training images
    assert (sample(model, 2, labels=3).images != sample(model, 2, labels=8).images).any()
    for labels, says in ((11, "label 11"), ([1, 2], "2 labels for 3 images"), ("x", "unknown label 'x'")):
        with pytest.raises(vl.VaelabError, match=says):
            sample(model, 3, labels=labels)
    with pytest.raises(vl.VaelabError, match="without labels"):
        decode(model, np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m, d: encode(m, d, draws=-1), "draws = -1"),
        (lambda m, d: reconstruct(m, d, draws=0), "draws = 0"),
        (lambda m, d: sample(m, 0), "0 samples"),
        (lambda m, d: sample(m, 1, temperature=-1), "temperature = -1"),
        (lambda m, d: sample(m, 1, temperature=np.nan), "temperature = nan"),
        (lambda m, d: decode(m, np.zeros((2, 3))), r"z of shape \(2, 3\)"),
        (lambda m, d: decode(m, np.full((1, 2), np.inf)), "NaN or infinite"),
    ],
)
def test_a_mistake_is_told_in_a_line(plain, call, says):
    with pytest.raises(vl.VaelabError, match=says):
        call(*plain)


def test_a_temperature_wants_a_normal_prior(made):
    kind, model, _ = made
    if kind in ("sphere", "ladder", "codes"):
        with pytest.raises(vl.VaelabError, match="one diagonal normal"):
            sample(model, 2, temperature=0.5)
    else:
        sample(model, 2, temperature=0.5)


def test_the_model_stays_as_it_was(made):
    _, model, data = made
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    encode(model, data, draws=1), reconstruct(model, data, 1), sample(model, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    with evaluating(model):
        assert not model.training


def test_pixels_become_levels_by_their_protocol():
    assert levels_of_pixels(np.array([0.0, 1.0, 0.5, -1, 2]), "grey").tolist() == [0, 255, 128, 0, 255]
    levels = np.arange(256)
    assert (levels_of_pixels(levels / 255, "levels") == levels).all()
    assert (levels_of_pixels((levels + 0.5) / 256, "8bit") == levels).all()
