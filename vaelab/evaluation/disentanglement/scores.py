"""Scores of disentanglement: whether one latent dimension encodes each factor, and each dimension encodes one factor.

All are functions of codes [N, D], one row for each image, and factors [N, F], whole numbers. Each score is between 0
and 1. Ties apart, none depends on the order, sign or scale of the dimensions. Indices: j latent dimensions, k factors.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

GROUP = 64  # L, images in a vote
TREES = 50


def mutual_information(codes: np.ndarray, factors: np.ndarray, bins: int) -> np.ndarray:
    """Return I(z_j; v_k) in nats, [D, F], with the range of each dimension cut into `bins` bins of equal width.

    This is the plug-in estimate from relative frequencies. For an independent pair it is biased upwards by about
    (bins - 1)(values - 1) / 2N nats, for a dependent pair by less (Miller 1955).
    """
    binned = np.stack([_binned(column, bins) for column in codes.T], axis=1)
    columns = []
    for values in _values(factors).T:
        count = values.max() + 1
        cell = (np.arange(codes.shape[1]) * bins + binned) * count + values[:, None]
        joint = np.bincount(cell.ravel(), minlength=codes.shape[1] * bins * count).reshape(-1, bins, count) / len(codes)
        columns.append(_entropy(joint.sum(2)) + _entropy(joint.sum(1)) - _entropy(joint.reshape(len(joint), -1)))
    return np.stack(columns, axis=1)


def mig(codes: np.ndarray, factors: np.ndarray, bins: int) -> np.ndarray:
    """Return the mutual information gap of each factor, [F]; the score is their mean.

    It is (I(z_j1; v_k) - I(z_j2; v_k)) / H(v_k), for the two dimensions with the most information on factor k (Chen,
    Li, Grosse & Duvenaud 2018, section 4). I is `mutual_information`, as in Locatello et al. (2019); Chen et al. draw z
    from q(z|x). A histogram of the codes ignores their scale, so a dimension that the model does not use may count.
    """
    information = np.sort(mutual_information(codes, factors, bins), axis=0)
    entropy = np.array([_entropy(np.bincount(values) / len(values)) for values in _values(factors).T])
    return (information[-1] - information[-2]) / entropy


def sap(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the separated attribute predictability of each factor, [F]; the score is their mean.

    It is the difference between the two highest values of `threshold_accuracy` (Kumar, Sattigeri & Balakrishnan 2018,
    section 3, for factors with discrete values). A dimension without information on a factor of V values has accuracy
    1 / V, so the gap is at most about 1 - 1 / V.
    """
    accuracy = np.sort(threshold_accuracy(codes, factors), axis=0)
    return accuracy[-1] - accuracy[-2]


def threshold_accuracy(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the best balanced accuracy with which thresholds on z_j alone predict the value of v_k, [D, F].

    A factor of V values has up to V - 1 thresholds, and one value is predicted between two thresholds. They are fitted
    to these codes, exactly, by dynamic programming over the sorted codes, and never separate equal codes.
    """
    order = np.argsort(codes, axis=0, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=0)
    new = np.ones_like(ordered, dtype=bool)
    new[1:] = ordered[1:] > ordered[:-1]
    dimensions = np.arange(codes.shape[1])
    columns = []
    for values in _values(factors).T:
        count = values.max() + 1
        weight = 1 / (np.count_nonzero(np.bincount(values)) * np.bincount(values)[values])
        # best[t, j, v]: the accuracy so far with t thresholds on z_j, if the last interval predicts value v
        best = np.zeros((count, len(dimensions), count))
        for row, fresh in zip(order, new, strict=True):
            switched = best[:-1].max(2, keepdims=True)
            np.maximum(best[1:], switched, out=best[1:], where=fresh[:, None])
            best[:, dimensions, values[row]] += weight[row]
        columns.append(best.max((0, 2)))
    return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class Dci:
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018, section 2) of one fit."""

    importance: np.ndarray  # R [D, F], of dimension j for factor k; each column sums to 1, or to 0 without splits
    correct: np.ndarray  # [N, F], whether each factor of each image was predicted

    @property
    def disentanglement(self) -> float:
        """sum_j rho_j (1 - H_F(P_j)): P_j is row j of R, normalised; rho_j its proportion of R; H_F to base F."""
        weight = _shares(self.importance.sum(1))
        return float(weight @ (1 - _entropy(_shares(self.importance)) / np.log(self.importance.shape[1])))

    @property
    def completeness(self) -> np.ndarray:
        """1 - H_D(column k of R, normalised) of each factor, [F], with H_D to base D; the score is their mean."""
        return 1 - _entropy(_shares(self.importance.T)) / np.log(self.importance.shape[0])

    @property
    def informativeness(self) -> np.ndarray:
        """The proportion of images with a correct prediction, for each factor, [F]; the score is their mean."""
        return self.correct.mean(0)


def dci(fitted: np.ndarray, fitted_factors: np.ndarray, codes: np.ndarray, factors: np.ndarray, seed: int) -> Dci:
    """Fit a random forest for each factor to codes `fitted` [M, D], and predict the factors of other codes [N, D].

    There are 50 trees on bootstrap samples. Every split considers every dimension, and leaves have at least 5 codes.
    Importance is the decrease of Gini impurity. The values of a factor are classes without order.

    Arguments:
        seed: of the forests, below 2^32.
    """
    forests = [_forest(seed).fit(fitted, column) for column in fitted_factors.T]
    return Dci(
        np.stack([forest.feature_importances_ for forest in forests], axis=1),
        np.stack([forest.predict(codes) == column for forest, column in zip(forests, factors.T, strict=True)], axis=1),
    )


def votes(codes: np.ndarray, factors: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return for each vote the fixed factor and the dimension that varied least, int64 [count, 2].

    A vote draws a factor, one of its values, and 64 different images with that value. It goes to the dimension with the
    smallest ratio of the variance among these to the variance among all images (Kim & Mnih 2018, section 4). A
    dimension that does not vary at all cannot win; if none varies, dimension 0 wins.
    """
    total = codes.var(0, ddof=1)
    groups = [[np.flatnonzero(column == value) for value in np.unique(column)] for column in factors.T]
    found = np.empty((count, 2), np.int64)
    for vote in found:
        k = random.integers(len(groups))
        members = groups[k][random.integers(len(groups[k]))]
        chosen = random.choice(members, GROUP, replace=False)
        within = codes[chosen].var(0, ddof=1)
        vote[:] = k, np.argmin(np.divide(within, total, out=np.full_like(total, np.inf), where=total > 0))
    return found


def majority_correct(training: np.ndarray, evaluation: np.ndarray) -> int:
    """Return the number of votes in `evaluation` whose factor is the one its dimension won most often in `training`.

    Arguments:
        training, evaluation: results of `votes`. The FactorVAE score is the proportion of correct votes in the latter.
    """
    factors, dimensions = np.concatenate([training, evaluation]).max(0) + 1
    table = np.zeros((dimensions, factors), np.int64)
    np.add.at(table, (training[:, 1], training[:, 0]), 1)
    return int((table.argmax(1)[evaluation[:, 1]] == evaluation[:, 0]).sum())


def _forest(seed: int) -> "RandomForestClassifier":
    from sklearn.ensemble import RandomForestClassifier

    every: Any = 1.0  # proportion of the dimensions; the type stubs know only the default, a string
    return RandomForestClassifier(TREES, max_features=every, min_samples_leaf=5, random_state=seed)


def _binned(column: np.ndarray, bins: int) -> np.ndarray:
    low, high = column.min(), column.max()
    if low == high:
        return np.zeros(len(column), np.int64)
    return np.minimum(((column - low) / (high - low) * bins).astype(np.int64), bins - 1)


def _values(factors: np.ndarray) -> np.ndarray:
    """Return the factors [N, F] with the values of each numbered from 0 without gaps."""
    return np.stack([np.unique(column, return_inverse=True)[1].ravel() for column in factors.T], axis=1)


def _shares(weights: np.ndarray) -> np.ndarray:
    """Return weights [..., n] divided by their sum; uniform if all are 0."""
    total = weights.sum(-1, keepdims=True)
    return np.where(total > 0, weights, 1) / np.where(total > 0, total, weights.shape[-1])


def _entropy(p: np.ndarray) -> np.ndarray:
    """Return the entropy of probabilities [..., n] in nats, [...]."""
    return -(p * np.log(np.where(p > 0, p, 1))).sum(-1)
