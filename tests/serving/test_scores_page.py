"""The example of docs/scores.md runs as it stands, and its numbers of calibration images are right."""

import re
from pathlib import Path

from vaelab.serving.conformal import alarm_range, fewest_images
from vaelab.serving.scores import COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "scores.md").read_text()


def test_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example.replace("epochs=5", "epochs=0.2"), "docs/scores.md", "exec"), {})
    assert "p_value is of nll_nats, from 162 calibration images: at least 0.006135" in capsys.readouterr().out


def test_every_score_has_a_row():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) >= set(COLUMNS)


def test_numbers_of_calibration_images():
    said = re.search(
        r"from ([\d.]+) to ([\d.]+) % with n = 100, ([\d.]+) to ([\d.]+) % .*?, ([\d.]+) to ([\d.]+) %", PAGE
    )
    ends = [end for n in (100, 1000, 10_000) for end in alarm_range(0.05, n)]
    assert said.groups() == tuple(f"{100 * end:.1f}" for end in ends)
    assert f"0.05 needs {fewest_images(0.05)} calibration images, 0.01 needs {fewest_images(0.01)}" in PAGE
