"""The daily sample of the tests that are marked thorough: chosen by the day, every kind in it, all with --whole."""

import pytest

from tests.thorough import sample

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
"""


def names(pytester, *words: str) -> list[str]:
    return [report.nodeid.split("::")[1] for report in pytester.inline_run(*words).listoutcomes()[0]]


@pytest.fixture
def made(pytester):
    pytester.makeini("[pytest]\nmarkers = thorough(share): sampled\naddopts = -p tests.thorough -p no:cacheprovider")
    pytester.makepyfile(test_made=MADE)
    return pytester


def test_only_what_is_marked_is_sampled_and_the_day_decides(made):
    one, two = (names(made, "--day", day) for day in ("217", "218"))
    for run in (one, two):
        assert sum(name.startswith("test_many") for name in run) == 6
        assert sum(name.startswith("test_unmarked") for name in run) == 5
        assert len({name.split("-")[1] for name in run if name.startswith("test_kinds")}) == 4
        assert sum(name.startswith("test_kinds") for name in run) == 4
    assert one == names(made, "--day", "217")
    assert one != two


def test_all_of_them_with_whole_and_a_case_that_is_named_whatever_the_day(made):
    assert len(names(made, "--whole")) == 75
    for i in range(5):
        assert names(made, f"test_made.py::test_many[{i}]") == [f"test_many[{i}]"]


def test_the_last_line_says_how_to_repeat_it(made):
    sampled, whole = made.runpytest("--day", "9"), made.runpytest("--whole")
    sampled.stdout.fnmatch_lines(["*--day 9 repeats it, --whole runs all of them*"])
    assert "repeats it" not in whole.stdout.str()


@pytest.mark.parametrize("mark", ["thorough()", "thorough(0)", "thorough(2)", "thorough(0.1, kind=print)"])
def test_a_marker_that_cannot_be_read_is_an_error(made, mark):
    made.makepyfile(test_made=f"import pytest\n\n@pytest.mark.{mark}\ndef test_it():\n    pass\n")
    result = made.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*expected thorough(share, kinds=function) with 0 < share <= 1*"])
