"""`python -m tests.abuse`: run thousands of attacks and count them in a table. Exits with 1 if an attack succeeded."""

import argparse
import multiprocessing
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from tests.abuse import commands, kills

JOBS = 2  # attacks at a time


def main() -> int:
    """Run the attacks and print the table; return 1 if an attack succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, count in (("kills", 1000), ("files", 20_000), ("commands", 1000)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        print(f"{_machine()}\n\n| attack | attempts | held | minutes |\n|---|---:|---:|---:|", flush=True)
        for name, count, attack in attacks(asked, folder):
            if not count:
                continue
            began, failures = time.monotonic(), attack(count)
            minutes = (time.monotonic() - began) / 60
            print(f"| {name} | {count:,} | {count - len(failures):,} | {minutes:.1f} |", flush=True)
            wrong += failures
    for what, count in Counter(wrong).most_common():
        print(f"{count} x {what}")
    return 1 if wrong else 0


def attacks(asked: argparse.Namespace, folder: Path) -> list[tuple[str, int, Callable[[int], list[str]]]]:
    """Return each attack: its name, the number of attempts, and the function that makes them."""
    toml = folder / "two.toml"
    toml.write_text(kills.STUDY)
    scenarios = kills.scenarios(toml)
    share = asked.kills // len(scenarios)

    def kill(scenario: kills.Scenario) -> Callable[[int], list[str]]:
        def attack(count: int) -> list[str]:
            home = folder / scenario.name.replace(" ", "-").replace(",", "")
            known = kills.reference(scenario, home)

            def once(number: int) -> str:
                place, dice = home / str(number), random.Random(f"{asked.seed} {scenario.name} {number}")
                found = kills.kill_once(known, place, dice)
                shutil.rmtree(place, ignore_errors=True)
                return f"{scenario.name}: {found}" if found else ""

            with ThreadPoolExecutor(JOBS) as pool:
                return [found for found in pool.map(once, range(count)) if found]

        return attack

    def in_process(name: str) -> Callable[[int], list[str]]:
        def attack(count: int) -> list[str]:
            shares = [(name, folder / f"{name}-{job}", asked.seed, range(job, count, JOBS)) for job in range(JOBS)]
            with ProcessPoolExecutor(JOBS, mp_context=multiprocessing.get_context("spawn")) as pool:
                return [wrong for found in pool.map(commands.shoot, *zip(*shares, strict=True)) for wrong in found]

        return attack

    return [
        *((f"kills: {scenario.name}", share, kill(scenario)) for scenario in scenarios),
        ("damaged files", asked.files, in_process("files")),
        ("command lines", asked.commands, in_process("commands")),
    ]


def _machine() -> str:
    versions = f"Python {platform.python_version()}, torch {version('torch')}"
    return f"{versions}, {platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"


if __name__ == "__main__":
    sys.exit(main())
