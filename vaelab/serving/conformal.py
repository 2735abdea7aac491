"""Conformal p-values: how unusual a score is among the scores of images that are known to be normal.

The p-value of a score s is (1 + the number of calibration scores >= s) / (n + 1), for n calibration scores (Vovk,
Gammerman & Shafer 2005; for outliers, Bates, Candes, Lei, Romano & Sesia 2023). If the image and the calibration images
are exchangeable, for example independent draws from one distribution, then P(p <= alarm) <= alarm, whatever the score.
"""

import math
from fractions import Fraction

import numpy as np

from vaelab.system.errors import DataError, NonFiniteError, SpecError


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the p-value of each score, float64 [N], in [1 / (n + 1), 1]; small is unusual.

    A calibration score that equals s counts as >= s. So ties make the p-value larger, and false alarms rarer.

    Arguments:
        calibration: scores of n normal images that did not train the model, [n]; higher is more unusual.
        scores: scores of the images in question, [N], computed in the same way.

    Raises:
        DataError: there is no calibration score.
        NonFiniteError: a score is not a number.
    """
    if len(calibration) == 0:
        raise DataError(
            found="no calibration scores",
            expected="the scores of one normal image or more",
            do="give validation images",
        )
    for what, values in (("calibration scores", calibration), ("scores", scores)):
        if count := int(np.isnan(values).sum()):
            raise NonFiniteError(
                found=f"{count:,} of {len(values):,} {what} that are not a number",
                expected="a number for each image",
                do="see in the run's log.jsonl whether training diverged, or train again",
            )
    below = np.searchsorted(np.sort(calibration), scores, side="left")
    return (1 + len(calibration) - below) / (1 + len(calibration))


def fewest_images(alarm: float) -> int:
    """Return how many calibration images it takes for a p-value of `alarm`: the smallest n with 1 / (n + 1) <= alarm.

    Raises:
        SpecError: `alarm` is not between 0 and 1.
    """
    check_alarm(alarm)
    n = math.ceil(1 / Fraction(alarm)) - 1
    return n - 1 if n > 1 and 1 / n <= alarm else n  # a p-value is a rounded number too


def check_alarm(alarm: float, images: int | None = None) -> None:
    """Check a rate of false alarms, before any work.

    Arguments:
        alarm: the proportion of normal images that may be flagged, between 0 and 1 (0.05: 5 %).
        images: the number of calibration images, if it is known.

    Raises:
        SpecError: `alarm` is not between 0 and 1.
        DataError: with so few calibration images, no p-value is as small as `alarm`, so nothing could be flagged.
    """
    if not 0 < alarm < 1:
        raise SpecError(
            found=f"alarm = {alarm:g}",
            expected="a rate of false alarms between 0 and 1",
            do="use, say, 0.05, which flags 5 % of the normal images",
        )
    if images is not None and images < (needed := fewest_images(alarm)):
        raise DataError(
            found=f"{images:,} validation images for alarm = {alarm:g}",
            expected=f"at least {needed:,}, because the smallest p-value with n images is 1 / (n + 1)",
            do="raise alarm, or hold out more validation images in training",
        )


def alarm_range(alarm: float, images: int) -> tuple[float, float]:
    """Return the range in which the rate of false alarms lies for 95 % of all choices of the calibration images.

    The rate is at most `alarm` on average over these choices. For one choice it is random, with the distribution
    Beta(k, n + 1 - k), k = floor(alarm (n + 1)), if no two scores are equal (Vovk 2012).

    Raises:
        SpecError, DataError: as `check_alarm`.
    """
    from scipy.stats import beta

    check_alarm(alarm, images)
    k = math.floor(Fraction(alarm) * (images + 1) + Fraction(1, 2**40))  # 0.05 * 100 is 5, whatever 0.05 is rounded to
    low, high = beta.ppf([0.025, 0.975], k, images + 1 - k)
    return float(low), float(high)
