"""The time left of a study, from runs that took known times."""

from types import SimpleNamespace

import pytest

from vaelab.studies.time_left import TimeLeft
from vaelab.system.errors import RunError


class Damaged:
    done = True

    @property
    def result(self):
        raise RunError(found="damage", expected="a result", do="nothing")


def member(label: str, group: str, seconds: float | None):
    """A run that took this long, or that is not done."""
    took = {"seconds": {"training": seconds, "evaluation": 1.0}}
    run = SimpleNamespace(done=seconds is not None, result=took)
    return SimpleNamespace(label=label, group=group, run=run)


FAST, SLOW = member("a 1", "fast", 9.0), member("b 1", "slow", 99.0)
LEFT = [member("a 2", "fast", None), member("b 2", "slow", None), member("c 1", "other", None)]


@pytest.mark.parametrize(
    ("todo", "jobs", "said"),
    [
        (LEFT[:1], 1, "0:10"),  # as the other run of its group
        (LEFT[:2], 1, "1:50"),
        (LEFT[:2], 2, "0:55"),
        (LEFT[:1], 8, "0:10"),  # one run is not faster with eight processes
        (LEFT[2:], 1, "0:55"),  # no run of its group: as the mean of the others
    ],
)
def test_the_time_left_is_that_of_similar_runs(todo, jobs, said):
    assert TimeLeft([FAST, SLOW, *LEFT], jobs)(todo) == f", about {said} left for the study"


def test_nothing_is_said_before_the_first_run_and_after_the_last():
    assert TimeLeft(LEFT)(LEFT) == ""
    assert TimeLeft([FAST])([]) == ""


def test_a_run_with_a_damaged_result_tells_no_time():
    damaged = SimpleNamespace(label="d", group="fast", run=Damaged())
    assert TimeLeft([damaged, *LEFT])(LEFT) == ""
    assert "0:10" in TimeLeft([damaged, FAST, *LEFT])(LEFT[:1])
