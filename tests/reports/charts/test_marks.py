"""The marks of a chart: where labels are, and which way a line goes."""

import itertools
import math
import re

import pytest

from vaelab.reports.charts import error_against_latent, gap_charts, learning_curves, rate_against_distortion
from vaelab.reports.charts.axes import BOTTOM, LEFT, RIGHT, TOP, Scale, labelled
from vaelab.reports.charts.marks import CLOSE, LETTER, LINE, placed
from vaelab.reports.context import ReportContext
from vaelab.reports.differences import blocks


def box(label: tuple[float, float, str]) -> tuple[float, float, float, float]:
    x, y, text = label
    half = LETTER * len(text) / 2
    return x - half, y - LINE / 2, x + half, y + LINE / 2


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 1e-6 and min(a[3], b[3]) - max(a[1], b[1]) > 1e-6


@pytest.mark.parametrize("spread", [3.0, 12.0, 40.0])
def test_labels_collide_neither_with_each_other_nor_with_points(spread) -> None:
    texts = [(200 + spread * math.cos(2.4 * i) * i, 140 + spread * math.sin(2.4 * i), f"z = {i}") for i in range(9)]
    labels = placed(texts)
    boxes = [box(label) for label in labels if label is not None]
    assert boxes
    assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))
    points = [(x - CLOSE, y - CLOSE, x + CLOSE, y + CLOSE) for x, y, _ in texts]
    assert not any(overlap(a, b) for a in boxes for b in points)
    assert all(a[0] >= LEFT and a[2] <= RIGHT + 8 and a[1] >= TOP - 8 and a[3] <= BOTTOM for a in boxes)


def test_a_label_avoids_a_line_if_it_can() -> None:
    ((x, y, _),) = [label for label in placed([(200, 140, "z = 2")]) if label]
    assert x > 200  # to the right, where nothing is in the way
    assert y == 140
    line = [(200 + step, 140.0) for step in range(60)]
    (label,) = placed([(200, 140, "z = 2")], line)
    assert label is not None
    assert label[:2] != (x, y)


def test_ticks_are_round_and_have_the_decimals_that_they_need() -> None:
    assert [text for _, text in labelled(Scale(0.0213, 0.0787, 0, 1).ticks())] == ["0.04", "0.06"]
    assert [text for _, text in labelled(Scale(-7, 31, 0, 1).ticks(4))] == ["0", "10", "20", "30"]


def test_a_line_never_doubles_back(trained) -> None:
    context = ReportContext(trained)
    for chart in (*rate_against_distortion(context), *error_against_latent(context)):
        lines = re.findall(r'<polyline class="line s\d" points="([^"]+)"', chart.picture)
        assert lines
        for line in lines:
            across = [float(place.split(",")[0]) for place in line.split()]
            assert across == sorted(across)


def test_every_run_is_in_every_kind_of_chart_and_says_its_numbers(trained) -> None:
    context = ReportContext(trained)
    kinds = [
        rate_against_distortion(context),
        error_against_latent(context),
        learning_curves(context),
        gap_charts(context, blocks(context)),
    ]
    for charts in kinds:
        said = dict(
            pair
            for chart in charts
            for pair in re.findall(r'data-run="([^"]+)" role="img" aria-label="([^"]+)"', chart.picture)
        )
        assert set(said) == {member.label for member in trained.members}
        assert all(re.search(r"\d\.\d", words) for words in said.values())


def test_learning_curves_show_validation_and_training_with_a_key_for_both(trained) -> None:
    for chart in learning_curves(ReportContext(trained)):
        assert chart.picture.count('data-of="validation"') == chart.picture.count('data-of="training"') == 2
        assert "validation images" in chart.key
        assert "training images" in chart.key
        assert set(re.findall(r'class="(s\d)"', chart.key)) == set(re.findall(r'class="point (s\d)"', chart.picture))
