"""MSE, PSNR and SSIM against slow references, and against exact expectations of a linear-Gaussian model."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.built import build_model, completed, load_splits
from tests.oracle import linear_gaussian
from vaelab.data import Dataset
from vaelab.evaluation import reconstruction
from vaelab.evaluation.measure import EvaluationContext, Metric
from vaelab.evaluation.reconstruction import Reconstruction, psnr, ssim, window_size
from vaelab.runs.spec import Spec
from vaelab.system.errors import SpecError


def images(n: int, shape=(1, 28, 28), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def context(model, data: Dataset, seed: int = 0) -> EvaluationContext:
    return EvaluationContext(model, data, data, seed, "", Path("unused"))


def measure(model, data: Dataset, samples: int = 16, seed: int = 0) -> dict[str, Metric]:
    return {m.name: m for m in Reconstruction(samples=samples)(context(model, data, seed), lambda share: None)}


@pytest.fixture(scope="module")
def digits():
    spec = completed(Spec(latent=2, network="mlp:hidden=5"))
    data = load_splits(spec).test
    torch.manual_seed(0)
    return build_model(spec, data.shape), data


def slow_ssim(x: np.ndarray, y: np.ndarray, size: int) -> float:
    """One channel, window by window, as Wang et al. (2004) write it."""
    at = np.arange(size) - (size - 1) / 2
    window = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(x.shape[0] - size + 1):
        for left in range(x.shape[1] - size + 1):
            a, b = (image[top : top + size, left : left + size] for image in (x, y))
            mu_a, mu_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mu_a) ** 2).sum(), (window * (b - mu_b) ** 2).sum()
            cov = (window * (a - mu_a) * (b - mu_b)).sum()
            c1, c2 = 0.01**2, 0.03**2
            values.append((2 * mu_a * mu_b + c1) * (2 * cov + c2) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize(("shape", "size"), [((1, 28, 28), 11), ((3, 12, 17), 11), ((1, 8, 8), 7), ((2, 30, 1), 1)])
def test_ssim_is_that_of_the_article_window_by_window(shape, size):
    x, y = (torch.from_numpy(images(3, shape, seed)).double() / 255 for seed in (0, 1))
    y = 0.7 * x + 0.3 * y
    found = ssim(x, y)
    expected = [
        np.mean([slow_ssim(a.numpy(), b.numpy(), size) for a, b in zip(x[i], y[i], strict=True)]) for i in range(3)
    ]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
    assert window_size(shape[1:]) == size


def test_ssim_of_an_image_with_itself_is_1_and_of_flat_images_is_their_luminance():
    x = torch.from_numpy(images(2)).float() / 255
    torch.testing.assert_close(ssim(x, x), torch.ones(2, dtype=torch.float64))
    flat = ssim(torch.full((1, 1, 20, 20), 0.2), torch.full((1, 1, 20, 20), 0.6))
    assert flat.item() == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4), rel=1e-6)


def test_psnr_is_in_decibels_below_a_peak_of_1():
    x = torch.zeros(2, 1, 4, 4)
    assert psnr(x, x + 0.1).tolist() == pytest.approx([20, 20], rel=1e-6)
    assert psnr(x, x + 0.01)[0].item() == pytest.approx(40, rel=1e-6)
    assert psnr(x, x)[0].item() == math.inf


def test_the_error_is_unbiased_for_that_of_the_exact_expectation_with_two_draws_already():
    """Linear decoder: E_q[decoder mean] is the decoder's mean at the posterior's mean."""
    oracle = linear_gaussian(posterior_error=0.8)
    data = Dataset("made", "test", images(100, (1, 2, 3)), None, "grey")
    x = torch.from_numpy(data.images).float().double() / 255
    exact = (x - oracle.model.likelihood(oracle.model.posterior(x).mean).mean).square().mean().item()
    for samples in (2, 16):
        values = np.array([measure(oracle.model, data, samples, s)["reconstruction_mse"].value for s in range(60)])
        assert abs(values.mean() - exact) < 3.5 * values.std() / math.sqrt(60)
    one = np.array([measure(oracle.model, data, 1, s)["reconstruction_mse"].value for s in range(20)])
    variance = (oracle.weight.square() @ oracle.model.posterior(x).variance.T).mean().item()
    assert one.mean() == pytest.approx(exact + variance, rel=0.1)
    assert "too large" in measure(oracle.model, data, 1)["reconstruction_mse"].note


def test_psnr_and_ssim_are_those_of_the_mean_of_many_draws():
    oracle = linear_gaussian(shape=(1, 5, 5), posterior_error=0.3)
    data = Dataset("made", "test", images(50, (1, 5, 5)), None, "grey")
    x = torch.from_numpy(data.images).float().double() / 255
    image = oracle.model.likelihood(oracle.model.posterior(x).mean).mean.detach()
    found = measure(oracle.model, data, 400)
    assert found["psnr"].value == pytest.approx(psnr(x, image).mean().item(), abs=0.05)
    assert found["ssim"].value == pytest.approx(ssim(x, image).mean().item(), abs=0.01)


def test_order_does_not_matter_and_every_image_counts_once(digits):
    model, data = digits
    assert data.protocol == "binary-dynamic"  # with noise for each image
    one, other = measure(model, data), measure(model, data.take(np.random.default_rng(0).permutation(len(data))))
    for name in one:
        assert other[name].value == pytest.approx(one[name].value, rel=1e-12)
        assert other[name].se == pytest.approx(one[name].se, rel=1e-12)
        assert one[name].images == len(data) == 180


def test_chunks_of_another_size_change_no_more_than_the_draws(monkeypatch):
    oracle = linear_gaussian(posterior_error=0.0, sigma=1e-4)  # a posterior so narrow that draws hardly differ
    data = Dataset("made", "test", images(130, (1, 2, 3)), None, "grey")
    one = measure(oracle.model, data, 2)
    monkeypatch.setattr(reconstruction, "IMAGES", 9)
    other = measure(oracle.model, data, 2)
    for name in one:
        assert other[name].value == pytest.approx(one[name].value, rel=1e-3)


def test_a_seed_fixes_every_draw_and_mode_and_generator_are_left_alone(digits):
    model, data = digits
    model.train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = measure(model, data, 3), measure(model, data, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert one == two
    assert one["psnr"].value != measure(model, data, 3, seed=1)["psnr"].value
    assert one["psnr"].value != measure(model, data, 4)["psnr"].value


def test_metrics_say_what_they_are_of(digits):
    model, data = digits
    rows = measure(model, data)
    assert [rows[name].unit for name in ("reconstruction_mse", "psnr", "ssim")] == [
        "per pixel in [0, 1]",
        "dB",
        "1 for equal images",
    ]
    assert rows["ssim"].note == "window 7 x 7, the largest that fits"
    assert rows["psnr"].samples == 16
    assert rows["psnr"].protocol == "binary-dynamic"


def test_numbers_of_each_image_stand_behind_their_mean_in_the_order_of_content(digits):
    model, data = digits
    rows = measure(model, data)
    turned = measure(model, data.take(np.arange(len(data))[::-1]))
    for name, row in rows.items():
        assert row.per_image is not None
        assert row.per_image.mean().item() == pytest.approx(row.value)
        torch.testing.assert_close(row.per_image, turned[name].per_image)


def test_an_image_reproduced_exactly_is_told_of_and_not_averaged():
    oracle = linear_gaussian()
    with torch.no_grad():
        oracle.model.likelihood.network[0].weight.zero_()
        oracle.model.likelihood.network[0].bias.zero_()  # a decoder of black images
    data = Dataset("made", "test", images(20, (1, 2, 3)), None, "grey")
    black = replace(data, images=np.concatenate([data.images, np.zeros((2, 1, 2, 3), np.uint8)]))
    found, without = measure(oracle.model, black)["psnr"], measure(oracle.model, data)["psnr"]
    assert found.value == pytest.approx(without.value)
    assert found.images == 20
    assert found.per_image is None  # of which images?
    assert "2 images" in found.note
    assert "psnr" not in measure(oracle.model, replace(data, images=np.zeros((3, 1, 2, 3), np.uint8)))


@pytest.mark.parametrize("samples", [0, -3])
def test_less_than_one_draw_is_refused(samples):
    with pytest.raises(SpecError, match="at least 1 draw"):
        Reconstruction(samples=samples)
