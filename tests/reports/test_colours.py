from math import cos, radians, sin, sqrt

import pytest
import torch
from torch import Tensor

from vaelab.reports.colours import HUES, hue_counts, hues, retained

PURE = {
    "red": (1, 0, 0),
    "yellow": (1, 1, 0),
    "green": (0, 1, 0),
    "cyan": (0, 1, 1),
    "blue": (0, 0, 1),
    "magenta": (1, 0, 1),
}


def of(colour: tuple[float, float, float], n: int = 1) -> Tensor:
    return torch.tensor(colour).float()[None, :, None, None].expand(n, 3, 4, 4)


@pytest.mark.parametrize("name", HUES)
def test_pure_colours_have_their_names(name: str) -> None:
    assert hues(of(PURE[name])).tolist() == [HUES.index(name)]


@pytest.mark.parametrize("index", range(len(HUES)))
def test_a_hue_is_a_sixth_of_the_circle_around_its_pure_colour(index: int) -> None:
    for degrees, expected in ((60 * index - 29.5, index), (60 * index + 29.5, index), (60 * index + 30.5, index + 1)):
        c, s = 0.3 * cos(radians(degrees)), 0.3 * sin(radians(degrees))
        colour = (0.5 + 2 / 3 * c, 0.5 - c / 3 + s / sqrt(3), 0.5 - c / 3 - s / sqrt(3))
        assert hues(of(colour)).tolist() == [expected % len(HUES)], degrees


def test_grey_and_faint_tints_have_no_hue() -> None:
    images = torch.cat([of((0.5, 0.5, 0.5)), of((0.0, 0.0, 0.0)), of((0.5, 0.5, 0.52))])
    assert hues(images).tolist() == [-1, -1, -1]
    assert hue_counts(images) == [0] * len(HUES) + [3]


def test_what_is_retained_is_all_half_none_or_the_opposite() -> None:
    blue = of((0.2, 0.2, 0.6), 6)
    for reconstruction, share in (
        (blue, 1.0),
        (of((0.2, 0.2, 0.4), 6), 0.5),
        (of((0.3, 0.3, 0.3), 6), 0.0),
        (of((0.6, 0.6, 0.2), 6), -1.0),
    ):
        kept = retained(blue, reconstruction)[HUES.index("blue")]
        assert kept.n == 6
        assert kept.enough
        assert kept.share == pytest.approx(share, abs=1e-6)


def test_the_standard_error_is_that_of_the_mean_over_images() -> None:
    blue = of((0.2, 0.2, 0.6), 4)
    mixed = torch.cat([blue[:2], of((0.3, 0.3, 0.3), 2)])
    kept = retained(blue, mixed)[HUES.index("blue")]
    assert kept.share == pytest.approx(0.5)
    assert kept.se == pytest.approx(torch.tensor([1.0, 1, 0, 0]).std().item() / 2, rel=1e-5)
    assert not kept.enough


def test_a_hue_without_images_has_no_share() -> None:
    kept = retained(of((0.2, 0.2, 0.6)), of((0.2, 0.2, 0.6)))
    assert (kept[HUES.index("green")].n, kept[HUES.index("green")].share) == (0, None)
    assert kept[HUES.index("blue")].se is None
