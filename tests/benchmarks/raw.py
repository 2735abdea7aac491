"""A run of the benchmark, made up: numbers that are easy to follow."""

from typing import Any

ENVIRONMENT = {
    "date": "2026-11-22",
    "device": "a processor",
    "processors": 2,
    "threads": 2,
    "memory_gb": 24.0,
    "system": "Linux x86_64",
    "python": "3.11.7",
    "versions": {"torch": "2.13.0", "jax": "not installed"},
}
CEILING = {"gflops": {"float32": {"torch.mm": 150.0, "numpy": 200.0}, "bfloat16": {"torch.mm": 400.0}}}
MEMORY = {"gigabytes_a_second": {"copy": 25.0, "triad": 30.0}}


def training_run(label: str, pair: int, step_ms: float, loss: float, **more: Any) -> dict[str, Any]:
    precision = label.rsplit(" ", 1)[1]
    return {
        "label": label,
        "pair": pair,
        "workload": "a",
        "precision": precision,
        "step_ms": step_ms,
        "whole_process_seconds": 2 + step_ms,
        "seconds_to_first_step": 1.5,
        "peak_memory_mb": 400.0,
        "final_loss": loss,
        "loss_se": 0.5,
        **more,
    }


def made_up() -> dict[str, Any]:
    """Three rows of (a) in three pairs, one of them failing; nothing of (f)."""
    ours, other, broken = "vaelab float32", "pythae float32", "JAX float32"
    compiled = {"compile_seconds": 4.0, "eager_step_ms": 9.0}
    cold = {"compile_seconds": 20.0, "whole_process_seconds": 25.0, "peak_memory_mb": 900.0}
    runs = [{"label": ours, "pair": -1, "workload": "a", "precision": "float32", **cold}]
    for pair, (slow, fast) in enumerate([(10.0, 5.0), (30.0, 10.0), (8.0, 5.0)]):
        runs.append(training_run(ours, pair, fast, 100.0 + 0.1 * pair, **compiled))
        runs.append(training_run(other, pair, slow, 100.1 - 0.1 * pair))
    runs.append({"label": broken, "pair": 0, "workload": "a", "failed": "No module named 'jax'"})
    a = {
        "title": "a small network",
        "measure": ["step_ms", "ms a step"],
        "contestants": [ours, other, broken],
        "references": [ours],
        "pairs": 3,
        "flops": 500_000_000,
        "note": "",
    }
    f = {
        "title": "starting",
        "measure": ["seconds", "s"],
        "contestants": ["load"],
        "references": [],
        "pairs": 3,
        "flops": None,
        "note": "",
    }
    return {
        "quick": False,
        "environment": ENVIRONMENT,
        "ceiling": [{**CEILING, **MEMORY}],
        "workloads": {"a": a, "f": f},
        "runs": runs,
        "seconds": 90.0,
    }
