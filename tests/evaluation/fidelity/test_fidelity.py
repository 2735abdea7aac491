"""The measure as a whole: a model that draws the data's own distribution, and what is said beside the numbers."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.built import build_model, completed, load_splits
from tests.oracle import linear_gaussian
from vaelab.data import Dataset
from vaelab.evaluation.fidelity import fidelity
from vaelab.evaluation.fidelity.distances import frechet
from vaelab.evaluation.fidelity.fidelity import Fidelity, generate
from vaelab.evaluation.measure import EvaluationContext, Metric
from vaelab.runs.spec import Spec
from vaelab.system.errors import DataError, SpecError

SIGMA = 0.06


@pytest.fixture(scope="module")
def perfect() -> EvaluationContext:
    """Data that its own model has drawn, in 256 levels; hardly any of them at the ends."""
    oracle = linear_gaussian(shape=(1, 2, 2), sigma=SIGMA)
    with torch.no_grad():
        oracle.model.likelihood.network[0].weight.mul_(0.1)
        oracle.model.likelihood.network[0].bias.fill_(0.5)
    torch.manual_seed(0)
    x = oracle.model.sample(2000).sample().reshape(2000, 1, 2, 2)
    levels = (255 * x).round().clamp(0, 255).byte().numpy()
    train = Dataset("drawn", "train", levels[:1000], None, "grey")
    return EvaluationContext(
        oracle.model, train, replace(train, split="test", images=levels[1000:]), 0, "", Path("unused")
    )


@pytest.fixture(scope="module")
def digits() -> EvaluationContext:
    spec = completed(Spec(latent=2, network="mlp:hidden=5"))
    data = load_splits(spec)
    torch.manual_seed(0)
    return EvaluationContext(build_model(spec, data.test.shape), data.train, data.test, 0, "", Path("unused"))


def measure(context: EvaluationContext, **options) -> dict[str, Metric]:
    chosen = Fidelity(**{"features": "pixels", **options})
    chosen.check(context)
    return {m.name.removesuffix("[pixels]"): m for m in chosen(context, lambda share: None)}


NAMES = ["frechet", "frechet_train", "kernel_distance", "precision", "recall", "density", "coverage"]


def test_draws_of_the_true_model_are_as_close_as_training_images_are(perfect):
    rows = measure(perfect, draw="sample")
    assert list(rows) == NAMES
    n, spread = 1000, 4 * SIGMA**2 + 0.01 * (1.5**2 + 0.5**2)
    for name in ("frechet", "frechet_train"):
        assert 0 < rows[name].value < 20 * spread / n  # nothing but the bias of n images, of order trace / n
    assert abs(rows["kernel_distance"].value) < 3 * rows["kernel_distance"].se
    assert rows["density"].value == pytest.approx(1, abs=0.1)
    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, 6))
    assert rows["coverage"].value == pytest.approx(expected, abs=0.03)
    assert f"{expected:.3f} if the distributions are equal" in rows["coverage"].note


def test_means_of_the_true_model_are_off_by_the_noise_they_lack(perfect):
    """S_r = W W' + sigma^2 I and S_g = W W' share their axes: sum (sqrt(w + sigma^2) - sqrt(w))^2 of eigenvalues w."""
    row = measure(perfect)["frechet"]
    w = torch.tensor([0.0225, 0.0025, 0, 0], dtype=torch.float64)
    rounding = 1 / 255**2 / 12
    exact = ((w + SIGMA**2 + rounding).sqrt() - w.sqrt()).square().sum().item()
    assert abs(row.value - exact) < 4 * row.se
    assert row.se < 0.1 * exact
    assert "decoder means" in row.note


def test_worse_models_score_worse(perfect):
    oracle = linear_gaussian(shape=(1, 2, 2), sigma=SIGMA)  # untouched: means far outside the data
    good, bad = measure(perfect, draw="sample"), measure(replace(perfect, model=oracle.model), draw="sample")
    assert bad["frechet"].value > 100 * good["frechet"].value
    assert bad["kernel_distance"].value > 30 * bad["kernel_distance"].se
    for name in ("precision", "density", "coverage"):
        assert bad[name].value < 0.5 * good[name].value


def test_each_metric_says_its_features_its_numbers_and_how_sure_it_is(digits):
    rows = Fidelity(features="pixels")(digits, lambda share: None)
    assert [row.name for row in rows] == [f"{name}[pixels]" for name in NAMES]
    named = {row.name: row for row in rows}
    assert all("180 generated images (decoder means) beside 180 real ones" in row.note for row in rows)
    assert {row.images for row in rows} == {180}
    assert {(row.split, row.protocol) for row in rows} == {("test", "binary-dynamic")}
    for name in ("frechet[pixels]", "kernel_distance[pixels]"):
        assert 0 < named[name].monte_carlo_se < named[name].se
    assert named["frechet_train[pixels]"].monte_carlo_se is None
    for name in ("precision[pixels]", "recall[pixels]", "coverage[pixels]"):
        low, high = named[name].interval
        assert low <= named[name].value <= high
    few = measure(replace(digits, data=digits.data.take(np.arange(60))))
    assert "singular covariances" in few["frechet"].note
    assert few["frechet"].se is None


def test_order_does_not_matter(digits):
    def shuffled(data: Dataset) -> Dataset:
        return data.take(np.random.default_rng(0).permutation(len(data)))

    for images in (0, 100):
        one = measure(digits, images=images)
        other = measure(replace(digits, train=shuffled(digits.train), data=shuffled(digits.data)), images=images)
        for name in NAMES:
            assert other[name].value == pytest.approx(one[name].value, rel=1e-9)
            assert other[name].images == (images or 180)


def test_chunks_of_another_size_give_the_same_features(digits, monkeypatch):
    whole = [torch.cat(list(generate(digits.model, n, "mean", 0))) for n in (250, 130)]
    assert len(whole[0]) == 250
    torch.testing.assert_close(whole[0][:130], whole[1])  # the same sequence, however long
    assert len(torch.unique(whole[0], dim=0)) == 250
    one = torch.cat(list(fidelity.stored(digits.data)))
    monkeypatch.setattr(fidelity, "IMAGES", 7)
    assert torch.equal(one, torch.cat(list(fidelity.stored(digits.data))))


def test_a_seed_fixes_every_draw_and_mode_and_generator_are_left_alone(digits):
    digits.model.train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = measure(digits), measure(digits)
    assert torch.equal(torch.get_rng_state(), before)
    assert digits.model.training
    assert one == two
    assert one["frechet"].value != measure(replace(digits, seed=1))["frechet"].value


def test_every_option_has_an_effect(perfect):
    plain = measure(perfect, images=200)
    assert measure(perfect, images=200, draw="sample")["frechet"].value != plain["frechet"].value
    assert measure(perfect, images=200, neighbours=3)["recall"].value < plain["recall"].value
    assert measure(perfect, images=90)["frechet"].images == 90


def test_the_reference_is_the_training_images_that_the_classifier_takes_last(digits):
    unseen = digits.train.take(digits.train.by_content[-180:])
    real, training = (torch.cat(list(fidelity.stored(data))).flatten(1).double() for data in (digits.data, unseen))
    assert measure(digits)["frechet_train"].value == pytest.approx(frechet(real, training).value, rel=1e-9)


def test_progress_is_told(digits):
    told: list[float] = []
    Fidelity(features="pixels", images=50)(digits, told.append)
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] <= 1


@pytest.mark.parametrize("options", [{"images": -1}, {"neighbours": 0}, {"draw": "mode"}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(SpecError):
        Fidelity(**options)


def test_too_few_images_are_refused_with_how_many_are_needed(digits):
    five = replace(digits, data=digits.data.take(np.arange(5)))
    with pytest.raises(DataError, match="at least 6"):
        Fidelity(features="pixels").check(five)
    Fidelity(features="pixels", neighbours=4).check(five)
    with pytest.raises(DataError, match="at least 181"):
        Fidelity(features="pixels", images=181).check(digits)
    with pytest.raises(DataError, match="1 training image"):
        Fidelity(features="pixels").check(replace(digits, train=digits.train.take(np.arange(1))))
    with pytest.raises(SpecError, match="unknown features"):
        Fidelity(features="pixel").check(digits)


def test_two_images_are_enough_for_one_neighbour(digits):
    rows = measure(replace(digits, data=digits.data.take(np.arange(2))), neighbours=1)
    assert all(math.isfinite(row.value) for row in rows.values())


def test_training_images_that_the_classifier_has_seen_are_told_of(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("vaelab.evaluation.fidelity.classifier.STEPS", 5)
    monkeypatch.setattr("vaelab.evaluation.fidelity.classifier.FITTED_ON", 1200)
    rows = Fidelity(images=100)(replace(digits, cache=tmp_path), lambda share: None)
    reference = next(row for row in rows if row.name.startswith("frechet_train[classifier-"))
    assert len(digits.train) == 1455
    assert "has seen" not in reference.note  # 145 held out and 1,200 fitted leave 110
    rows = Fidelity(images=150)(replace(digits, cache=tmp_path), lambda share: None)
    assert "150 training images in place of the generated ones, 40 of which the classifier has seen" in rows[1].note


@pytest.mark.slow
def test_the_classifier_of_real_mnist_is_good_and_an_untrained_model_is_far_from_its_images(real_data, tmp_path):
    spec = completed(Spec(data="mnist", latent=2, network="mlp:hidden=5"))
    data = load_splits(spec, real_data)
    model = build_model(spec, data.test.shape)
    rows = Fidelity(images=2000)(EvaluationContext(model, data.train, data.test, 0, "", tmp_path), lambda share: None)
    assert float(rows[0].note.split("right on ")[1].split("%")[0]) / 100 > 0.97
    assert rows[0].value > 100 * rows[1].value
    assert rows[3].value < 0.05
