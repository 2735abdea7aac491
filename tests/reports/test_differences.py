"""What the page knows about two runs is the paired difference of their test images."""

from dataclasses import replace

import pytest

from vaelab.reports import differences as module
from vaelab.reports.claims.estimate import NORMAL
from vaelab.reports.context import ReportContext
from vaelab.reports.differences import blocks, differences
from vaelab.runs.compare import difference_se


def test_each_interval_is_that_of_the_paired_difference(trained) -> None:
    (grey, _) = blocks(ReportContext(trained))
    assert [member.label for member in grey.members] == ["mlp z=2", "mlp z=5", "conv z=2", "conv z=5"]
    for name, metric in grey.metrics.items():
        pairs = [(member.run, member.run.metric(name)) for member in grey.members]
        for i, one in enumerate(pairs):
            assert len(metric.halves[i]) == i
            for half, other in zip(metric.halves[i], pairs, strict=False):
                assert half == pytest.approx(NORMAL * (difference_se(one, other) or 0), rel=1e-3)
    assert grey.metrics["elbo"].values[0] == -grey.members[0].run.metric("elbo").value
    assert (grey.metrics["elbo"].better, grey.metrics["nll"].better, grey.metrics["rate"].better) == (
        "lower",
        "lower",
        "neither",
    )


def test_runs_with_other_images_have_no_difference(trained) -> None:
    members = [trained.members[0], trained.members[4]]  # grey and 8bit
    metric = differences(members)["nll"]
    assert metric.kinds == [0, 1]
    assert metric.halves == [[], [None]]


def test_a_run_without_values_of_each_image_has_no_interval(partial) -> None:
    first, second = partial.members[0], partial.members[2]
    (second.run.path / "per_image.safetensors").unlink()
    with pytest.raises(Exception, match="per_image"):
        differences([first, second])


def test_a_large_block_has_no_pairs(trained, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRED", 1)
    assert differences(trained.members[:2])["nll"].halves == []


def test_runs_that_are_not_done_are_in_no_block(partial) -> None:
    assert [len(block.members) for block in blocks(ReportContext(replace(partial)))] == [2, 1]
