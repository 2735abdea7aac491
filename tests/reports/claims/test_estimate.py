"""Means with their 95 % intervals, over images and over seeds."""

import pytest
import torch

from vaelab.reports.claims.estimate import Estimate, over_images, over_seeds, paired, ratio
from vaelab.reports.claims.sizes import SIMILAR, SIZES, VAST


def test_a_paired_difference_has_the_error_of_the_differences_and_not_of_the_values() -> None:
    generator = torch.Generator().manual_seed(0)
    images = 100 * torch.randn(400, generator=generator)  # images differ far more than models do
    noise = torch.randn(400, generator=generator)
    difference = paired([images + 1 + noise], [images])
    assert difference.mean == pytest.approx(1, abs=0.2)
    assert difference.half == pytest.approx(1.96 * 0.05, rel=0.1)
    assert difference.sign == 1
    assert paired([images], [images + 1 + noise]).sign == -1


def test_an_interval_covers_seeds_where_there_are_several() -> None:
    """Three seeds that differ by 1, 2, 3 on equal images: t_2 s / sqrt(3) = 4.3027 / sqrt(3), and nothing of images."""
    same = torch.zeros(50)
    assert over_images([same + 1, same + 2, same + 3]) == over_seeds([1.0, 2.0, 3.0])
    assert over_seeds([1.0, 2.0, 3.0]).half == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    images = torch.randn(400, generator=torch.Generator().manual_seed(0))
    one, three = over_images([images]), over_images([images + seed for seed in (1, 2, 3)])
    assert one.half == pytest.approx(1.96 / 20, rel=0.1)
    assert three.half == pytest.approx((over_seeds([1.0, 2.0, 3.0]).half ** 2 + one.half**2) ** 0.5)  # type: ignore[operator]
    assert over_seeds([1.0]) == Estimate(1.0, None)


def test_an_interval_over_seeds_and_images_covers_95_percent() -> None:
    """Seeds and images each with an effect of their own, and three seeds: at least 93 of 100 intervals hold zero."""
    generator, held = torch.Generator().manual_seed(0), 0
    for _ in range(400):
        seeds, images = torch.randn(3, 1, generator=generator), 5 * torch.randn(1, 50, generator=generator)
        values = seeds + images + torch.randn(3, 50, generator=generator)
        held += over_images(list(values)).sign == 0
    assert held / 400 > 0.93


def test_a_ratio_of_means_has_the_error_of_a_bootstrap() -> None:
    generator = torch.Generator().manual_seed(0)
    below = 1 + torch.rand(300, generator=generator, dtype=torch.float64)
    above = 0.5 * below + 0.1 * torch.randn(300, generator=generator, dtype=torch.float64)
    rows = torch.randint(300, (2000, 300), generator=generator)
    spread = (above[rows].mean(1) / below[rows].mean(1)).std().item()
    found = ratio([above], below)
    assert found.mean == pytest.approx((above.mean() / below.mean()).item())
    assert found.half == pytest.approx(1.96 * spread, rel=0.1)


def test_a_difference_is_decided_where_its_interval_lies_on_one_side() -> None:
    assert [Estimate(mean, 1.0).sign for mean in (1.1, 1.0, -1.0, -1.1)] == [1, 0, 0, -1]
    assert [Estimate(mean, 0.1).above(VAST) for mean in (0.7, 0.55, 0.3)] == [1, 0, -1]
    assert [Estimate(mean, 0.02).within(SIMILAR) for mean in (0.05, 0.09, -0.2)] == [1, 0, -1]
    unsure = Estimate(5.0, None)
    assert (unsure.sign, unsure.above(VAST), unsure.within(SIMILAR)) == (0, 0, 0)
    assert paired([torch.ones(1)], [torch.zeros(1)]).half is None


def test_the_words_of_size_do_not_overlap() -> None:
    """What is similar is not marked, what is vast is marked, and what is well enough is not far."""
    assert 0 < SIMILAR < VAST < 1
    for mean in (0.0, 0.05, 0.2, 0.4, 0.6):
        one = Estimate(mean, 0.0)
        similar, marked, vast = one.within(SIMILAR) > 0, one.above(SIMILAR) > 0, one.above(VAST) > 0
        assert similar != marked
        assert marked or not vast
    assert set(SIZES) >= {"well enough"}
