"""What Python prints of runs, metrics, rankings, splits and exports: a few lines with names and units."""

from pathlib import Path

import vaelab as vl
from tests.built import completed
from vaelab.evaluation.in_words import Metrics
from vaelab.runs.claim import claim
from vaelab.runs.compare import Ranked, Ranking, Rankings
from vaelab.runs.export import Exported

ABOUT = {"unit": "nats/image", "better": "lower", "images": 10_000, "split": "test", "protocol": "binary-dynamic"}
NLL = vl.Metric(name="nll", value=101.25, se=0.31, samples=100, **ABOUT)
SHARE = vl.Metric(**{**ABOUT, "unit": "share"}, name="effective_below_2", value=0.01, interval=(0.005, 0.02))


def test_a_metric_is_one_line_with_its_error_and_unit():
    assert repr(NLL) == "nll 101.25 +- 0.31 nats/image (10,000 test images, binary-dynamic, K 100)"
    assert repr(SHARE) == "effective_below_2 0.0100 (0.0050 to 0.0200) share (10,000 test images, binary-dynamic)"


def test_metrics_are_a_table():
    assert str(Metrics([NLL, SHARE])).splitlines() == [
        "metric              value     +- SE or 95 %  unit          K  images       pixels",
        "nll                101.25              0.31  nats/image  100  10,000 test  binary-dynamic",
        "effective_below_2  0.0100  0.0050 to 0.0200  share            10,000 test  binary-dynamic",
    ]
    assert repr(Metrics()) == "no metrics"


def test_rankings_are_tables_under_what_their_numbers_have_in_common():
    runs = [Ranked(vl.Run(Path("runs") / name, must_exist=False), NLL, i, i or None) for i, name in enumerate("ab")]
    ranking = Ranking("data mnist  unit nats/image", "lower", runs)
    assert repr(ranking).splitlines() == [
        "data mnist  unit nats/image",
        "run     nll  +- SE or 95 %  behind  +- SE",
        "a    101.25           0.31",
        "b    101.25           0.31    1.00      1",
    ]
    assert str(Rankings([ranking, ranking])) == f"{ranking}\n\n{ranking}"


def test_a_run_says_what_it_trains(tmp_path):
    run = vl.Run(tmp_path / "run", must_exist=False)
    assert repr(run) == f"Run {run.path}"  # nothing is there yet
    claim(run, completed(vl.Spec(data="digits", latent=3)))
    assert repr(run) == f"Run {run.path}: digits, bernoulli, mlp, z = 3, not done"
    (run.path / "result.json").write_text("damaged")
    assert repr(run) == f"Run {run.path}"


def test_splits_are_a_line_each():
    lines = repr(vl.load_data("digits")).splitlines()
    assert lines[0] == "Splits"
    assert [line.split()[0] for line in lines[1:]] == ["Dataset(train", "Dataset(validation", "Dataset(test"]


def test_an_export_names_its_files_and_how_near_they_are():
    files = (Path("out/encoder.onnx"), Path("out/card.md"))
    assert repr(Exported(Path("out"), files, {"encoder.onnx": 2.5e-7})).splitlines() == [
        "Exported to out",
        "  encoder.onnx  within 2.5e-07 of the model",
        "  card.md",
    ]
