"""The README's table: every fault has a row, and every row names tests that exist."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROWS = dict(re.findall(r"^\| (T\d+b?) \| .* \| (.*) \|$", (HERE / "README.md").read_text(), re.MULTILINE))


def named(row: str) -> list[Path]:
    """The files that a row names: a path from the root of the repository, or a file in this folder."""
    names = re.findall(r"`([\w/]+\.py)`", ROWS[row])
    return [HERE.parents[1] / name if "/" in name else HERE / name for name in names]


def traps(path: Path) -> set[str]:
    """The rows that a file of this folder has tests of."""
    return {"T" + number.lstrip("0") for number in re.findall(r"^def test_t(\d+b?)_", path.read_text(), re.MULTILINE)}


def test_every_fault_has_a_row():
    assert list(ROWS) == [*(f"T{i}" for i in range(1, 38)), "T37b", *(f"T{i}" for i in range(38, 43))]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_the_tests_of_its_fault_and_all_of_them(row):
    assert named(row)
    assert all(path.exists() for path in named(row))
    here = {path for path in named(row) if path.parent == HERE}
    assert here == {path for path in HERE.glob("test_*.py") if row in traps(path)}
