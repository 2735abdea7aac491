"""result.json: what is written has the keys that are stated, and what is read has their types."""

import json
import shutil
from dataclasses import fields

import pytest

from vaelab.evaluation.measure import Metric
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import evaluate
from vaelab.runs.result_file import Environment, Provenance, Result, Split
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import RunError

TINY = Spec(data="digits", latent=2, network="mlp:hidden=8", epochs=1, nll_samples=5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    return train(TINY, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(trained, tmp_path) -> Run:
    return Run(shutil.copytree(trained.path, tmp_path / "run"))


def written(run: Run) -> dict:
    return json.loads((run.path / "result.json").read_text())


def rewrite(run: Run, place: int, **values: object) -> None:
    """Give the metric at `place` other values."""
    result = written(run)
    result["metrics"][place] |= values
    (run.path / "result.json").write_text(json.dumps(result))


def test_what_is_written_has_the_keys_that_are_stated_in_their_order(run):
    result = written(run)
    of_shards = {"workers", "reduce"}  # only of a batch that is cut into shards
    assert list(result) == [key for key in Result.__annotations__ if key not in of_shards]
    assert list(result["environment"]) == list(Environment.__annotations__)
    assert [*result["provenance"], "resumed_from"] == list(Provenance.__annotations__)  # the last is of `vl.resume`
    assert {split: list(there) for split, there in result["data"].items()} == {
        split: list(Split.__annotations__) for split in ("train", "validation", "test")
    }
    of_metric = [field.name for field in fields(Metric) if field.name not in ("per_image", "further")]
    assert {tuple(row) for row in result["metrics"]} == {tuple(of_metric)}


def test_the_metrics_of_a_run_are_those_that_its_measures_gave(run):
    new = evaluate(run, ["likelihood:samples=3", "reconstruction"])
    assert all(metric in run.metrics for metric in new)
    assert {metric.seed for metric in new} == {0}
    assert {metric.measure.partition(":")[0] for metric in new} == {"likelihood", "reconstruction"}
    assert all(metric.per_image is None for metric in new)  # but in a file of its own, which is read when asked for
    assert [metric.as_row() for metric in run.metrics] == [
        {**row, "parts": tuple(row["parts"]), "interval": row["interval"] and tuple(row["interval"])}
        for row in written(run)["metrics"]
    ]


def test_measuring_more_leaves_the_rows_that_were_there_as_they_were(run):
    before = (run.path / "result.json").read_text()
    rows = json.dumps(written(run)["metrics"])
    evaluate(run, ["likelihood:samples=3"])
    assert (run.path / "result.json").read_text() != before
    assert json.dumps(written(run)["metrics"][: len(json.loads(rows))]) == rows


def test_a_row_of_an_earlier_version_is_read_and_written_whole(run):
    result = written(run)
    result["ledger"], result["trained_together"] = result.pop("provenance"), result.pop("vmapped")
    for row in result["metrics"]:
        del row["better"], row["fewest_samples"]
    (run.path / "result.json").write_text(json.dumps(result))
    assert (run.metric("nll").better, run.metric("elbo").better) == ("lower", "higher")
    evaluate(run, ["likelihood:samples=3"])
    assert list(written(run)["metrics"][0]) == list(written(run)["metrics"][-1])
    assert {"provenance", "vmapped"} <= written(run).keys()


def test_a_key_of_a_later_version_is_kept_when_more_is_measured(run):
    rewrite(run, 0, colour="blue")
    evaluate(run, ["likelihood:samples=3"])
    assert written(run)["metrics"][0]["colour"] == "blue"
    assert "colour" not in written(run)["metrics"][-1]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"value": "3"}, r"metrics\.0\.value"),
        ({"se": -1.0}, r"metrics\.0\.se"),
        ({"better": "down"}, r"metrics\.0\.better"),
        ({"samples": 2.5}, r"metrics\.0\.samples"),
        ({"parts": [1.0, None]}, r"metrics\.0\.parts\.1"),
        ({"interval": [2.0, 1.0]}, r"metrics\.0\.interval: .*ends are exchanged"),
        ({"split": "holdout"}, "numbers of holdout images"),
    ],
    ids=str,
)
def test_a_metric_of_other_types_is_damage(run, values, fault):
    rewrite(run, 0, **values)
    with pytest.raises(RunError, match=rf"result\.json is damaged \({fault}"):
        _ = run.metrics
