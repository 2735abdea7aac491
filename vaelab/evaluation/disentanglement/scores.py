"""Scores of disentanglement: how well each known factor stands in one latent dimension, and each dimension for one.

All are functions of codes [N, D], one row for each image, and its factors [N, F], whole numbers; each lies between 0
and 1. None depends on the order, sign or scale of the dimensions, but for ties. The letters: j latent dimensions, k
factors.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

GROUP = 64  # L, images of a vote
TREES = 50


def mutual_information(codes: np.ndarray, factors: np.ndarray, bins: int) -> np.ndarray:
    """I(z_j; v_k) in nats, [D, F], of each dimension cut into `bins` of equal width between its ends.

    The plug-in estimate, of relative frequencies: biased upwards by about (bins - 1)(values - 1) / 2N nats for an
    independent pair, by less for a dependent one (Miller 1955).
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
    """The mutual information gap of each factor, [F]; the score is their mean.

    (I(z_j1; v_k) - I(z_j2; v_k)) / H(v_k), of the two dimensions that say most about factor k (Chen, Li, Grosse &
    Duvenaud 2018, section 4). I is that of `mutual_information`, as in Locatello et al. (2019), where Chen et al. draw
    z from q(z|x): a histogram of the codes does not care how little they vary, so that a dimension which the model
    ignores may count.
    """
    information = np.sort(mutual_information(codes, factors, bins), axis=0)
    entropy = np.array([_entropy(np.bincount(values) / len(values)) for values in _values(factors).T])
    return (information[-1] - information[-2]) / entropy


def sap(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The separated attribute predictability of each factor, [F]; the score is their mean.

    The difference between the two highest accuracies of `threshold_accuracy` (Kumar, Sattigeri & Balakrishnan 2018,
    section 3, for factors with discrete values). A dimension that knows nothing of a factor of V values has 1 / V, so
    that the gap is about 1 - 1 / V at most.
    """
    accuracy = np.sort(threshold_accuracy(codes, factors), axis=0)
    return accuracy[-1] - accuracy[-2]


def threshold_accuracy(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The best balanced accuracy with which thresholds on z_j alone tell the value of v_k, [D, F].

    A factor of V values has up to V - 1 thresholds, between which one value is said. They are fitted to these very
    codes, exactly, by dynamic programming over the codes in their order, and never divide equal codes.
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
        # best[t, j, v]: the accuracy so far with t thresholds on z_j, the last stretch being called value v
        best = np.zeros((count, len(dimensions), count))
        for row, fresh in zip(order, new, strict=True):
            switched = best[:-1].max(2, keepdims=True)
            np.maximum(best[1:], switched, out=best[1:], where=fresh[:, None])
            best[:, dimensions, values[row]] += weight[row]
        columns.append(best.max((0, 2)))
    return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class Dci:
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018, section 2), from one fit."""

    importance: np.ndarray  # R [D, F], of dimension j for factor k; each column sums to 1, or to 0 if nothing helps
    correct: np.ndarray  # [N, F], whether each factor of each image was predicted

    @property
    def disentanglement(self) -> float:
        """sum_j rho_j (1 - H_F(P_j)): P_j is row j of R as shares, rho_j its share of all of R, H_F to base F."""
        weight = _shares(self.importance.sum(1))
        return float(weight @ (1 - _entropy(_shares(self.importance)) / np.log(self.importance.shape[1])))

    @property
    def completeness(self) -> np.ndarray:
        """1 - H_D(column k of R as shares) of each factor, [F], H_D to base D; the score is their mean."""
        return 1 - _entropy(_shares(self.importance.T)) / np.log(self.importance.shape[0])

    @property
    def informativeness(self) -> np.ndarray:
        """The share of images whose value is predicted, of each factor, [F]; the score is their mean."""
        return self.correct.mean(0)


def dci(fitted: np.ndarray, fitted_factors: np.ndarray, codes: np.ndarray, factors: np.ndarray, seed: int) -> Dci:
    """Fits a random forest for each factor to codes `fitted` [M, D] and predicts the factors of other codes [N, D].

    50 trees on bootstrap samples, every dimension considered at every division, leaves of at least 5 codes; importance
    is the decrease of Gini impurity. The values of a factor are classes without order.

    Arguments:
        seed: of the forests, below 2^32.
    """
    forests = [_forest(seed).fit(fitted, column) for column in fitted_factors.T]
    return Dci(
        np.stack([forest.feature_importances_ for forest in forests], axis=1),
        np.stack([forest.predict(codes) == column for forest, column in zip(forests, factors.T, strict=True)], axis=1),
    )


def votes(codes: np.ndarray, factors: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """For each vote the factor that was held fixed and the dimension that varied least, int64 [count, 2].

    A vote draws a factor, one of its values, and 64 different images of that value, and takes the dimension whose
    variance among them is the least share of its variance among all (Kim & Mnih 2018, section 4). A dimension that does
    not vary at all is out of the race; where none varies, dimension 0 wins.
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
    """How many factors of `evaluation` are those for which its dimension most often won in `training`.

    Arguments:
        training, evaluation: as `votes` gives them. The FactorVAE score is the share of the latter that is correct.
    """
    factors, dimensions = np.concatenate([training, evaluation]).max(0) + 1
    table = np.zeros((dimensions, factors), np.int64)
    np.add.at(table, (training[:, 1], training[:, 0]), 1)
    return int((table.argmax(1)[evaluation[:, 1]] == evaluation[:, 0]).sum())


def _forest(seed: int) -> "RandomForestClassifier":
    from sklearn.ensemble import RandomForestClassifier

    every: Any = 1.0  # share of the dimensions; the stubs know only the default, a string
    return RandomForestClassifier(TREES, max_features=every, min_samples_leaf=5, random_state=seed)


def _binned(column: np.ndarray, bins: int) -> np.ndarray:
    low, high = column.min(), column.max()
    if low == high:
        return np.zeros(len(column), np.int64)
    return np.minimum(((column - low) / (high - low) * bins).astype(np.int64), bins - 1)


def _values(factors: np.ndarray) -> np.ndarray:
    """The factors [N, F] with the values of each numbered from 0 without gaps."""
    return np.stack([np.unique(column, return_inverse=True)[1].ravel() for column in factors.T], axis=1)


def _shares(weights: np.ndarray) -> np.ndarray:
    """Weights [..., n] divided by their sum; spread evenly where all are 0."""
    total = weights.sum(-1, keepdims=True)
    return np.where(total > 0, weights, 1) / np.where(total > 0, total, weights.shape[-1])


def _entropy(p: np.ndarray) -> np.ndarray:
    """In nats, of probabilities [..., n]: [...]."""
    return -(p * np.log(np.where(p > 0, p, 1))).sum(-1)
