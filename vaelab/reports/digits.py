"""Which digits a model's images show, according to a classifier of real digits."""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.evaluation.proportion import Proportion

DIGITS = 10
NEIGHBOURS = 5
CONFIDENT = 0.8  # the proportion of neighbours that must agree: four of five
FITTED_ON = 10_000  # the largest number of training images: with more, the search is slower but hardly more accurate
JUDGED_ON = 2_000  # the largest number of test images: enough for its accuracy within 1 %


@dataclass(frozen=True)
class Reader:
    """The classifier, and its accuracy on the real test images."""

    classifier: KNeighborsClassifier
    accuracy: Proportion

    def read(self, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """The digit of each of images [N, C, H, W] in [0, 1], int64 [N], and the share of neighbours for it, [N]."""
        votes = np.asarray(self.classifier.predict_proba(_flat(images)))
        return self.classifier.classes_[votes.argmax(1)], votes.max(1)


def fit_reader(train: Dataset, test: Dataset) -> Reader:
    """Fit a classifier by the five nearest of up to 10,000 labelled training images, by squared error of pixels.

    Arguments:
        test: images that are not used for the fit; up to 2,000 of them give its accuracy.
    """
    assert train.labels is not None
    assert test.labels is not None
    random = np.random.default_rng(0)
    some, unseen = random.permutation(len(train))[:FITTED_ON], random.permutation(len(test))[:JUDGED_ON]
    classifier = KNeighborsClassifier(NEIGHBOURS, algorithm="brute").fit(
        _levels(train.images[some]), train.labels[some]
    )
    right = classifier.predict(_levels(test.images[unseen])) == test.labels[unseen]
    return Reader(classifier, Proportion(int(right.sum()), len(right)))


def recognition(reader: Reader, images: Tensor, labels: np.ndarray) -> list[Proportion]:
    """For each digit, the proportion of its images [N, C, H, W] in [0, 1] that are read as that digit."""
    said, _ = reader.read(images)
    return [Proportion(int((said[labels == d] == d).sum()), int((labels == d).sum())) for d in range(DIGITS)]


def appearance(reader: Reader, images: Tensor) -> list[Proportion]:
    """For each digit, its proportion among the images [N, C, H, W] in [0, 1] that are read with confidence."""
    said, confidence = reader.read(images)
    sure = said[confidence >= CONFIDENT]
    return [Proportion(int((sure == d).sum()), len(sure)) for d in range(DIGITS)]


def _flat(images: Tensor) -> np.ndarray:
    return images.flatten(1).numpy().astype(np.float32)


def _levels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255
