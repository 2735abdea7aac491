"""How well a score ranks abnormal images above normal ones, where labels say which is which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaelab.data.dataset import Dataset
from vaelab.evaluation.proportion import Proportion
from vaelab.system.errors import DataError, NonFiniteError, SpecError

Z = 1.96  # standard errors to the ends of an interval of 95 %
RESAMPLES = 1000
AT_ONCE = 2**22  # weights of a block of resamples


@dataclass(frozen=True)
class Ranking:
    """AUROC and average precision of a score, each with an interval of 95 %."""

    auroc: float  # the chance that an abnormal image has a higher score than a normal one; ties count half
    auroc_interval: tuple[float, float]
    average_precision: float  # mean over the abnormal images of the precision at their score; by chance it is `share`
    average_precision_interval: tuple[float, float]
    normal: int  # images
    abnormal: int  # images

    @property
    def share(self) -> float:
        """The proportion of abnormal images. Average precision depends on it; AUROC does not."""
        return self.abnormal / (self.normal + self.abnormal)

    def __str__(self) -> str:
        (a, b), (c, d) = self.auroc_interval, self.average_precision_interval
        return (
            f"AUROC {self.auroc:.3f} ({a:.3f} to {b:.3f}), "
            f"average precision {self.average_precision:.3f} ({c:.3f} to {d:.3f}; by chance {self.share:.3f}), "
            f"{self.abnormal:,} abnormal and {self.normal:,} normal images"
        )


def table(rankings: Mapping[str, Ranking]) -> str:
    """The rankings of the same images by several scores, a line each."""
    lines = [f"{'score':26} {'AUROC (95 %)':24} average precision (95 %)"]
    for name, of in rankings.items():
        (a, b), (c, d) = of.auroc_interval, of.average_precision_interval
        area, precision = f"{of.auroc:.3f} ({a:.3f} to {b:.3f})", f"{of.average_precision:.3f} ({c:.3f} to {d:.3f})"
        lines.append(f"{name:26} {area:24} {precision}")
    for of in list(rankings.values())[:1]:
        lines.append(f"{of.abnormal:,} abnormal and {of.normal:,} normal images; by chance 0.5 and {of.share:.3f}")
    return "\n".join(lines)


def abnormal(data: Dataset, normal: Sequence[int | str]) -> np.ndarray:
    """Return whether the label of each image is none of `normal`, bool [N].

    Arguments:
        normal: labels, or names of classes.

    Raises:
        DataError: the images have no labels.
        SpecError: no image has one of these labels.
    """
    if data.labels is None:
        raise DataError(
            found=f"{data.name}, whose {data.split} images have no labels",
            expected="a label for each image, which says whether it is normal",
            do="use data with labels, or ask for no ranking",
        )
    there = [int(label) for label in np.unique(data.labels)]
    numbers = {data.class_name(label): label for label in there} | {str(label): label for label in there}
    if unknown := [str(label) for label in normal if str(label) not in numbers]:
        names = ", ".join(data.class_name(label) for label in there)
        raise SpecError(
            found=f"normal label {', '.join(unknown)}", expected=f"one of {names}", do="name labels of these images"
        )
    return ~np.isin(data.labels, [numbers[str(label)] for label in normal])


def rank(scores: np.ndarray, abnormal: np.ndarray, seed: int = 0) -> Ranking:
    """Return how well `scores` separate the images.

    The interval of the AUROC is that of DeLong, DeLong & Clarke-Pearson (1988), on the logit scale, where it stays in
    [0, 1]. It does not exist if no pair of images is exchanged. Then it is Wilson's, for as many independent pairs as
    the smaller group has images, which is wider. The interval of the average precision is that of a bootstrap of
    normal and abnormal images apart, with the standard error of 1,000 resamples on the logit scale.

    Arguments:
        scores: [N], higher is more unusual.
        abnormal: bool [N].
        seed: of the bootstrap.

    Raises:
        DataError: fewer than two images of one kind.
        NonFiniteError: a score is not a number.
    """
    if np.isnan(scores).any():
        raise NonFiniteError(
            found=f"{int(np.isnan(scores).sum()):,} scores that are not a number",
            expected="a number for each image",
            do="see in the run's log.jsonl whether training diverged, or train again",
        )
    high, low = scores[abnormal], scores[~abnormal]
    if min(len(high), len(low)) < 2:
        raise DataError(
            found=f"{len(high):,} abnormal and {len(low):,} normal images",
            expected="two images or more of each",
            do="score images of both kinds, or ask for no ranking",
        )
    auroc, auroc_interval = _auroc(high, low)
    precision, precision_interval = _average_precision(scores, abnormal, np.random.default_rng(seed))
    return Ranking(auroc, auroc_interval, precision, precision_interval, len(low), len(high))


def _auroc(high: np.ndarray, low: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The area and its interval from the placements of each image among those of the other kind."""
    above, below = _placements(high, low), 1 - _placements(low, high)
    area = float(above.mean())
    variance = above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)
    if area in (0.0, 1.0):
        pairs = min(len(high), len(low))
        return area, Proportion(round(area * pairs), pairs).interval
    return area, _logit_interval(area, float(variance) ** 0.5)


def _placements(of: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The proportion of `among` that each number is above, ties counted half."""
    order = np.sort(among)
    return (np.searchsorted(order, of, "left") + np.searchsorted(order, of, "right")) / (2 * len(among))


def _average_precision(
    scores: np.ndarray, abnormal: np.ndarray, random: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    order = np.argsort(-scores, kind="stable")
    wanted, ordered = abnormal[order], scores[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # the last image of each different score

    def of(weights: np.ndarray) -> np.ndarray:
        found = np.cumsum(weights * wanted, 1)[:, ends]
        precision = found / np.maximum(np.cumsum(weights, 1)[:, ends], 1)
        return (np.diff(found, axis=1, prepend=0) * precision).sum(1) / found[:, -1]

    value = float(of(np.ones((1, len(scores))))[0])
    resampled = list[np.ndarray]()
    block = max(1, AT_ONCE // len(scores))
    for start in range(0, RESAMPLES, block):
        weights = np.empty((min(block, RESAMPLES - start), len(scores)))
        for kind in (wanted, ~wanted):
            count = int(kind.sum())
            weights[:, kind] = random.multinomial(count, np.full(count, 1 / count), len(weights))
        resampled.append(of(weights))
    each = np.concatenate(resampled)
    if value == 1.0:
        images = int(abnormal.sum())
        return value, Proportion(images, images).interval
    return value, _logit_interval(value, float(each.std(ddof=1)))


def _logit_interval(value: float, error: float) -> tuple[float, float]:
    """The interval of 95 % of a number between 0 and 1, from its standard error, symmetric in log(v / (1 - v))."""
    from scipy.special import expit, logit

    half = Z * error / (value * (1 - value))
    low, high = expit([logit(value) - half, logit(value) + half])
    return float(low), float(high)
