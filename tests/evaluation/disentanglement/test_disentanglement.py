"""The measure on a model whose codes are the factors themselves, and what it refuses."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.oracle import linear_gaussian
from vaelab.data import Dataset
from vaelab.evaluation.disentanglement import disentanglement, scores
from vaelab.evaluation.disentanglement.disentanglement import Disentanglement
from vaelab.evaluation.measure import EvaluationContext, Metric
from vaelab.system.errors import DataError, SpecError, VaelabError

NAMES = ("a", "b", "c", "d")
SCORES = ["mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness", "factorvae_score"]


def data(split: str, n: int, seed: int) -> Dataset:
    """Images of 2 x 3 pixels: four show a factor of four values each, two show noise."""
    random = np.random.default_rng(seed)
    factors = random.integers(4, size=(n, 4))
    pixels = np.concatenate([40 + 50 * factors, random.integers(256, size=(n, 2))], axis=1)
    return Dataset("made", split, pixels.astype(np.uint8).reshape(n, 1, 2, 3), None, "8bit", "", factors, NAMES)


def context(scale: tuple[float, ...] = (3.0, 3.0, 3.0, 3.0), seed: int = 0) -> EvaluationContext:
    """Its encoder copies the first four pixels, times `scale`."""
    model = linear_gaussian(latent=4).model
    encoder = model.posterior.network[1]  # pyright: ignore[reportIndexIssue]
    with torch.no_grad():
        encoder.weight[:4] = torch.eye(6)[:4] * torch.tensor(scale)[:, None]
    return EvaluationContext(model, data("train", 1000, 1), data("test", 600, 2), seed, "", Path("unused"))


def measured(of: EvaluationContext, **options: int) -> dict[str, Metric]:
    measure = Disentanglement(**options)
    measure.check(of)
    shares: list[float] = []
    rows = {row.name: row for row in measure(of, shares.append)}
    assert list(rows) == SCORES
    assert shares == sorted(shares)
    assert shares[-1] == 1
    return rows


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "TREES", 4)
    monkeypatch.setattr(disentanglement, "FITS", 2)
    monkeypatch.setattr(disentanglement, "RESAMPLES", 4)


@pytest.mark.usefixtures("cheap")
def test_codes_that_are_the_factors_have_every_score():
    rows = measured(context())
    assert rows["mig"].value > 0.95
    assert rows["sap"].value == pytest.approx(0.75, abs=0.08)  # the second best is fitted too
    assert "perfect is about 0.75" in rows["sap"].note
    for name in SCORES[2:]:
        assert rows[name].value > 0.97, name
    for row in rows.values():
        assert (row.unit, row.images, row.split, row.protocol) == ("share", 600, "test", "8bit")
        assert (row.se is None) == (row.interval is not None)
        assert row.se is None or row.se < 0.05  # of a share of 600 images, or between two fits that agree
    for name in ("mig", "sap", "dci_completeness", "dci_informativeness"):
        assert "parts: a, b, c, d" in rows[name].note
        assert np.mean(rows[name].parts) == pytest.approx(rows[name].value)
        assert len(rows[name].parts) == 4
    assert "20 bins, N = 600: each mutual information biased by up to +0.048 nats" in rows["mig"].note  # 19 * 3 / 1200
    assert rows["factorvae_score"].interval == pytest.approx((0.995, 1), abs=1e-3)


@pytest.mark.usefixtures("cheap")
def test_codes_that_do_not_vary_have_none():
    rows = measured(context((0.0, 0.0, 0.0, 0.0)))
    for name in SCORES[:4]:
        assert rows[name].value == pytest.approx(0, abs=1e-9), name
    assert rows["dci_informativeness"].value < 0.3
    assert "0 of 4 dimensions" in rows["factorvae_score"].note
    assert rows["factorvae_score"].value == pytest.approx(0.25, abs=0.06)


@pytest.mark.usefixtures("cheap")
def test_a_dimension_that_hardly_varies_takes_no_part_in_the_vote():
    """Of standard deviation 0.07, whose square is below 0.01: its factor has no dimension left."""
    rows = measured(context((0.3, 3.0, 3.0, 3.0)))
    assert "3 of 4 dimensions" in rows["factorvae_score"].note
    assert 0.7 < rows["factorvae_score"].value < 0.95
    assert rows["mig"].value > 0.95  # the histogram does not care


@pytest.mark.usefixtures("cheap")
def test_what_is_fitted_is_fitted_to_training_images_and_judged_on_the_others():
    """Where each factor of the training images has the next one's name, all that was learned from them is wrong."""
    of = context()
    factors = of.train.factors
    assert factors is not None
    rows = measured(replace(of, train=replace(of.train, factors=np.roll(factors, 1, axis=1))))
    assert rows["factorvae_score"].value == 0
    assert rows["dci_informativeness"].value == pytest.approx(0.25, abs=0.05)
    assert rows["mig"].value > 0.95


@pytest.mark.usefixtures("cheap")
def test_the_order_of_the_images_does_not_matter():
    one = context((3.0, 0.1, 3.0, 3.0))
    order = np.random.default_rng(0).permutation
    other = replace(one, train=one.train.take(order(1000)), data=one.data.take(order(600)))
    expected = measured(one, images=550)
    assert expected["mig"].images == 550
    assert {name: row.as_row() for name, row in measured(other, images=550).items()} == {
        name: row.as_row() for name, row in expected.items()
    }


@pytest.mark.usefixtures("cheap")
def test_each_option_and_the_seed_has_an_effect():
    of = context((3.0, 0.1, 3.0, 3.0))
    rows = measured(of)
    assert measured(of, bins=3)["mig"].value != rows["mig"].value
    assert measured(replace(of, seed=1))["mig"].se != rows["mig"].se


def test_the_standard_error_of_a_gap_is_its_deviation_between_sets_of_images():
    """Within 5 of its own standard errors: 1 / sqrt(2 * 29) of 30 resamples, and of 30 sets."""

    def coded(seed: int) -> disentanglement._Coded:
        random = np.random.default_rng(seed)
        factors = random.integers(4, size=(600, 2))
        return disentanglement._Coded(factors + random.normal(size=(600, 2)), np.ones(2, bool), factors, "")

    rows = [disentanglement._mig(context(), coded(seed), 20) for seed in range(30)]
    between = np.std([row.value for row in rows], ddof=1)
    assert np.mean([row.se for row in rows if row.se]) == pytest.approx(between, rel=5 * np.sqrt(1 / 58 + 1 / 58 / 30))


def test_the_standard_error_of_informativeness_is_over_the_fits_and_over_the_images(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(0)
    fits = [scores.Dci(np.eye(4), random.random((600, 4)) < 0.5 + 0.1 * i) for i in range(disentanglement.FITS)]
    left = iter(fits)
    monkeypatch.setattr(scores, "dci", lambda *parts: next(left))
    coded = disentanglement._Coded(np.zeros((600, 4)), np.ones(4, bool), random.integers(4, size=(600, 4)), "")
    rows = {row.name: row for row in disentanglement._dci(context(), coded, coded, lambda share: None)}
    row = rows["dci_informativeness"]
    assert row.value == pytest.approx(np.mean([fit.correct for fit in fits]))
    over_fits = np.var([fit.correct.mean() for fit in fits], ddof=1) / len(fits)
    over_images = np.var([np.mean([fit.correct[n] for fit in fits]) for n in range(600)], ddof=1) / 600
    assert row.se == pytest.approx(np.sqrt(over_fits + over_images))
    assert rows["dci_completeness"].se == 0  # no image takes part, and the fits agree


def refusals() -> dict[str, tuple[EvaluationContext, type[VaelabError], str]]:
    of, test = context(), data("test", 600, 2)
    factors = test.factors
    assert factors is not None

    def altered(values: np.ndarray, names: tuple[str, ...] = NAMES) -> EvaluationContext:
        return replace(of, data=replace(test, factors=values, factor_names=names))

    bare = replace(test, factors=None, factor_names=())
    rare = factors.copy()
    rare[:, 1] = np.arange(600) >= 63
    return {
        "no factors": (replace(of, data=bare), DataError, "test images have no known factors"),
        "in training": (replace(of, train=replace(bare, split="train")), DataError, "train images have no"),
        "one factor": (altered(factors[:, :1], ("a",)), DataError, "one known factor"),
        "few images": (
            replace(of, data=test.take(np.arange(499))),
            DataError,
            "test images number 499; expected at least 500",
        ),
        "one value": (altered(factors * [1, 1, 0, 1]), DataError, "all have c = 0"),
        "rare value": (altered(rare), DataError, "b = 0 in 63 of 600 images; expected at least 64 images"),
        "other factors": (altered(factors, ("a", "b", "d", "c")), DataError, "a, b, d, c of the test images"),
        "one dimension": (replace(of, model=linear_gaussian(latent=1).model), SpecError, "1 latent dimension"),
    }


@pytest.mark.parametrize("case", list(refusals()))
def test_what_cannot_be_measured_is_refused_before_any_work(case: str):
    of, error, words = refusals()[case]
    with pytest.raises(error, match=words):
        Disentanglement().check(of)


@pytest.mark.parametrize("options", [{"bins": 1}, {"images": 499}, {"images": -1}])
def test_impossible_options_are_refused(options: dict[str, int]):
    with pytest.raises(SpecError, match=f"{next(iter(options))} = "):
        Disentanglement(**options)


def test_naming_the_measure_does_not_import_scikit_learn():
    code = "import sys, vaelab.evaluation.disentanglement.disentanglement; print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
