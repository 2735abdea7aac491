"""Measure the limits of the machine: the speed of large matrix products and the bandwidth of the memory."""

import json
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.workloads import THREADS

SIZES = (2048, 4096)
REPEATS = 3
TRIAD = 64 * 2**20 // 4  # floats in each of three arrays of 64 MiB, far more than the caches hold


def fastest(work: Callable[[], object]) -> float:
    """The seconds of the fastest of a few calls, after one call that is not timed."""
    work()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        _wait()
        times.append(time.perf_counter() - began)
    return min(times)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def products(device: str) -> dict[str, dict[str, float]]:
    """precision -> library -> GFLOP/s, the best over SIZES; a product of n x n counts 2 n^3."""
    found: dict[str, dict[str, float]] = {"float32": {}, "bfloat16": {}}
    for n in SIZES:
        a, b = (torch.randn(n, n, device=device) for _ in range(2))
        a16, b16 = a.bfloat16(), b.bfloat16()
        out, out16 = torch.empty_like(a), torch.empty_like(a16)
        goes: list[tuple[str, str, Callable[[], object]]] = [
            ("float32", "torch.mm", lambda a=a, b=b, out=out: torch.mm(a, b, out=out)),
            ("bfloat16", "torch.mm", lambda a=a16, b=b16, out=out16: torch.mm(a, b, out=out)),
        ]
        if device == "cpu":
            x, y, z = a.numpy(), b.numpy(), out.numpy()
            goes.append(("float32", "numpy", lambda x=x, y=y, z=z: np.matmul(x, y, out=z)))
            goes.append(("float32", "oneDNN linear", lambda a=a, b=b: _onednn(a, b)))
        for precision, name, go in goes:
            try:
                speed = 2e-9 * n**3 / fastest(go)
            except (AttributeError, RuntimeError, NotImplementedError):  # a build without oneDNN
                continue
            found[precision][name] = max(speed, found[precision].get(name, 0.0))
    return found


def _onednn(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")


def bandwidth(device: str) -> dict[str, float]:
    """GB/s: a copy moves two arrays; a triad, a + 3 b -> c, moves three."""
    a, b, c = (torch.ones(TRIAD, device=device) for _ in range(3))
    size = 4e-9 * TRIAD
    return {
        "copy": 2 * size / fastest(lambda: c.copy_(a)),
        "triad": 3 * size / fastest(lambda: torch.add(a, b, alpha=3, out=c)),
    }


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    with torch.no_grad():
        print(json.dumps({"gflops": products("cpu"), "gigabytes_a_second": bandwidth("cpu")}))
