"""Run the benchmark: `python -m benchmarks.bench [--quick] [--only a,c] [--peers vaelab,jax] [--pairs 3] [--out DIR]`.

Every measurement has its own process. A workload has a round for each of its pairs. A round measures all rows one after
another, every second round in reverse order, so that a slow phase of the machine affects all rows.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import markdown, table
from benchmarks.flops import nll_flops, step_flops
from benchmarks.found import require
from benchmarks.peer import STARTED
from benchmarks.summary import COLD
from benchmarks.workloads import MNIST, NLL_SAMPLES, SVHN, THREADS, Contestant, Workload, workloads

RESULTS = Path("benchmarks/results")
PAGE = Path("docs/performance.md")
PACKAGES = ("vaelab", "torch", "numpy", "jax", "jaxlib", "pythae")


@dataclass(frozen=True)
class Bench:
    """The settings for starting processes."""

    folder: Path  # for the arrays and the cache of compiled code
    quick: bool
    environment: dict[str, str]

    def start(self, command: list[str], timeout: float) -> dict[str, Any]:
        """Run a module of the benchmark; return its report, or {"failed": why}."""
        environment = {**self.environment, STARTED: repr(time.time())}
        command = [sys.executable, "-m", *command]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)
        except subprocess.TimeoutExpired:
            return {"failed": f"took more than {timeout:g} s"}
        if done.returncode:
            return {"failed": (done.stderr.strip().splitlines() or ["ended without a message"])[-1][:200]}
        try:
            return json.loads(done.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            return {"failed": "reported nothing"}

    def run(self, workload: Workload, contestant: Contestant, pair: int) -> dict[str, Any]:
        """Make one measurement; return it with the label, pair and workload."""
        task = ["--workload", workload.key, "--folder", str(self.folder), "--seed", str(max(0, pair))]
        task += ["--precision", contestant.precision or "float32", *(["--quick"] if self.quick else [])]
        prime = ["--prime"] if pair == COLD else []
        found = self.start([contestant.module, *task, *contestant.arguments, *prime], workload.timeout)
        return {"label": contestant.label, "pair": pair, "workload": workload.key, **found}


def rounds(workload: Workload) -> Iterator[tuple[int, Contestant]]:
    """Yield the measurements of a workload in order: first those that fill caches, then all rows, forward and back."""
    for contestant in workload.contestants:
        if contestant.primed:
            yield COLD, contestant
    for pair in range(workload.pairs):
        for contestant in workload.contestants[:: -1 if pair % 2 else 1]:
            yield pair, contestant


def environment() -> dict[str, Any]:
    """The machine, the versions, and the day."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": date.today().isoformat(),
        "device": cpu_model(),
        "processors": os.cpu_count(),
        "threads": THREADS,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def cpu_model() -> str:
    """The name of the processor, from the operating system."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor() or "unknown"


def described(workload: Workload) -> dict[str, Any]:
    """The description of a workload that the tables need."""
    training, flops = workload.training, None
    if training is not None:
        flops = nll_flops(training, NLL_SAMPLES) if workload.key == "e" else step_flops(training)
    return {
        "title": workload.title,
        "measure": workload.measure,
        "contestants": [contestant.label for contestant in workload.contestants],
        "references": workload.references,
        "pairs": workload.pairs,
        "flops": flops,
        "note": workload.note,
        "training": training and asdict(training),
    }


def measure(chosen: dict[str, Workload], quick: bool, out: Path, console: Console, root: str | None) -> dict[str, Any]:
    """Make all measurements, and write each to OUT/raw.json when it is done."""
    from benchmarks.arrays import write_full_svhn, write_training_arrays

    began = time.monotonic()
    raw: dict[str, Any] = {
        "quick": quick,
        "environment": environment(),
        "ceiling": [],
        "workloads": {key: described(workload) for key, workload in chosen.items()},
        "runs": [],
    }
    with tempfile.TemporaryDirectory(prefix="vaelab-bench-") as temporary:
        folder = Path(temporary)
        bench = Bench(folder, quick, pinned(folder, root))

        def ceiling() -> None:
            if "failed" not in (found := bench.start(["benchmarks.ceiling"], 60)):
                raw["ceiling"].append(found)

        ceiling()
        write_training_arrays(chosen, folder, root)
        if "e" in chosen:
            found = bench.start(["benchmarks.nll", "--workload", "e", "--folder", temporary, "prepare"], 120)
            console.print(f"the model of (e): {found.get('failed') or 'trained'}")
        if any("svhn" in row.arguments for workload in chosen.values() for row in workload.contestants):
            write_full_svhn(folder)
        for workload in chosen.values():
            failed: set[str] = set()
            for pair, contestant in rounds(workload):
                if contestant.label in failed:
                    continue
                found = bench.run(workload, contestant, pair)
                raw["runs"].append(found)
                if "failed" in found:
                    failed.add(contestant.label)
                value = found.get("failed") or " ".join(
                    f"{found[field]:.4g} {unit}" for field, unit in [workload.measure] if field in found
                )
                turn = "first" if pair == COLD else f"{pair + 1}/{workload.pairs}"
                seconds = time.monotonic() - began
                console.print(
                    f"{seconds:6.0f} s  ({workload.key}) {turn:>5}  {contestant.label}: {value}", markup=False
                )
                raw["seconds"] = seconds
                (out / "raw.json").write_text(json.dumps(raw, indent=1))
        ceiling()
    raw["seconds"] = time.monotonic() - began
    (out / "raw.json").write_text(json.dumps(raw, indent=1))
    return raw


def pinned(folder: Path, root: str | None) -> dict[str, str]:
    """The environment of every process: the same number of threads for all libraries, and a separate compile cache.

    On Linux the processors are pinned too, and every process inherits this: XLA starts a thread for each processor.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    pins = {name: str(THREADS) for name in names}
    caches = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled"), "XDG_CACHE_HOME": str(folder / "cache")}
    data = {"VAELAB_DATA": root} if root else {}
    return {**os.environ, **pins, **caches, **data, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}


def narrowed(chosen: dict[str, Workload], only: str, peers: str, pairs: int) -> dict[str, Workload]:
    """Select workloads, rows and the number of pairs."""
    keys = [key.strip() for key in only.split(",")] if only else list(chosen)
    if unknown := set(keys) - set(chosen):
        raise SystemExit(f"no workload {', '.join(sorted(unknown))}: there are {', '.join(chosen)}")
    names = [name.strip().lower() for name in peers.split(",")] if peers else []
    found = {}
    for key in keys:
        workload = chosen[key]
        kept = tuple(c for c in workload.contestants if not names or any(name in c.label.lower() for name in names))
        found[key] = replace(workload, contestants=kept, pairs=pairs or workload.pairs)
    return {key: workload for key, workload in found.items() if workload.contestants}


def needed(chosen: dict[str, Workload]) -> list[str]:
    """The data sets that the workloads read, of `FILES`."""
    shapes = [workload.training.shape for workload in chosen.values() if workload.training]
    loads = "f" in chosen  # (f) times the loading of MNIST, and generates its own SVHN
    return [name for name, shape in (("mnist", MNIST), ("svhn", SVHN)) if shape in shapes or (loads and shape == MNIST)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the speed of vaelab and its peers on the same work.")
    parser.add_argument("--quick", action="store_true", help="smaller workloads, two pairs: under five minutes")
    parser.add_argument("--only", default="", help="workloads by their letters, such as a,c")
    parser.add_argument("--peers", default="", help="rows by a part of their names, such as vaelab,jax")
    parser.add_argument("--pairs", type=int, default=0, help="number of pairs instead of each workload's own")
    parser.add_argument("--out", type=Path, help=f"folder for raw.json and performance.md; {RESULTS} by default")
    parser.add_argument("--data-root", help="data directory for MNIST and SVHN, before $VAELAB_DATA and the cache")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE} again from this run")
    parser.add_argument("--render", type=Path, metavar="JSON", help="show the results in this file; measure nothing")
    asked = parser.parse_args()
    console = Console(width=100) if not sys.stdout.isatty() else Console()
    out = asked.out or RESULTS / ("quick" if asked.quick else "full")
    if asked.render:
        raw = json.loads(asked.render.read_text())
    else:
        chosen = narrowed(workloads(asked.quick), asked.only, asked.peers, asked.pairs)
        require(needed(chosen), asked.data_root)
        out.mkdir(parents=True, exist_ok=True)
        raw = measure(chosen, asked.quick, out, console, asked.data_root)
    table.show(raw, console)
    pages = [PAGE] if asked.render or asked.page else []
    for page in [*pages, *([] if asked.render else [out / PAGE.name])]:
        markdown.renew(page, raw)
        console.print(f"written: {page}")


if __name__ == "__main__":
    main()
