"""Tests with many cases: a sample of the cases runs each day, and `--whole` runs all of them.

`@pytest.mark.thorough(share)` marks a parametrised test. Each day of the year another `share` of its cases runs, one at
least. `@pytest.mark.thorough(share, kinds=function)` also keeps every kind of case in the sample: `function` takes the
parameters of a case and returns what that case shows; what any case shows is shown every day.
`@pytest.mark.thorough(share, group=name)` takes the tests of that name together, with or without parameters.
A parametrised test without the mark runs `MOST` of its cases a day, if it has more.
"""

import datetime
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from random import Random
from typing import Any

import pytest

Kinds = Callable[..., Iterable[Hashable]]
MOST = 6  # cases a day of a parametrised test without the mark


def each_value(**case: Hashable) -> Iterable[Hashable]:
    """Kinds of a grid: each value of each parameter."""
    return case.items()


def sample(cases: Mapping[str, Iterable[Hashable]], share: float, seed: str) -> set[str]:
    """Choose a `share` of the cases, rounded up, or more where fewer do not show all that the cases show.

    Arguments:
        cases: for each case, by its name, what it shows.
        share: above 0, at most 1.
        seed: decides which cases.
    """
    names = Random(seed).sample(sorted(cases), len(cases))
    count = math.ceil(share * len(names) - 1e-9)  # 0.1 * 30 is a little over 3
    shown, kept, others = set[Hashable](), list[str](), list[str]()
    for name in names:
        (others if shown.issuperset(cases[name]) else kept).append(name)
        shown.update(cases[name])
    return {*kept, *others[: max(count - len(kept), 0)]}


def pytest_addoption(parser: pytest.Parser) -> None:
    today = datetime.datetime.now(datetime.UTC).timetuple().tm_yday
    group = parser.getgroup("vaelab")
    group.addoption("--whole", action="store_true", help="run every case of the tests that are marked thorough")
    group.addoption("--day", type=int, default=today, help="the day of the year that chooses the cases (default: now)")


@pytest.hookimpl(trylast=True)  # a sample of what -k and -m leave
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("whole"):
        return
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        group = arguments(item)[2] if item.get_closest_marker("thorough") else ""
        tests.setdefault(group or item.nodeid.split("[")[0], []).append(item)
    left_out: set[str] = set()
    for test, cases in tests.items():
        share = max(_share(item, len(cases)) for item in cases)
        shown = {item.nodeid: _shown(item) for item in cases}
        seed = f"{config.getoption('day')} {test.split('::')[0]}"  # tests of one file that share cases share the sample
        left_out |= shown.keys() - sample(shown, share, seed)
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
        items[:] = [item for item in items if item.nodeid not in left_out]


def _share(item: pytest.Item, cases: int) -> float:
    return arguments(item)[0] if item.get_closest_marker("thorough") else min(1.0, MOST / cases)


def arguments(item: pytest.Item) -> tuple[float, Kinds | None, str]:
    """Share, kinds and group of the mark that is nearest to the test."""
    mark = item.get_closest_marker("thorough")
    assert mark is not None
    if len(mark.args) != 1 or not 0 < mark.args[0] <= 1 or not mark.kwargs.keys() <= {"kinds", "group"}:
        raise pytest.UsageError(
            f"{item.nodeid}: expected thorough(share, kinds=function, group=name) with 0 < share <= 1"
        )
    return mark.args[0], mark.kwargs.get("kinds"), mark.kwargs.get("group", "")


def _shown(item: pytest.Item) -> set[Hashable]:
    kinds = arguments(item)[1] if item.get_closest_marker("thorough") else None
    callspec: Any = getattr(item, "callspec", None)  # absent where a test has no parameters
    return {"a case"} if kinds is None or callspec is None else set(kinds(**callspec.params))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("whole"):
        day = config.getoption("day")
        terminalreporter.write_line(
            f"a sample of the tests marked thorough: --day {day} repeats it, --whole runs all of them"
        )
