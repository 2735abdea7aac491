import numpy as np
import pytest
import torch

from tests.evaluation.linear import affine, dataset, normal_pixels, scaled
from vaelab.evaluation import posterior_means as module
from vaelab.evaluation.posterior_means import over_posteriors, posterior_means

MODEL = affine(*scaled([1.0, 2.0]), [0.1, 0.2])


def test_codes_are_the_posterior_means_in_the_order_of_the_data():
    data = dataset(normal_pixels(1234))
    eps = (data.images.reshape(-1, 2) / 255 - 0.5) / 0.12
    found = posterior_means(MODEL, data, seed=0)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), eps * [1, 2], atol=1e-5)


def test_the_size_of_the_groups_does_not_matter_where_the_pixels_have_no_noise(monkeypatch):
    data = dataset(normal_pixels(501))
    whole = posterior_means(MODEL, data, seed=0)
    monkeypatch.setattr(module, "GROUP", 7)
    torch.testing.assert_close(posterior_means(MODEL, data, seed=0), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("protocol", ["8bit", "binary-dynamic"])
def test_the_order_of_the_images_does_not_matter_even_where_their_pixels_are_noisy(protocol: str):
    images = np.unique(normal_pixels(1200), axis=0)
    shuffled = np.random.default_rng(1).permutation(len(images))
    one = posterior_means(MODEL, dataset(images, protocol=protocol), seed=0)
    other = posterior_means(MODEL, dataset(images[shuffled], protocol=protocol), seed=0)
    assert torch.equal(one[shuffled], other)
    assert not torch.equal(one, posterior_means(MODEL, dataset(images, protocol=protocol), seed=1))


def test_the_noise_of_one_group_is_not_that_of_the_next(monkeypatch):
    monkeypatch.setattr(module, "GROUP", 50)
    data = dataset(np.full((100, 2), 128, np.uint8), protocol="8bit")
    assert len(torch.unique(posterior_means(MODEL, data, seed=0)[:, 0])) > 90


def test_model_gradients_and_generators_are_left_as_they_were():
    model = affine(*scaled([1.0, 2.0]), [0.1, 0.2]).train()
    model.prior.eval()
    torch.manual_seed(5)
    before, seen, told = torch.get_rng_state(), [], []

    def read(q):
        seen.append((model.training, torch.is_grad_enabled()))
        return q.rsample()

    data = dataset(normal_pixels(600))
    over_posteriors(model, data, 0, read, told.append)
    assert seen == [(False, False)] * 2
    assert told == [500 / 600, 1.0]
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert model.posterior.training
    assert not model.prior.training
    with pytest.raises(ZeroDivisionError):
        over_posteriors(model, data, 0, lambda q: 1 / 0)
    assert model.training
