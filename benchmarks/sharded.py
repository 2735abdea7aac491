"""Train on several processes: whether their number changes a weight, and what it costs.

    python -m benchmarks.sharded weights                            # 12 presets with 4 shards on 1, 2 and 4 processes
    python -m benchmarks.sharded weights --compile always --presets vae iwae
    python -m benchmarks.sharded speed --pairs 5                    # SVHN with convolutions, batch 200, 2 shards

`weights` prints the first digits of the SHA-256 of all weights after 200 steps on the digits. `speed` compares two
processes with one thread each with one process of two threads. The pairs run one after another; the ratio is the median
over the pairs, and its range. Both need no network but the loopback.
"""

import argparse
import hashlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import torch

import vaelab as vl
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.build import build_model, build_objective, load_splits
from vaelab.system.processor import at_full_speed
from vaelab.system.world import joined
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.compiled import choose_step
from vaelab.training.step.step import TrainState

PRESETS = (
    "vae", "iwae", "piwae", "dreg", "vamp-vae", "mixture-vae", "flow-prior-vae", "iaf-vae", "full-vae", "s-vae",
    "ladder-vae", "cvae",
)  # fmt: skip
SPEED = vl.Spec(
    data="svhn", network="conv:channels=32,64,128", latent=100, likelihood="gaussian:sigma=1", batch=200, shards=2
)
STEPS, WARM_UP = 200, 5


def trained(spec: vl.Spec, compile: str, steps: int, root: str | None = None) -> tuple[str, float]:
    """Take `steps` steps; return the digest of the weights, and the milliseconds of a step after the first ones."""
    blueprint = blueprint_of(spec)
    data = load_splits(blueprint, root)
    model = build_model(blueprint, data.train.shape, data.train.labels)
    setup = TrainingSetup.of(model, build_objective(blueprint, len(data.train)), data.train, spec)
    state = TrainState.start(model, spec, setup.objective)
    choice = "always" if compile == "always" else "never"
    step, _ = choose_step(setup.step(state), setup.work, choice, lambda line: None)
    began = time.perf_counter()
    with at_full_speed():
        for t in range(steps):
            if t == WARM_UP:
                began = time.perf_counter()
            setup.take(step, t)
    taken = time.perf_counter() - began
    digest = hashlib.sha256()
    for parameter in state.parameters:
        digest.update(parameter.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12], 1e3 * taken / (steps - WARM_UP)


def worker(what: str, names: Sequence[str], compile: str, root: str | None) -> None:
    """What each process does; the first one prints."""
    with joined() as world:
        if what == "speed":
            _, step_ms = trained(SPEED, compile, 40, root)
            found = [f"{step_ms:.3f}"]
        else:
            specs = [vl.preset(name).spec.model_copy(update={"shards": 4}) for name in names]
            found = [trained(spec, compile, STEPS)[0] for spec in specs]
        if world.leads:
            print(" ".join(found))


def run(size: int, threads: int, arguments: Sequence[str]) -> list[str]:
    """Start `size` workers with `threads` threads each; return the words that the first one prints."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sharded", "worker", *arguments],
            env={**os.environ, **common, "RANK": str(i), "LOCAL_RANK": str(i), "OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(size)
    ]
    said = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit("a worker failed")
    return said[0].split()


def weights(names: Sequence[str], compile: str) -> None:
    of_sizes = {size: run(size, 1, ["weights", *names, "--compile", compile]) for size in (1, 2, 4)}
    print(f"weights after {STEPS} steps, 4 shards, {compile} compiled, torch {torch.__version__}")
    print(f"{'preset':16}" + "".join(f"{size} process{'es' * (size > 1):8}" for size in of_sizes))
    for i, name in enumerate(names):
        found = [digests[i] for digests in of_sizes.values()]
        print(f"{name:16}" + "".join(f"{digest:16}" for digest in found) + ("" if len({*found}) == 1 else "DIFFERENT"))


def speed(pairs: int, compile: str, root: str | None) -> None:
    arguments = ["speed", "--compile", compile, *(["--root", root] if root else [])]
    ratios = list[float]()
    for _ in range(pairs):
        (one,), (two,) = run(1, 2, arguments), run(2, 1, arguments)
        ratios.append(float(one) / float(two))
        print(f"one process of 2 threads {one} ms, two processes {two} ms a step: {ratios[-1]:.2f}", flush=True)
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", help="weights or speed")
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--compile", choices=("always", "never"), default="never")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--root", default=None, help="the data directory")
    given = parser.parse_args()
    if given.what[0] == "worker":
        worker(given.what[1], given.what[2:], given.compile, given.root)
    elif given.what[0] == "weights":
        weights(given.presets, given.compile)
    else:
        speed(given.pairs, given.compile, given.root)


if __name__ == "__main__":
    main()
