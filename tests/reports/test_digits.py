import numpy as np
import pytest
import torch

from vaelab.data import load_data
from vaelab.evaluation.proportion import Proportion
from vaelab.reports.digits import appearance, fit_reader, recognition


@pytest.fixture(scope="module")
def data():
    return load_data("digits", validation=0, protocol="grey")


@pytest.fixture(scope="module")
def reader(data):
    return fit_reader(data.train, data.test)


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (5, 10), (1, 1000)])
def test_the_interval_of_a_share_holds_it_and_stays_inside_0_and_1(count: int, n: int) -> None:
    share = Proportion(count, n)
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1
    assert low < high


def test_wilsons_interval_has_the_published_value() -> None:
    # 50 of 100: 0.404 to 0.596, as every table of the Wilson interval has it
    assert Proportion(50, 100).interval == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_a_share_of_nothing_says_nothing() -> None:
    assert Proportion(0, 0).interval == (0.0, 1.0)
    assert np.isnan(Proportion(0, 0).value)


def test_the_reader_reads_digits_it_has_not_seen(reader) -> None:
    assert reader.accuracy.n == 180
    assert reader.accuracy.value > 0.95


def test_recognition_counts_each_digit_by_its_own_images(reader, data) -> None:
    images = torch.from_numpy(data.train.images).float() / 255
    shares = recognition(reader, images, data.train.labels)
    assert [share.n for share in shares] == np.bincount(data.train.labels).tolist()
    assert all(share.value > 0.95 for share in shares)
    wrong = recognition(reader, images, (data.train.labels + 1) % 10)
    assert all(share.value < 0.05 for share in wrong)


def test_appearance_is_of_the_images_read_with_confidence(reader, data) -> None:
    threes = torch.from_numpy(data.train.images[data.train.labels == 3]).float() / 255
    shares = appearance(reader, threes)
    assert shares[3].value > 0.95
    assert shares[3].n <= len(threes)
    assert sum(share.count for share in shares) == shares[0].n
