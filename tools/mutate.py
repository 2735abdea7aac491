"""`python tools/mutate.py`: mutation testing. Plant small faults in the core, one at a time, and count those found.

A fault changes one operator, number, name or condition. A seed chooses it from all places in the files of `SCOPE`. The
tests that execute its line run until one fails. The score is the proportion of faults that the tests find. It is a
lower bound, because some faults change no result. A fault that survives shows a missing test, or changes no result.

The first call runs the whole suite once to record which tests execute which lines. This record and the results are in
`.mutate/`; rerun the command to resume.
"""

import argparse
import ast
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from coverage import CoverageData

ROOT = Path(__file__).parents[1]
STORE = ROOT / ".mutate"
LEARNED, FAULTS_FOUND = STORE / "learned.json", STORE / "found.jsonl"
SCOPE = ["vaelab/objectives", "vaelab/distributions", "vaelab/evaluation", "vaelab/training/step/step.py"]
COPIED = ["vaelab", "tests", "docs", "benchmarks", "tools", "README.md", "Makefile", "pyproject.toml", ".ci"]
OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
METHODS = {"sum": "mean", "mean": "sum", "max": "min", "min": "max", "amax": "amin", "amin": "amax",
           "argmax": "argmin", "argmin": "argmax", "floor": "ceil", "ceil": "floor", "log": "exp", "exp": "log",
           "sqrt": "square", "square": "sqrt"}  # fmt: skip
# Sizes of pieces of work: they change memory and time but no result
PIECES = ("ENTRIES", "PASSES", "CHUNK", "BLOCKS", "CACHE_MB", "MEMORY_MB", "POINTS", "NUMBERS", "ROWS", "ENCODING")
CHECKS = ("strict", "validate_args")  # arguments that only turn on checks in torch and zip
OF_SETTINGS = "tests/runs/test_defaults.py::"
FOUND, MISSED, UNTESTED = "found", "missed", "no test executes it"


@dataclass(frozen=True)
class Fault:
    """One change to one line of the source."""

    path: str  # below the root
    line: int  # counts from 1; columns count bytes from 0, as in ast
    column: int
    end_line: int
    end_column: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {' '.join(self.before.split())} -> {self.after}"

    def planted(self, source: str) -> str:
        """Return the source with this fault."""
        lines = source.encode().splitlines(keepends=True)
        head = b"".join(lines[: self.line - 1]) + lines[self.line - 1][: self.column]
        tail = lines[self.end_line - 1][self.end_column :] + b"".join(lines[self.end_line :])
        return (head + self.after.encode() + tail).decode()


def faults(path: Path) -> Iterator[Fault]:
    """Yield all faults that can be planted in a file, in the order of its syntax tree."""
    source = path.read_text()
    for node in _mutable(ast.parse(source)):
        for place, after in _changes(node):
            before = ast.get_source_segment(source, place) or ""
            assert place.end_lineno is not None
            assert place.end_col_offset is not None
            where = (place.lineno, place.col_offset, place.end_lineno, place.end_col_offset)
            yield Fault(str(path.relative_to(ROOT)), *where, before, after)


def _mutable(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes except types, texts, errors, imports, checks and sizes of pieces of work: they give no result."""
    if isinstance(node, (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Assert)):
        return
    if isinstance(node, ast.Assign) and isinstance(name := node.targets[0], ast.Name) and name.id in PIECES:
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(node, ast.keyword) and node.arg in CHECKS:
            continue
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, ast.AST):
                yield from _mutable(inner)


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield the possible changes at a node: the part that changes, and its new text."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            if not any(isinstance(side, ast.JoinedStr) or _text(side) for side in (left, right)):
                yield node, _unparsed(ast.BinOp(left, OPERATORS[type(op)](), right))
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in OPERATORS:
            yield node, ast.unparse(ast.AugAssign(target, OPERATORS[type(op)](), value))
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield node, _unparsed(operand)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
            yield node, _unparsed(ast.Compare(left, [OPERATORS[type(op)]()], [right]))
        case ast.BoolOp(op=op, values=values):
            yield node, _unparsed(ast.BoolOp(OPERATORS[type(op)](), values))
        case ast.Constant(value=bool(value)):
            yield node, str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield node, repr(value + 1)
        case ast.Call(func=ast.Attribute(value=value, attr="detach"), args=[]):
            yield node, _unparsed(value)
        case ast.Attribute(value=value, attr=name) if name in METHODS:
            yield node, f"{_unparsed(value)}.{METHODS[name]}"
        case ast.If(test=test) | ast.IfExp(test=test):
            if not isinstance(test, (ast.Compare, ast.BoolOp, ast.UnaryOp)):  # these have their own changes
                yield test, f"(not {ast.unparse(test)})"
        case _:
            pass


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _unparsed(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"


def environment(root: Path) -> dict[str, str]:
    """The environment of tests in a copy of the project: they use its package, not the installed one."""
    return {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


def copied(root: Path) -> Path:
    """Copy what the tests need to `root`."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name in COPIED:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, root / name)
    return root


def learn(jobs: int) -> dict[str, Any]:
    """Run the suite once in a copy; record in `STORE` which tests execute which lines, and the time of each test."""
    root = copied(STORE / "learn")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--whole",
        "--numprocesses",
        str(jobs),
        "--durations=0",
        "--durations-min=0",
    ]
    command += ["--cov=vaelab", "--cov-context=test", "--cov-report="]
    told = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    if told.returncode:
        sys.exit(f"the test suite fails without a planted fault; make it pass first:\n{told.stdout[-3000:]}")
    seconds = Counter[str]()
    for took, test in re.findall(r"^\s*([\d.]+)s (?:call|setup|teardown)\s+(tests/.+)$", told.stdout, re.M):
        seconds[test.strip()] += float(took)
    data = CoverageData(str(root / ".coverage"))
    data.read()
    lines = {str(Path(path).relative_to(root)): _tests_by_line(data, path) for path in data.measured_files()}
    learned = {"digest": digest(), "lines": lines, "seconds": seconds}
    LEARNED.write_text(json.dumps(learned))
    shutil.rmtree(root)
    return json.loads(LEARNED.read_text())


def _tests_by_line(data: CoverageData, path: str) -> dict[int, list[str]]:
    found = data.contexts_by_lineno(path)
    return {line: sorted({test.rpartition("|")[0] for test in tests if test}) for line, tests in found.items()}


def digest() -> str:
    """The digest of the package: a record for another version is not valid."""
    paths = sorted((ROOT / "vaelab").rglob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def tests_of(fault: Fault, learned: dict[str, Any], limit: float) -> list[str]:
    """Return the tests that execute the lines of the fault, the fastest first, with `limit` seconds in total at most.

    For a line that runs when its module is imported, such as a default value, these are all tests of the file, and the
    table of settings, which reads values and executes no line.
    """
    lines, seconds = learned["lines"].get(fault.path, {}), learned["seconds"]
    run = [lines[line] for line in map(str, range(fault.line, fault.end_line + 1)) if line in lines]
    tests = {test for found in run for test in found}
    if run and not tests:  # only the import executes the line
        tests = {test for found in lines.values() for test in found}
        tests |= {test for test in seconds if test.startswith(OF_SETTINGS)}
    chosen, spent = list[str](), 0.0
    for test in sorted(tests, key=lambda test: (seconds.get(test, 0.0), test)):
        spent += seconds.get(test, 0.0)
        if spent > limit and chosen:
            break
        chosen.append(test)
    return chosen


def tried(fault: Fault, tests: Sequence[str], root: Path, limit: float) -> str:
    """Plant the fault in the copy at `root`, run the tests until one fails, and remove the fault."""
    if not tests:
        return UNTESTED
    path = root / fault.path
    source = path.read_text()
    path.write_text(fault.planted(source))
    (root / "tests.txt").write_text("\n".join(tests))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "@tests.txt"]
    try:
        done = subprocess.run(
            command, cwd=root, env=environment(root), capture_output=True, text=True, check=False, timeout=10 * limit
        )
    except subprocess.TimeoutExpired:  # a fault with an endless loop counts as found
        return FOUND
    finally:
        path.write_text(source)
    if done.returncode not in (0, 1, 2) and "ERROR collecting" not in done.stdout:  # 1 means that a test failed
        sys.exit(f"{fault}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return FOUND if done.returncode else MISSED


def main() -> int:
    """Plant the faults; print each fault that was missed, and the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="number of faults")
    parser.add_argument("--seed", type=int, default=0, help="seed that chooses the faults")
    parser.add_argument("--jobs", type=int, default=2, help="number of faults that are tested at a time")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of tests for each fault, without the fault")
    parser.add_argument("--only", default="", help="plant only faults with this text in their printed line")
    parser.add_argument("--learn", action="store_true", help="run the suite again, after a change of the tests")
    asked = parser.parse_args()
    STORE.mkdir(exist_ok=True)
    learned = json.loads(LEARNED.read_text()) if LEARNED.exists() else {}
    if asked.learn or learned.get("digest") != digest():
        print("recording which tests execute which lines: the suite runs once", flush=True)
        learned = learn(asked.jobs)
    chosen = choose(asked.count, asked.seed, asked.only)
    found = {
        tuple(row) for row in map(json.loads, FAULTS_FOUND.read_text().splitlines() if FAULTS_FOUND.exists() else [])
    }
    roots = SimpleQueue[Path]()
    for number in range(asked.jobs):
        roots.put(copied(STORE / str(number)))

    def one(fault: Fault) -> str:
        key = (learned["digest"], *astuple(fault))
        if key in found:
            return FOUND
        root = roots.get()
        try:
            result = tried(fault, tests_of(fault, learned, asked.limit), root, asked.limit)
        finally:
            roots.put(root)
        if result == FOUND:  # the other faults are tried again next time, because there may be new tests
            with FAULTS_FOUND.open("a") as file:
                file.write(json.dumps(key) + "\n")
        return result

    counts = Counter[str]()
    with ThreadPoolExecutor(asked.jobs) as pool:
        for number, (fault, result) in enumerate(zip(chosen, pool.map(one, chosen), strict=True), 1):
            counts[result] += 1
            if result != FOUND:
                print(f"{number:>4}  {fault}: {result}", flush=True)
    total = counts.total()
    print(f"{counts[FOUND]} of {total} faults found, {counts[FOUND] / max(1, total):.1%} (seed {asked.seed})")
    return 0


def choose(count: int, seed: int, only: str) -> list[Fault]:
    """Choose faults from the files in `SCOPE`, by the seed."""
    paths = sorted(
        path for name in SCOPE for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))
    )
    every = [fault for path in paths for fault in faults(path) if only in str(fault)]
    return random.Random(seed).sample(every, min(count, len(every)))


if __name__ == "__main__":
    sys.exit(main())
