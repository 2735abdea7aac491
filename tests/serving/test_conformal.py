import math

import numpy as np
import pytest

from vaelab.serving.conformal import alarm_range, check_alarm, fewest_images, p_values
from vaelab.system.errors import DataError, NonFiniteError, SpecError


def test_by_hand():
    assert p_values(np.array([1.0, 2, 3, 4]), np.array([0.0, 2.5, 3, 9])).tolist() == [1, 3 / 5, 3 / 5, 1 / 5]


def test_ties_count_against_an_alarm():
    assert p_values(np.zeros(9), np.zeros(3)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("ties", [False, True])
def test_false_alarms_of_exchangeable_scores(ties):
    """Over 200 splits, false alarms are within 3 standard errors of what was asked, or below it with ties."""
    alarm, n, test, splits = 0.05, 199, 300, 200
    random = np.random.default_rng(0)
    seen = np.empty(splits)
    for split in range(splits):
        scores = random.standard_normal(n + test)
        scores = np.round(scores) if ties else scores
        seen[split] = (p_values(scores[:n], scores[n:]) <= alarm).mean()
    k = round(alarm * (n + 1))  # the rate of a split is Beta(k, n + 1 - k); its count is binomial
    variance = k * (n + 1 - k) / (n + 1) ** 2 / (n + 2) + alarm * (1 - alarm) / test
    error = math.sqrt(variance / splits)
    assert seen.mean() <= alarm + 3 * error
    assert ties or seen.mean() >= alarm - 3 * error


def test_fewest_images_is_the_smallest_number_that_can_alarm():
    random = np.random.default_rng(0)
    for alarm in (0.05, 0.1, 0.01, 0.5, 0.999, 1e-6, *(1 / np.arange(2, 200)), *random.uniform(1e-3, 1, 200)):
        n = fewest_images(alarm)
        assert n >= 1
        assert 1 / (n + 1) <= alarm
        assert n == 1 or 1 / n > alarm
    assert fewest_images(0.05) == 19
    assert fewest_images(5e-324) > 10**300


@pytest.mark.parametrize("alarm", [0, 1, -0.1, 5, math.nan, math.inf])
def test_alarm_outside_0_to_1_is_refused(alarm):
    for ask in (lambda: check_alarm(alarm), lambda: fewest_images(alarm), lambda: alarm_range(alarm, 100)):
        with pytest.raises(SpecError, match="a rate of false alarms between 0 and 1"):
            ask()


def test_too_few_calibration_images_says_how_many_it_takes():
    check_alarm(0.05, 19)
    with pytest.raises(DataError, match=r"18 validation images for alarm = 0\.05; expected at least 19"):
        check_alarm(0.05, 18)
    with pytest.raises(DataError, match="at least 99"):
        alarm_range(0.01, 98)


def test_no_calibration_and_no_number_are_refused():
    with pytest.raises(DataError, match="no calibration scores"):
        p_values(np.empty(0), np.ones(1))
    with pytest.raises(NonFiniteError, match="1 of 2 scores that are not a number"):
        p_values(np.ones(3), np.array([1, np.nan]))
    with pytest.raises(NonFiniteError, match="calibration"):
        p_values(np.array([np.nan]), np.ones(1))


def test_infinite_scores_have_the_smallest_and_the_largest_p_value():
    assert p_values(np.arange(9.0), np.array([np.inf, -np.inf])).tolist() == [0.1, 1]


def test_range_of_the_rate_over_calibrations():
    """The rate of 95 % of the calibrations of 99 images is in the range, by simulation."""
    low, high = alarm_range(0.05, 99)
    assert low < 0.05 < high
    random = np.random.default_rng(0)
    calibrations = np.sort(random.random((4000, 99)), 1)
    rates = 1 - calibrations[:, -5]  # p <= 0.05: at most 4 of 99 are as large
    assert p_values(calibrations[0], np.array([calibrations[0, -5] + 1e-9]))[0] == 0.05
    within = ((low <= rates) & (rates <= high)).mean()
    assert abs(within - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 4000)
