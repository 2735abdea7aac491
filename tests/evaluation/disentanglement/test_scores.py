"""Each score on a perfectly disentangled representation, on its rotation, on noise, and against exact answers."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.linalg import hadamard
from sklearn.metrics import mutual_info_score

from vaelab.evaluation.disentanglement import scores as disentanglement_scores
from vaelab.evaluation.disentanglement.scores import (
    Dci,
    dci,
    majority_correct,
    mig,
    mutual_information,
    sap,
    threshold_accuracy,
    votes,
)

SIZES = (3, 4, 5, 8)
VOTES = 300


def drawn(n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.stack([random.integers(size, size=n) for size in SIZES], axis=1)


def perfect(factors: np.ndarray, seed: int = 0) -> np.ndarray:
    """Six dimensions in another order and of other scales: each factor with a little noise in one, two of noise."""
    random = np.random.default_rng(seed)
    codes = np.concatenate([factors, random.normal(size=(len(factors), 2))], axis=1)
    codes[:, :4] += 0.05 * random.normal(size=factors.shape)
    return (codes / codes.std(0))[:, [3, 5, 0, 2, 4, 1]] * [1, -1, 2, 0.5, 1, -3]


def rotated(factors: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same, turned so that every factor lies as much in each of four dimensions."""
    codes = perfect(factors, seed)
    codes /= codes.std(0)
    codes[:, [0, 2, 3, 5]] = codes[:, [0, 2, 3, 5]] @ hadamard(4) / 2
    return codes


def noise(factors: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(factors), 6))


def factorvae(codes: np.ndarray, factors: np.ndarray) -> float:
    random = np.random.default_rng(0)
    return majority_correct(votes(codes, factors, VOTES, random), votes(codes, factors, VOTES, random)) / VOTES


FACTORS = drawn(1000, 0)


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disentanglement_scores, "TREES", 15)


def test_mig_of_perfect_rotated_and_random_codes():
    """Near 1, low, near 0: a broadcast once gave 0.0008 for 0.5 (YannDubs/disentangling-vae, issue 64)."""
    gaps = mig(perfect(FACTORS), FACTORS, 20)
    assert gaps.shape == (4,)
    assert gaps.min() > 0.95
    assert mig(rotated(FACTORS), FACTORS, 20).mean() < 0.3
    assert mig(noise(FACTORS), FACTORS, 20).mean() < 0.02


def test_sap_of_perfect_rotated_and_random_codes():
    chance = 1 / np.array(SIZES)
    gaps = sap(perfect(FACTORS), FACTORS)
    assert (gaps > 0.9 * (1 - chance)).all()
    assert (gaps < 1 - chance).all()
    assert sap(rotated(FACTORS), FACTORS).mean() < 0.25
    assert sap(noise(FACTORS), FACTORS).mean() < 0.02


@pytest.mark.usefixtures("few_trees")
def test_dci_of_perfect_rotated_and_random_codes():
    fresh = drawn(500, 1)
    some = FACTORS[:700]
    one, turned, random = (dci(f(some), some, f(fresh, 1), fresh, 0) for f in (perfect, rotated, noise))
    assert one.disentanglement > 0.97
    assert one.completeness.min() > 0.97
    assert one.informativeness.min() > 0.99
    assert turned.disentanglement < 0.4
    assert turned.completeness.mean() < 0.4
    assert 0.5 < turned.informativeness.mean() < 0.95
    assert random.disentanglement < 0.02
    assert random.completeness.mean() < 0.02
    chance = 1 / np.array(SIZES)
    assert (np.abs(random.informativeness - chance) < 5 * np.sqrt(chance / 500)).all()


def test_factorvae_score_of_perfect_rotated_and_random_codes():
    assert factorvae(perfect(FACTORS), FACTORS) == 1
    assert factorvae(rotated(FACTORS), FACTORS) < 0.5
    assert abs(factorvae(noise(FACTORS), FACTORS) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / VOTES)


@pytest.mark.parametrize("score", [lambda z, v: mig(z, v, 20), sap, lambda z, v: mutual_information(z, v, 20).max(0)])
def test_gaps_do_not_depend_on_the_order_of_images_nor_on_order_sign_and_scale_of_dimensions(score):
    codes, order = rotated(FACTORS), np.random.default_rng(2).permutation(1000)
    expected = score(codes, FACTORS)
    np.testing.assert_allclose(score(codes[order], FACTORS[order]), expected, atol=1e-12)
    np.testing.assert_allclose(score(codes[:, ::-1], FACTORS), expected, atol=1e-12)
    np.testing.assert_allclose(score(codes * [-1, 1e3, 1e-3, -2, 1, 1] + 7, FACTORS), expected, atol=1e-3)
    np.testing.assert_allclose(score(codes, FACTORS * 10 - 3), expected, atol=1e-12)  # a value is a name


@pytest.mark.usefixtures("few_trees")
def test_fitted_scores_do_not_depend_on_order_sign_and_scale_of_dimensions():
    codes = rotated(FACTORS)
    changed = codes[:, ::-1] * [-1, 1e3, 1e-3, -2, 1, 1] + 7
    one, other = (dci(z[:700], FACTORS[:700], z[700:], FACTORS[700:], 0) for z in (codes, changed))
    np.testing.assert_allclose(other.importance[::-1], one.importance, atol=0.03)  # ties are broken at random
    assert one.disentanglement == pytest.approx(other.disentanglement, abs=0.02)
    assert one.informativeness.mean() == pytest.approx(other.informativeness.mean(), abs=0.02)
    first, second = (votes(z, FACTORS, 50, np.random.default_rng(0)) for z in (codes, changed))
    np.testing.assert_array_equal(first[:, 0], second[:, 0])
    np.testing.assert_array_equal(first[:, 1], 5 - second[:, 1])


def test_mutual_information_is_that_of_scikit_learn():
    codes = rotated(FACTORS)
    found = mutual_information(codes, FACTORS, 20)
    for j, k in product(range(6), range(4)):
        edges = np.histogram_bin_edges(codes[:, j], 20)
        expected = mutual_info_score(np.digitize(codes[:, j], edges[1:-1]), FACTORS[:, k])
        assert found[j, k] == pytest.approx(expected, abs=1e-9)


def test_mutual_information_of_independent_codes_is_its_stated_bias():
    random = np.random.default_rng(0)
    found = mutual_information(random.uniform(size=(2000, 100)), random.integers(8, size=(2000, 1)), 20)
    expected, se = 19 * 7 / 4000, found.std() / 10
    assert abs(found.mean() - expected) < 4 * se + 0.02 * expected  # the formula is of first order in 1 / N


def test_mutual_information_of_a_copy_is_the_entropy_and_of_a_constant_nothing():
    codes = np.stack([FACTORS[:, 3], np.zeros(1000)], axis=1).astype(float)
    share = np.bincount(FACTORS[:, 3]) / 1000
    found = mutual_information(codes, FACTORS, 20)
    assert found[0, 3] == pytest.approx(-(share * np.log(share)).sum(), abs=1e-12)
    np.testing.assert_allclose(found[1], 0, atol=1e-12)


def test_a_duplicated_dimension_closes_the_gap_of_its_factor_alone():
    codes = perfect(FACTORS)
    twice = np.concatenate([codes, codes[:, :1]], axis=1)  # dimension 0 holds factor 3
    for score in (lambda z: mig(z, FACTORS, 20), lambda z: sap(z, FACTORS)):
        np.testing.assert_allclose(score(twice)[3], 0, atol=1e-12)
        np.testing.assert_allclose(score(twice)[:3], score(codes)[:3], atol=1e-12)


@pytest.mark.parametrize("values", [2, 3])
def test_thresholds_are_the_best_of_all(values: int):
    """Against every choice of up to V - 1 thresholds and of what is said between them."""
    random = np.random.default_rng(values)
    codes, factor = random.integers(9, size=(14, 3)).astype(float), random.integers(values, size=14)
    weight = 1 / (values * np.bincount(factor)[factor])
    found = threshold_accuracy(codes, factor[:, None])
    for j in range(3):
        cuts = np.unique(codes[:, j])[1:]
        best = 0.0
        for places in combinations(cuts, values - 1):
            stretch = np.digitize(codes[:, j], places)
            for said in product(range(values), repeat=values):
                best = max(best, weight[np.array(said)[stretch] == factor].sum())
        assert found[j, 0] == pytest.approx(best, abs=1e-12)


def test_thresholds_do_not_divide_equal_codes():
    accuracy = threshold_accuracy(np.zeros((1000, 2)), FACTORS)
    np.testing.assert_allclose(accuracy, np.broadcast_to(1 / np.array(SIZES), (2, 4)), atol=1e-12)


def test_dci_follows_its_formula():
    right = np.ones((5, 2), bool)
    right[0, 1] = False
    importance = np.array([[1.0, 0.5], [0.0, 0.5], [0.0, 0.0]])  # D = 3, F = 2
    found = Dci(importance, right)
    entropy = -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)) / np.log(2)
    assert found.disentanglement == pytest.approx(0.75 * (1 - entropy) + 0.25)
    np.testing.assert_allclose(found.completeness, [1, 1 - np.log(2) / np.log(3)])
    np.testing.assert_allclose(found.informativeness, [1, 0.8])
    nothing = Dci(np.zeros((3, 2)), right)
    assert nothing.disentanglement == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(nothing.completeness, 0, atol=1e-12)


def test_a_vote_holds_its_factor_fixed_among_different_images():
    """Codes that are the factors do not vary among images of one value; each factor and value has its turn."""
    found = votes(FACTORS.astype(float), FACTORS, VOTES, np.random.default_rng(0))
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    counts = np.bincount(found[:, 0], minlength=4)
    assert (np.abs(counts - VOTES / 4) < 4 * np.sqrt(VOTES * 3 / 16)).all()


def test_a_dimension_that_does_not_vary_never_wins():
    codes = perfect(FACTORS)
    codes[:, 0] = 3.0
    assert 0 not in votes(codes, FACTORS, 100, np.random.default_rng(0))[:, 1]
    assert set(votes(np.ones((1000, 3)), FACTORS, 9, np.random.default_rng(0))[:, 1]) == {0}


def test_the_majority_of_the_training_votes_decides():
    training = np.array([[0, 2], [1, 2], [1, 2], [3, 0]])  # factor, dimension: 2 stands for factor 1, 0 for factor 3
    evaluation = np.array([[0, 2], [0, 2], [1, 2], [3, 0], [1, 0]])
    assert majority_correct(training, evaluation) == 2
