"""The measure of representations: probes, neighbours and clusters of the latent codes, fitted to training images only.

scikit-learn is imported inside the functions, so that training, which reads the table of measures, does not import it.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np

from vaelab.data.dataset import Dataset
from vaelab.evaluation.measure import EvaluationContext, Metric, Progress
from vaelab.evaluation.posterior_means import posterior_means
from vaelab.evaluation.proportion import Proportion
from vaelab.randomness.seeds import derive
from vaelab.system.errors import DataError, SpecError

PENALTIES = (0.01, 1.0)  # C of the probe: the first suits hundreds of raw pixels, the second a few latent dimensions
HELD_OUT = 5  # one in five training images of each label is held out to choose between them
STEPS = 1_000  # of the probe's optimiser at most
STARTS = 10  # of k-means; the best one counts
RESAMPLES = 200  # bootstrap resamples of the evaluated images, for the intervals of the cluster scores


@dataclass(frozen=True, kw_only=True)
class Representation:
    """Linear probe, k nearest neighbours and k-means on standardised posterior means.

    Scales, classifiers and clusters are fitted to training images; the scores are of the evaluated images:

    - probe_accuracy: multinomial logistic regression with an L2 penalty. C = 0.01 or 1 is chosen by the accuracy on a
      fifth of the training images; then it is fitted to all of them. probe_accuracy_pixels is the same for raw pixels,
      as a baseline for the latent codes.
    - knn_accuracy: majority vote of the nearest neighbours by Euclidean distance.
    - kmeans_nmi, kmeans_ari: normalised mutual information (arithmetic mean of the entropies; not corrected for chance)
      and adjusted Rand index (Hubert & Arabie 1985; 0 by chance) between the labels and the nearest of k centres, where
      k is the number of labels.

    The intervals are of 95 %, over the evaluated images, for fixed fits. Those of accuracies are Wilson's. The others
    are percentiles of 200 resamples, shifted so that their mean is the value, because resampling inflates information.

    Arguments:
        neighbours: k of the k nearest neighbours.
        images: maximum number of training images: a random choice, by their content.

    Raises:
        SpecError: no neighbour, or fewer images than neighbours.
    """

    neighbours: int = 5
    images: int = 10_000

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise SpecError(found=f"neighbours = {self.neighbours}", expected="at least 1", do="use neighbours=5")
        if self.images < self.neighbours:
            raise SpecError(
                found=f"images = {self.images} with neighbours = {self.neighbours}",
                expected="at least as many training images as neighbours",
                do="use more images, or fewer neighbours",
            )

    def check(self, context: EvaluationContext) -> None:
        """Raise DataError if labels are missing or all equal, or if training images are evaluated or too few."""
        context.need_unseen("the use of the representation")
        context.need_labels("the use of the representation")
        chosen = _labels(context.train.some(self.images))
        for labels, which in ((chosen, "training"), (_labels(context.data), context.data.split)):
            if len(np.unique(labels)) < 2:
                raise DataError(
                    found=f"one label in {len(labels):,} {which} images of {context.data.name}",
                    expected="at least two labels",
                    do="use images of more labels, or leave this metric out",
                )
        most = int(np.unique(chosen, return_counts=True)[1].max())
        if most < HELD_OUT or len(chosen) < self.neighbours:
            raise DataError(
                found=f"{len(chosen):,} training images, at most {most} of one label",
                expected=f"at least {self.neighbours} images, and {HELD_OUT} of one label",
                do="use more training images, or leave this metric out",
            )

    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        known, unseen = context.train.some(self.images), context.data.some(0)
        labels, truth = _labels(known), _labels(unseen)
        train = posterior_means(context.model, known, context.seed, lambda share: progress(0.1 * share))
        test = posterior_means(context.model, unseen, context.seed, lambda share: progress(0.1 + 0.1 * share))
        missing = ", ".join(map(unseen.class_name, np.setdiff1d(truth, labels)))
        latent = Points(train.numpy(), test.numpy(), labels, truth, missing)
        rows = [_probe(context, "probe_accuracy", latent), _nearest(context, latent, self.neighbours)]
        progress(0.4)
        rows += _clusters(context, latent)
        progress(0.6)
        pixels = Points(_levels(known), _levels(unseen), labels, truth, missing)
        rows.append(_probe(replace(context, given=""), "probe_accuracy_pixels", pixels))
        progress(1.0)
        return rows


class Points:
    """Labelled training points [N, F] and unseen points [M, F], standardised by the training points.

    A dimension that is constant in the training points is only centred. `missing` names the labels of unseen points
    that no training point has.
    """

    def __init__(
        self, known: np.ndarray, unseen: np.ndarray, labels: np.ndarray, truth: np.ndarray, missing: str = ""
    ) -> None:
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(known)
        self.known, self.unseen = np.asarray(scaler.transform(known)), np.asarray(scaler.transform(unseen))
        self.labels, self.truth = labels, truth
        self.fitted = f"fitted on {len(known):,} training images" + (f", none with label {missing}" if missing else "")


def _labels(data: Dataset) -> np.ndarray:
    assert data.labels is not None
    return data.labels


def _levels(data: Dataset) -> np.ndarray:
    """Return pixels in [0, 1], [n, P], as float32: for 256 levels, float64 would waste memory and time."""
    return data.in_memory.reshape(len(data), -1).astype(np.float32) / 255


def _probe(context: EvaluationContext, name: str, points: Points) -> Metric:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    known, labels = points.known, points.labels
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):  # a label with few images keeps them all, so that all labels are fitted
        held[np.flatnonzero(labels == label)[HELD_OUT - 1 :: HELD_OUT]] = True

    def accuracy(penalty: float) -> float:
        fitted = LogisticRegression(C=penalty, max_iter=STEPS).fit(known[~held], labels[~held])
        return float(fitted.score(known[held], labels[held]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the note reports it
        penalty = max(PENALTIES, key=accuracy)
        probe = LogisticRegression(C=penalty, max_iter=STEPS).fit(known, labels)
    stopped = f", stopped after {STEPS:,} steps" if probe.n_iter_.max() >= STEPS else ""
    note = f"C = {penalty:g}{stopped}; {_commonest(points):.3f} by always predicting the most frequent label"
    return _accuracy(context, name, points, np.asarray(probe.predict(points.unseen)), note)


def _nearest(context: EvaluationContext, points: Points, neighbours: int) -> Metric:
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(neighbours, algorithm="brute").fit(points.known, points.labels)
    said = np.asarray(classifier.predict(points.unseen))
    return _accuracy(context, "knn_accuracy", points, said, f"{neighbours} neighbours")


def _accuracy(context: EvaluationContext, name: str, points: Points, said: np.ndarray, note: str) -> Metric:
    share = Proportion(int((said == points.truth).sum()), len(said))
    note = f"{points.fitted}, {note}"
    return context.metric(name, share.value, "share of the images", better="higher", interval=share.interval, note=note)


def _commonest(points: Points) -> float:
    """Return the accuracy of always predicting the most frequent training label."""
    labels, count = np.unique(points.labels, return_counts=True)
    return float((points.truth == labels[count.argmax()]).mean())


def _clusters(context: EvaluationContext, points: Points) -> list[Metric]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    k, truth = len(np.unique(points.labels)), points.truth
    start = derive(context.seed, "evaluation") % 2**32
    means = KMeans(k, n_init=STARTS, random_state=start)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a collapsed posterior has fewer points than clusters
        cluster = means.fit(points.known).predict(points.unseen)
    random = np.random.default_rng(derive(context.seed, "evaluation", 1))
    resamples = [random.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES)]
    rows: list[Metric] = []
    for name, score, lowest, unit in (
        ("kmeans_nmi", normalized_mutual_info_score, 0, "0 to 1, not corrected for chance"),
        ("kmeans_ari", adjusted_rand_score, -0.5, "at most 1, 0 by chance"),
    ):
        value = float(score(truth, cluster))
        scores = np.array([score(truth[some], cluster[some]) for some in resamples])
        # shifted to the value, because resamples repeat images, and clipped to the range of the score
        low, high = (value + np.quantile(scores, (0.025, 0.975)) - scores.mean()).clip(lowest, 1).tolist()
        note = f"{k} clusters, {points.fitted}"
        rows.append(context.metric(name, value, unit, better="higher", interval=(low, high), note=note))
    return rows
