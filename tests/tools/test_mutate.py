"""The tool that plants faults: each is one change of the source that can still be read."""

import ast

from tools import mutate

SOURCE = '''def f(x: list[1], k=2):
    """1 + 1"""
    if k < 3 and x:
        raise ValueError(1 + 1)
    return -(x.sum() + 1)
'''


def test_a_planted_fault_changes_the_program_and_leaves_it_readable():
    chosen = mutate.choose(150, seed=1, only="")
    assert len({fault.path for fault in chosen}) > 30
    for fault in chosen:
        source = (mutate.ROOT / fault.path).read_text()
        assert ast.dump(ast.parse(fault.planted(source))) != ast.dump(ast.parse(source)), fault


def test_what_is_planted(tmp_path, monkeypatch):
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    path = tmp_path / "one.py"
    path.write_text(SOURCE)
    assert [(fault.line, fault.before, fault.after) for fault in mutate.faults(path)] == [
        (1, "2", "3"),
        (3, "k < 3 and x", "(k < 3 or x)"),
        (3, "k < 3", "(k <= 3)"),
        (3, "3", "4"),
        (5, "-(x.sum() + 1)", "(x.sum() + 1)"),
        (5, "x.sum() + 1", "(x.sum() - 1)"),
        (5, "x.sum", "(x).mean"),
        (5, "1", "2"),
    ]


def test_the_fastest_tests_of_a_line_come_first_within_the_limit():
    fault = mutate.Fault("a.py", 3, 0, 4, 1, "", "")
    learned = {
        "lines": {"a.py": {"3": ["slow", "fast"], "4": ["mid"], "5": ["other"], "1": []}},
        "seconds": {"slow": 9.0, "mid": 2.0},
    }
    assert mutate.tests_of(fault, learned, limit=5.0) == ["fast", "mid"]
    assert mutate.tests_of(mutate.Fault("a.py", 1, 0, 1, 1, "", ""), learned, limit=0.0) == ["fast", "other"]
    assert mutate.tests_of(mutate.Fault("a.py", 2, 0, 2, 1, "", ""), learned, limit=0.0) == []


def test_a_line_that_an_import_executes_is_held_to_the_table_of_settings():
    settings = f"{mutate.OF_SETTINGS}test_settings"
    learned = {"lines": {"a.py": {"1": [], "5": ["user"]}}, "seconds": {"user": 2.0, settings: 1.0, "other": 1.0}}
    assert mutate.tests_of(mutate.Fault("a.py", 1, 0, 1, 1, "", ""), learned, limit=9.0) == [settings, "user"]
    assert mutate.tests_of(mutate.Fault("a.py", 5, 0, 5, 1, "", ""), learned, limit=9.0) == ["user"]
    assert mutate.tests_of(mutate.Fault("b.py", 1, 0, 1, 1, "", ""), learned, limit=0.0) == []
