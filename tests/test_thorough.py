"""The daily sample of the tests that are marked thorough: chosen by the day, every kind in it, all with --whole."""

import re
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from tests.thorough import arguments, sample

CASES = {f"{letter}{digit}": {letter} for letter in "abc" for digit in range(20)}


@pytest.mark.parametrize(("share", "count"), [(0.1, 6), (0.05, 3), (0.01, 3), (0.34, 21), (1.0, 60)])
def test_a_sample_is_a_share_rounded_up_that_shows_every_kind(share, count):
    for day in range(1, 50):
        chosen = sample(CASES, share, str(day))
        assert len(chosen) == count
        assert {name[0] for name in chosen} == set("abc")
        assert chosen <= CASES.keys()


def test_the_days_of_a_year_choose_every_case_and_each_day_always_the_same():
    days = [sample(CASES, 0.05, str(day)) for day in range(1, 366)]
    assert set().union(*days) == CASES.keys()
    assert days == [sample(dict(reversed(CASES.items())), 0.05, str(day)) for day in range(1, 366)]


def test_a_case_of_two_kinds_stands_for_both():
    cases = {"both": {"x", "y"}, "x": {"x"}, "y": {"y"}}
    assert {len(sample(cases, 0.01, str(day))) for day in range(20)} == {1, 2}


MADE = """
import pytest

@pytest.mark.thorough(0.2)
@pytest.mark.parametrize("i", range(30))
def test_many(i):
    pass

@pytest.mark.thorough(0.1, kinds=lambda kind, i: [kind])
@pytest.mark.parametrize("kind", ["one", "two", "three", "four"])
@pytest.mark.parametrize("i", range(10))
def test_kinds(i, kind):
    pass

@pytest.mark.parametrize("i", range(5))
def test_unmarked(i):
    pass

@pytest.mark.parametrize("i", range(9))
def test_unmarked_of_many_cases(i):
    pass
"""


GROUP = "".join(f"""
@pytest.mark.thorough(0.5, group="of four")
def test_{letter}():
    pass
""" for letter in "abcd")  # fmt: skip


@pytest.fixture
def ran(pytester):
    """The names of the tests that a command line runs, and what it prints."""
    pytester.makeini("[pytest]\nmarkers = thorough(share): sampled\naddopts = -p tests.thorough -p no:cacheprovider")
    pytester.makepyfile(test_made=MADE + GROUP)

    def run(*words: str) -> tuple[list[str], str]:
        result = pytester.runpytest_inprocess("-v", *words)
        assert result.ret == pytest.ExitCode.OK
        return re.findall(r"::(\S+) PASSED", result.stdout.str()), result.stdout.str()

    return run


def test_what_is_marked_is_sampled_the_day_decides_and_the_last_line_says_how_to_repeat_it(ran):
    runs = {day: ran("--day", day) for day in ("217", "218")}
    for day, (names, printed) in runs.items():
        count = Counter(re.split(r"\[", name)[0] for name in names)
        of_group = [name for name in names if len(name) == len("test_a")]
        assert len(of_group) == 2
        assert count - Counter(of_group) == {
            "test_many": 6,
            "test_kinds": 4,
            "test_unmarked": 5,
            "test_unmarked_of_many_cases": 6,
        }
        assert len({name.split("-")[1] for name in names if name.startswith("test_kinds")}) == 4
        assert f"--day {day} repeats it, --whole runs all of them" in printed
    assert runs["217"][0] != runs["218"][0]


def test_all_of_them_run_with_whole(ran):
    names, printed = ran("--whole")
    assert len(names) == 88
    assert "repeats it" not in printed


def test_a_case_that_is_named_runs_whatever_the_day(ran):
    assert ran("--day", "1", "test_made.py::test_many[7]", "test_made.py::test_a")[0] == ["test_many[7]", "test_a"]


@pytest.mark.parametrize(
    "mark",
    [pytest.mark.thorough(), pytest.mark.thorough(0), pytest.mark.thorough(2), pytest.mark.thorough(0.1, kind=print)],
    ids=str,
)
def test_a_marker_that_cannot_be_read_is_an_error(mark):
    item: Any = SimpleNamespace(nodeid="test_it", get_closest_marker=lambda name: mark.mark)
    with pytest.raises(
        pytest.UsageError, match=r"test_it: expected thorough\(share, kinds=function, group=name\) with"
    ):
        arguments(item)
