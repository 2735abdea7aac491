"""Progress in lines of text."""

import re

import pytest

from vaelab.training import lines as of_lines
from vaelab.training.callback import Status
from vaelab.training.lines import in_brief, lines, measured_lines, summary


@pytest.mark.parametrize("text", [summary, in_brief])
@pytest.mark.parametrize(("epoch", "epochs", "said"), [(3.2, 3, "3.0/3"), (6.5, 6, "6.0/6"), (1.26, 3, "1.3/3")])
def test_no_epoch_is_beyond_the_last(text, epoch, epochs, said):
    status = Status(10, 10, epoch, epochs, 100.0, 0.0, {"elbo": -3.0, "rate": 1.0, "distortion": 2.0}, None)
    assert re.findall(r"epoch (\S+)", text(status)) == [said]


def test_a_long_measurement_says_so_now_and_then(monkeypatch):
    said, now = list[str](), [0.0]
    monkeypatch.setattr(of_lines.time, "monotonic", lambda: now[0])
    measured = measured_lines(said.append)
    for second in range(0, 41, 4):
        now[0] = float(second)
        measured("likelihood", second / 40)
    assert said == ["measuring likelihood 30 %", "measuring likelihood 60 %", "measuring likelihood 90 %"]
    now[0] += 100  # another run is measured later: its time begins anew
    measured("likelihood", 0.0)
    assert len(said) == 3
    assert lines(said.append).measured is not None
