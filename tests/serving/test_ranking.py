import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from vaelab.data import Dataset
from vaelab.serving import ranking
from vaelab.serving.ranking import abnormal, rank
from vaelab.system.errors import DataError, NonFiniteError, SpecError


def drawn(random, normal=60, unusual=40, shift=1.5, sd=1.0):
    scores = np.concatenate([random.standard_normal(normal), shift + sd * random.standard_normal(unusual)])
    return scores, np.arange(normal + unusual) >= normal


@pytest.mark.parametrize("digits", [8, 0])  # with 0 there are many ties
def test_values_are_those_of_scikit_learn(digits):
    scores, unusual = drawn(np.random.default_rng(0))
    scores = np.round(scores, digits)
    found = rank(scores, unusual)
    assert found.auroc == pytest.approx(roc_auc_score(unusual, scores), abs=1e-12)
    assert found.average_precision == pytest.approx(average_precision_score(unusual, scores), abs=1e-12)
    assert (found.normal, found.abnormal, found.share) == (60, 40, 0.4)


def test_order_of_images_and_monotone_maps_of_the_score_change_nothing():
    scores, unusual = drawn(np.random.default_rng(0))
    found, order = rank(scores, unusual), np.random.default_rng(1).permutation(100)
    other = rank(np.exp(scores[order]), unusual[order])
    assert other.auroc == pytest.approx(found.auroc)
    assert other.auroc_interval == pytest.approx(found.auroc_interval)
    assert other.average_precision == pytest.approx(found.average_precision)
    turned = rank(-scores, unusual)
    assert turned.auroc == pytest.approx(1 - found.auroc)
    assert turned.auroc_interval == pytest.approx([1 - end for end in reversed(found.auroc_interval)])


@pytest.mark.parametrize(("shift", "sd"), [(1.5, 1.0), (1.0, 2.5)])
def test_intervals_hold_the_true_value(shift, sd, monkeypatch):
    """In 300 repetitions, 90 to 98.5 % of the intervals hold it: 95 % within 3.5 standard errors, wider above."""
    monkeypatch.setattr(ranking, "RESAMPLES", 200)
    random = np.random.default_rng(0)
    at = np.linspace(-10, 15, 100_001)
    found, false = norm.sf(at, shift, sd) * 0.4, norm.sf(at) * 0.6
    true = {
        "auroc": norm.cdf(shift / math.hypot(1, sd)),
        "average_precision": np.trapezoid(norm.pdf(at, shift, sd) * found / np.maximum(found + false, 1e-300), at),
    }
    holds = dict.fromkeys(true, 0)
    for seed in range(300):
        each = rank(*drawn(random, shift=shift, sd=sd), seed)
        for name, value in true.items():
            low, high = getattr(each, f"{name}_interval")
            holds[name] += low <= value <= high
    assert all(0.90 <= count / 300 <= 0.985 for count in holds.values()), holds


def test_a_perfect_ranking_keeps_an_interval():
    found = rank(np.arange(20.0), np.arange(20) >= 10)
    assert found.auroc == found.average_precision == 1
    assert 0.65 < found.auroc_interval[0] < 0.8
    assert 0.65 < found.average_precision_interval[0] < 0.8
    assert rank(-np.arange(20.0), np.arange(20) >= 10).auroc_interval[1] < 0.35


def test_it_prints_in_one_line():
    scores, unusual = drawn(np.random.default_rng(0))
    text = str(rank(scores, unusual))
    assert text.startswith("AUROC 0.8")
    assert "by chance 0.400" in text
    assert "\n" not in text


def test_bad_scores_are_refused():
    with pytest.raises(DataError, match="1 abnormal and 9 normal images"):
        rank(np.arange(10.0), np.arange(10) == 3)
    with pytest.raises(NonFiniteError, match="1 scores that are not a number"):
        rank(np.array([1, 2, 3, np.nan]), np.arange(4) > 1)


def data(labels, names=None):
    return Dataset("mine", "test", np.zeros((4, 1, 2, 2), np.uint8), labels, "grey", class_names=names or {})


def test_labels_or_names_say_what_is_normal():
    some = data(np.array([7, 1, 2, 7]), {7: "cat", 1: "dog"})
    assert abnormal(some, ["cat"]).tolist() == [False, True, True, False]
    assert abnormal(some, [7, "2"]).tolist() == [False, True, False, False]
    with pytest.raises(SpecError, match="normal label cow; expected one of dog, 2, cat"):
        abnormal(some, ["cow"])
    with pytest.raises(DataError, match="have no labels"):
        abnormal(data(None), [1])
