"""Compute the rows of the tables from the raw runs, the JSON that `benchmarks.bench` writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.ratios import Agreement, Spread, agreements, break_even, ratios, spread

COLD = -1  # the number of the run before the first pair, with an empty cache of compiled code


@dataclass(frozen=True)
class Row:
    """One row of a workload's table; None for what was not measured."""

    label: str
    measured: Spread | None
    ratios: dict[str, Spread | None]  # by reference
    whole: Spread | None  # seconds from the start of the process to the trained model
    whole_ratios: dict[str, Spread | None]
    first_step: Spread | None  # seconds from the start of the process
    memory_mb: float | None
    ceiling: float | None  # share of the machine's best matrix product of this precision
    loss: float | None
    agreement: Agreement | None
    compile_cold: float | None  # seconds
    compile_warm: float | None
    eager_ms: float | None
    reason: str  # why some or all measurements are missing

    @property
    def break_even_cold(self) -> float | None:
        return self._break_even(self.compile_cold)

    @property
    def break_even_warm(self) -> float | None:
        return self._break_even(self.compile_warm)

    def _break_even(self, seconds: float | None) -> float | None:
        if seconds is None or self.eager_ms is None or self.measured is None:
            return None
        return break_even(seconds, self.eager_ms, self.measured.median)


def ceilings(raw: Mapping[str, Any]) -> dict[str, float]:
    """precision -> GFLOP/s of the best product in this run."""
    found: dict[str, float] = {}
    for go in raw.get("ceiling", []):
        for precision, by_name in go["gflops"].items():
            found[precision] = max([found.get(precision, 0.0), *by_name.values()])
    return found


def rows(raw: Mapping[str, Any], key: str) -> list[Row]:
    """The rows of workload `key`, in the order of its contestants."""
    workload = raw["workloads"][key]
    here = [run for run in raw["runs"] if run["workload"] == key]
    runs = {label: [run for run in here if run["label"] == label] for label in workload["contestants"]}
    field = workload["measure"][0]
    measured = {label: _by_pair(found, field) for label, found in runs.items()}
    whole = {label: _by_pair(found, "whole_process_seconds") for label, found in runs.items()}
    losses = {label: list(_by_pair(found, "final_loss").values()) for label, found in runs.items()}
    errors = {label: list(_by_pair(found, "loss_se").values()) for label, found in runs.items()}
    references = workload["references"]
    agreed = agreements(losses, errors, references[0]) if references else {}
    best = ceilings(raw)
    made = []
    for label, found in runs.items():
        middle = spread(list(measured[label].values()))
        precision = found[0].get("precision", "") if found else ""
        speed = workload["flops"] / middle.median * 1e-6 if middle and workload["flops"] else None  # GFLOP/s
        compiling = _by_pair(found, "compile_seconds")
        cold = [run["compile_seconds"] for run in found if run["pair"] == COLD and "compile_seconds" in run]
        cached = bool(cold)
        made.append(
            Row(
                label=label,
                measured=middle,
                ratios={r: ratios(measured[label], measured.get(r, {})) for r in references if r != label},
                whole=spread(list(whole[label].values())),
                whole_ratios={r: ratios(whole[label], whole.get(r, {})) for r in references if r != label},
                first_step=spread(list(_by_pair(found, "seconds_to_first_step").values())),
                memory_mb=_median(list(_by_pair(found, "peak_memory_mb").values())),
                ceiling=speed / best[precision] if speed and best.get(precision) else None,
                loss=fmean(losses[label]) if losses[label] else None,
                agreement=agreed.get(label),
                compile_cold=cold[0] if cached else _median(list(compiling.values())),
                compile_warm=_median(list(compiling.values())) if cached else None,
                eager_ms=_median(list(_by_pair(found, "eager_step_ms").values())),
                reason=next((run["failed"] for run in found if "failed" in run), "" if found else "not measured"),
            )
        )
    return made


def _by_pair(runs: list[dict[str, Any]], field: str) -> dict[int, Any]:
    return {run["pair"]: run[field] for run in runs if run["pair"] != COLD and run.get(field) is not None}


def _median(values: list[float]) -> float | None:
    found = spread(values)
    return found.median if found else None
