import re
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

import vaelab as vl
from tests.built import build_model
from vaelab.data import Dataset
from vaelab.evaluation.likelihood import likelihood
from vaelab.serving import scores as module
from vaelab.serving.complexity import png_bits
from vaelab.serving.scores import COLUMNS, UNUSUAL, score, with_p_values
from vaelab.system.errors import SpecError

LIKELIHOODS = {"8bit": "gaussian:sigma=shared", "levels": "categorical", "grey": "bernoulli"}
PROTOCOLS = ["binary-dynamic", "binary-static", "binary-threshold", "grey", "levels", "8bit"]


def model_for(protocol, shape=(1, 8, 8)):
    torch.manual_seed(0)
    likelihood = LIKELIHOODS.get(protocol, "bernoulli")
    spec = vl.Spec(data="digits", latent=3, network="mlp:hidden=8", likelihood=likelihood, protocol=protocol)
    return build_model(spec, shape).eval()


def images(protocol, count=30, seed=0):
    levels = np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    if protocol in ("binary-static", "binary-threshold"):
        levels = (levels >= 128) * np.uint8(255)
    return Dataset("mine", "test", levels, None, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scores_are_those_of_the_bounds(protocol):
    model, data = model_for(protocol), images(protocol)
    found = score(model, data, samples=20, seed=3)
    bounds = likelihood.estimate_bounds(model, data, 20, 3)
    assert np.array_equal(found.nll_nats, bounds.nll)
    assert np.allclose(found.nll_se_nats**2, bounds.nll_variance)
    assert np.array_equal(found.elbo_nats, bounds.elbo)
    assert np.allclose(found.elbo_nats, -found.rate_nats - found.distortion_nats)
    assert all(value.dtype == np.float64 and value.shape == (30,) for value in found.columns().values())
    if protocol in ("8bit", "levels"):
        assert np.allclose(found.bits_per_dim, found.nll_nats / 64 / log(2))
    else:
        assert found.bits_per_dim is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_complexity_is_that_of_the_image_that_nll_counts(protocol):
    model, data = model_for(protocol), images(protocol)
    found = score(model, data, samples=2)
    if protocol == "grey":
        assert found.complexity_corrected_nats is None
        assert "not the length of a code" in found.absent["complexity_corrected_nats"]
    else:
        assert np.allclose(found.complexity_corrected_nats, found.nll_nats - found.complexity_bits * log(2))
    if protocol != "binary-dynamic":
        binary = protocol.startswith("binary")
        assert np.array_equal(found.complexity_bits, png_bits(data.images >= 128 if binary else data.images))


def test_the_binary_image_of_a_dynamic_draw_is_the_one_that_is_scored(monkeypatch):
    """The decoder's logits are 1, so the distortion tells how many pixels are white in the draw."""
    model, data, counted = model_for("binary-dynamic"), images("binary-dynamic", 150), list[np.ndarray]()
    with torch.no_grad():
        for parameter in model.likelihood.parameters():
            parameter.zero_()
        model.likelihood.offset.fill_(1)

    def count(batch):
        assert batch.dtype == bool
        counted.append(batch.reshape(len(batch), -1).sum(1))
        return counted[-1].astype(float)

    monkeypatch.setattr(module, "png_bits", count)
    found = score(model, data, samples=1, seed=5)
    white = 64 * log(1 + np.e) - found.distortion_nats
    assert np.allclose(found.complexity_bits, white, atol=1e-3)


def test_order_of_images_changes_no_score():
    model, data = model_for("binary-dynamic"), images("binary-dynamic", 130)
    order = np.random.default_rng(0).permutation(130)
    found, other = score(model, data, 3), score(model, data.take(order), 3)
    for name, values in found.columns().items():
        assert np.allclose(getattr(other, name), values[order], atol=1e-4), name


def test_regret_is_there_on_request():
    model, data = model_for("binary-threshold"), images("binary-threshold")
    found, shares = score(model, data, 2, regret=True), list[float]()
    assert found.regret_nats.shape == found.regret_se_nats.shape == (30,)
    assert "regret_nats" not in found.absent
    plain = score(model, data, 2, progress=shares.append)
    assert plain.regret_nats is None
    assert plain.absent["regret_nats"].endswith("regret=True)")
    assert np.array_equal(plain.nll_nats, found.nll_nats)
    assert shares[-1] == 1
    shares.clear()
    score(model, data, 2, regret=True, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_p_values_are_of_the_score_in_its_unusual_direction():
    model = model_for("binary-threshold")
    new, old = (score(model, images("binary-threshold", 19, seed), 2, seed=seed) for seed in (0, 1))
    for name, worst in (("nll_nats", new.nll_nats.argmax()), ("elbo_nats", new.elbo_nats.argmin())):
        found = with_p_values(new, old, name)
        assert found.p_value[worst] == found.p_value.min()
        assert found.p_value_of == name
        assert "p_value" not in found.absent
    assert np.allclose(with_p_values(new, new).p_value.min(), 2 / 20)  # its own score is as large


def test_calibration_in_another_way_is_refused():
    model, data = model_for("binary-threshold"), images("binary-threshold")
    with pytest.raises(SpecError, match="K = 2, and calibration scores with protocol binary-threshold, K = 3"):
        with_p_values(score(model, data, 2), score(model, data, 3))
    other = replace(score(model, data, 2), protocol="8bit")
    with pytest.raises(SpecError, match="calibration scores with protocol 8bit"):
        with_p_values(score(model, data, 2), other)


def test_a_score_that_is_not_there_is_refused_with_the_reason():
    found = score(model_for("grey"), images("grey"), 2)
    with pytest.raises(
        SpecError, match=r"no complexity_corrected_nats: under the protocol grey.*expected one of nll_nats"
    ):
        found.unusual("complexity_corrected_nats")
    with pytest.raises(SpecError, match="regret=True"):
        found.unusual("regret_nats")
    with pytest.raises(SpecError, match="unknown score 'nll'"):
        found.unusual("nll")


@pytest.mark.parametrize("samples", [0, -1])
def test_no_draw_is_refused(samples):
    with pytest.raises(SpecError, match="at least 1 draw of z"):
        score(model_for("grey"), images("grey"), samples)


def test_it_prints_quantiles_that_fit_a_terminal():
    found = score(model_for("8bit"), images("8bit"), 2)
    text = repr(found)
    assert str(found) == text
    assert text.startswith("Scores of 30 images, protocol 8bit, K = 2\n")
    assert f"{np.median(found.nll_nats):,.4g}" in text
    assert "regret_nats is absent" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_large_numbers_are_printed_in_full():
    found = score(model_for("8bit"), images("8bit"), 2)
    text = repr(replace(found, nll_nats=np.full(30, 16_476.4), rate_nats=np.full(30, 1.23456)))
    assert re.search(r"nll_nats +16,476 +16,476 +16,476\n", text)
    assert re.search(r"rate_nats +1.235 +1.235 +1.235\n", text)


def test_names():
    assert set(UNUSUAL) < set(COLUMNS)
    assert set(score(model_for("8bit"), images("8bit"), 1).columns()) < set(COLUMNS)
