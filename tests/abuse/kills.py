"""Kills: a command is killed at some point and rerun. It must end as if it had not been killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HANG_SECONDS, ORPHAN_SECONDS = 120.0, 5.0
SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
# A command that kills itself at its n-th file operation; for n = 0 it prints the number of operations at the end.
DRIVER = """
import os, signal, sys
import vaelab.cli.commands.study, vaelab.cli.commands.train, vaelab.cli.commands.evaluate, vaelab.cli.parser
import vaelab.runs.figure, vaelab.reports, vaelab.studies.study
from vaelab.cli.main import main
from vaelab.training import loop
loop.CHECKPOINT_SECONDS = 0.02
at, seen = int(sys.argv[1]), 0
def counted(act):
    def wrapped(*words, **options):
        global seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return act(*words, **options)
    return wrapped
for name in ("replace", "fsync", "unlink", "open", "mkdir", "ftruncate"):
    setattr(os, name, counted(getattr(os, name)))
status = main(sys.argv[2:])
if not at:
    print("OPERATIONS", seen)
sys.exit(status)
"""
MODEL = ["--data", "digits", "--latent", "2", "--network", "mlp:hidden=8", "--nll-samples", "2", "--threads", "1"]
TRAIN = ["train", *MODEL, "--epochs", "3", "--compile", "never", "--name", "run", "--out"]
STUDY = """
title = "Two"
about = "Two short runs."
base = { data = "digits", latent = 2, network = "mlp:hidden=8", nll_samples = 2, epochs = 2 }
[[group]]
name = "one"
title = "One"
grid = { seed = [0, 1] }
"""


@dataclass(frozen=True)
class Scenario:
    """A command, and the folder in which it runs."""

    name: str
    words: list[str]
    before: list[list[str]]  # commands that prepare the folder
    exact: bool = True  # whether it ends in the same bits, and not only to rounding


def scenarios(toml: Path) -> list[Scenario]:
    study = ["study", str(toml), "--compile", "never", "--out", "."]
    evaluate = ["evaluate", "run", "--metrics", "latents:images=100", "representation:images=100", "--threads", "1"]
    return [
        Scenario("training", [*TRAIN, "."], []),
        Scenario("evaluation", evaluate, [[*TRAIN, "."]]),
        Scenario("report", ["report", str(toml), "--out", "."], [study]),
        Scenario("study, two processes", [*study, "--jobs", "2"], []),
        Scenario("study, one program", [*study, "--vmapped", "2"], [], exact=False),
    ]


@dataclass
class Reference:
    """The end of a scenario without kills."""

    scenario: Scenario
    prepared: Path
    outcome: dict[str, Any]
    operations: int
    seconds: float


def reference(scenario: Scenario, folder: Path) -> Reference:
    """Prepare a scenario below `folder`, and run it once."""
    prepared, whole = folder / "prepared", folder / "whole"
    prepared.mkdir(parents=True)
    for words in scenario.before:
        run(words, prepared, 0)
    shutil.copytree(prepared, whole)
    began = time.monotonic()
    done = run(scenario.words, whole, 0)
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    count = int(done.stdout.rsplit("OPERATIONS", 1)[1])
    return Reference(scenario, prepared, outcome(whole), count, seconds)


def environment(mark: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "VAELAB_ABUSE": mark, "OMP_NUM_THREADS": "1"}


def run(words: list[str], folder: Path, at: int) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder`, and kill it at its operation `at`."""
    command = [sys.executable, "-c", DRIVER, str(at), *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(str(folder)),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


def outcome(folder: Path) -> dict[str, Any]:
    """The results that must not depend on kills: weights, numbers, and reports of equal runs."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("result.json")):
        result = json.loads(path.read_text())
        key = str(path.parent.relative_to(folder))
        found[key] = {row["measure"] + row["name"]: row["value"] for row in result["metrics"]}
        found[key] |= {"steps": result["steps"], "best_step": result["best_step"]}
    return found


def equal(one: dict[str, Any], other: dict[str, Any], exact: bool) -> bool:
    if exact:
        return one == other
    return one.keys() == other.keys() and all(
        one[key].keys() == other[key].keys()
        and all(abs(one[key][name] - other[key][name]) <= 1e-2 * (1 + abs(other[key][name])) for name in one[key])
        for key in one
    )


def kill_once(known: Reference, folder: Path, dice: random.Random) -> str:
    """Kill the command once, at a file operation or a time, and rerun it; return what went wrong, or ""."""
    shutil.copytree(known.prepared, folder)
    if dice.random() < 0.5:
        first = run(known.scenario.words, folder, dice.randint(1, max(1, known.operations)))
        how, told = "at an operation", ""
        if first.returncode == 0:
            told = first.stderr
    else:
        number, delay = dice.choice(SIGNALS), dice.uniform(0, known.seconds)
        how, told = f"{number.name} after {delay:.1f} s", _killed_after(known, folder, number, delay)
    if "Traceback" in told and "KeyboardInterrupt" not in told:
        return f"traceback, {how}: {told.strip().splitlines()[-1]}"
    if left := orphans(str(folder)):
        return f"{len(left)} orphans, {how}"
    try:
        again = run(known.scenario.words, folder, 0)
    except subprocess.TimeoutExpired:
        return f"hang, given again after {how}"
    if again.returncode:
        return f"lost, {how}: {again.stderr.strip().splitlines()[-1:]}"
    if not equal(outcome(folder), known.outcome, known.scenario.exact):
        return f"lost, {how}: other numbers"
    return ""


def _killed_after(known: Reference, folder: Path, number: signal.Signals, delay: float) -> str:
    command = [sys.executable, "-c", DRIVER, "0", *known.scenario.words]
    with subprocess.Popen(
        command, cwd=folder, env=environment(str(folder)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(delay)
        process.send_signal(number)
        try:
            _, told = process.communicate(timeout=HANG_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"Traceback: hang after {number.name}"
    return told


def orphans(mark: str) -> list[int]:
    """The processes with this mark that still exist after five seconds."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while (left := list(_marked(mark))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _marked(mark: str) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"VAELAB_ABUSE={mark}".encode() in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
