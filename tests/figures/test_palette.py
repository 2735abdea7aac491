"""The colours of labels stay apart for everybody, from each other and from the white page."""

from itertools import combinations

import numpy as np
import pytest

from tests.figures.colour_blindness import VISIONS, difference, seen
from vaelab.figures.style import PALETTE

APART = {"normal": 20, "protanopia": 15, "deuteranopia": 15, "tritanopia": 15}  # CIEDE2000


@pytest.mark.parametrize("vision", VISIONS)
def test_ten_colours_stay_apart(vision):
    colours = seen(list(PALETTE), vision)
    assert len(colours) == 10
    assert min(difference(one, other) for one, other in combinations(colours, 2)) >= APART[vision]


@pytest.mark.parametrize("vision", VISIONS)
def test_every_colour_shows_on_white(vision):
    (white,), colours = seen(["#ffffff"], vision), seen(list(PALETTE), vision)
    assert min(difference(colour, white) for colour in colours) >= 18


def test_at_most_one_colour_is_a_grey():
    chroma = np.hypot(*seen(list(PALETTE), "normal")[:, 1:].T)
    assert (chroma < 30).sum() <= 1


def test_the_difference_is_ciede2000():
    """Pairs of Sharma, Wu and Dalal (2005), table 1: rows 1, 7, 9 and 25."""
    known = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ]
    for one, other, value in known:
        assert difference(np.array(one), np.array(other)) == pytest.approx(value, abs=1e-4)


def test_each_vision_confuses_what_it_must():
    """Greys look the same to everybody; a red and a green come together for two, a blue and a green for one."""
    for vision in VISIONS[1:]:
        for normal, other in zip(
            seen(["#404040", "#c0c0c0"], "normal"), seen(["#404040", "#c0c0c0"], vision), strict=True
        ):
            assert difference(normal, other) < 0.5
    apart = {vision: difference(*seen(["#b04000", "#607000"], vision)) for vision in VISIONS}
    assert apart["protanopia"] < apart["normal"] / 2
    assert apart["deuteranopia"] < apart["normal"] / 2
    assert apart["tritanopia"] > apart["normal"] / 2
    teals = {vision: difference(*seen(["#3090a0", "#30a060"], vision)) for vision in VISIONS}
    assert teals["tritanopia"] < teals["normal"] / 2
