"""Draw where the time of a step goes, for each workload: `python -m benchmarks.profile [--only a,c] [--out DIR]`.

torch.profiler times every operator and every compiled kernel on the thread that calls it. The rest of the elapsed time
is Python, the wrapper around the compiled code, allocation, and the profiler itself.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch._inductor.config as inductor
from matplotlib.figure import Figure
from torch.profiler import ProfilerActivity, profile

from benchmarks import vaelab_peer
from benchmarks.arrays import write_training_arrays
from benchmarks.bench import environment, needed
from benchmarks.flops import nll_flops, step_flops
from benchmarks.found import require
from benchmarks.peer import Task
from benchmarks.workloads import NLL_SAMPLES, THREADS, Workload, workloads
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.figures.style import DPI, PALETTE, SMALL, label_axes, plot_figure
from vaelab.runs.build import load_splits

PRODUCTS = "matrix products and convolutions"
ELEMENTWISE = "elementwise kernels"
NOISE = "noise"
OPTIMISER = "optimiser"
COPIES = "gather and copies"
OVERHEAD = "Python and overhead"
GROUPS = (PRODUCTS, ELEMENTWISE, NOISE, OPTIMISER, COPIES, OVERHEAD)

# The first pattern that matches a name decides. The name of a fused kernel lists its operations. A kernel with a part
# of the model is counted as such, even if the compiler fused a part of Adam into it.
PATTERNS: tuple[tuple[str, str], ...] = (
    (r"^(aten::|mkl::|mkldnn::|aoti_torch_).*(mm|linear|convolution|matmul)|gemm", PRODUCTS),
    (r"rand|normal_|uniform|bernoulli|philox|bitwise|exponential", NOISE),
    (r"cross_entropy|sigmoid|softmax|logsumexp|tanh|relu|softplus|threshold|convolution", ELEMENTWISE),
    (r"_foreach_|adam|lerp", OPTIMISER),
    (
        r"index|gather|vaelab::materialised|aten::(copy_|clone|cat|stack|contiguous)"
        r"|cpp_fused_(_to_copy|clone|copy|materialised|view|_)*\d*$",
        COPIES,
    ),
    (r"cpp_fused|triton", ELEMENTWISE),
    (
        r"^aten::(empty|as_strided|view|reshape|expand|slice|resize|to|detach|select|resolve|lift|unsqueeze|t$)",
        OVERHEAD,
    ),
    (r"^aten::", ELEMENTWISE),
)
STEPS, BLOCKS = 10, 3  # profiled
NLL_IMAGES, NLL_DRAWS = 100, 500


def group_of(name: str) -> str:
    """The group of an operator or a compiled kernel, by its name; OVERHEAD for anything else."""
    return next((group for pattern, group in PATTERNS if re.search(pattern, name)), OVERHEAD)


@dataclass(frozen=True)
class Profile:
    """Milliseconds of one unit of work by group; their sum is the elapsed time."""

    unit: str  # "a step", "an image"
    milliseconds: dict[str, float]
    flops: int  # FLOPs of the products in one unit

    @property
    def wall(self) -> float:
        return sum(self.milliseconds.values())


def grouped(profiled: profile, seconds: float, units: float, unit: str, flops: int) -> Profile:
    """Divide a profile of `seconds` of elapsed time and of `units` of work into groups, for one unit."""
    found: dict[str, float] = dict.fromkeys(GROUPS, 0.0)
    for event in profiled.key_averages():
        found[group_of(event.key)] += event.self_cpu_time_total / 1e3 / units
    found[OVERHEAD] = 0.0
    found[OVERHEAD] = max(0.0, 1e3 * seconds / units - sum(found.values()))
    return Profile(unit, found, flops)


def of_training(task: Task) -> Profile:
    """Profile the steady compiled step of a workload; take the fastest of a few blocks (the machine may be shared)."""
    inductor.cpp.enable_kernel_profile = True  # names for the compiled kernels
    ready = vaelab_peer.prepare(task)
    found, taken = [], STEPS
    with ready.training():
        step = ready.step(compiled=True)
        vaelab_peer.seconds_a_step(ready, step, 0, STEPS)
        for _ in range(BLOCKS):
            with profile(activities=[ProfilerActivity.CPU]) as profiled:
                seconds = STEPS * vaelab_peer.seconds_a_step(ready, step, taken, STEPS)
            taken += STEPS
            found.append(grouped(profiled, seconds, STEPS, "a step", step_flops(task.training)))
    return min(found, key=lambda one: one.wall)


def of_evaluation(task: Task) -> Profile:
    """Profile `estimate_bounds` with fewer draws than (e), scaled to its number: each draw costs the same."""
    ready = vaelab_peer.prepare(task)
    data = load_splits(ready.blueprint).test.take(np.arange(NLL_IMAGES))
    estimate_bounds(ready.model, data, 10, 0)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        began = time.perf_counter()
        estimate_bounds(ready.model, data, NLL_DRAWS, 0)
        seconds = time.perf_counter() - began
    units = NLL_IMAGES * NLL_DRAWS / NLL_SAMPLES
    return grouped(profiled, seconds, units, "an image", nll_flops(task.training, NLL_SAMPLES))


def picture(workload: Workload, found: Profile, footer: str) -> Figure:
    """Draw a bar for each group."""
    title = f"({workload.key}) {workload.title}: {found.wall:.3g} ms {found.unit}"
    figure, (axes,) = plot_figure(title, 1, (7.5, 3.2))
    rows = range(len(GROUPS))
    times = [found.milliseconds[group] for group in GROUPS]
    axes.barh(rows, times, color=[PALETTE[i] for i in rows], height=0.7)
    axes.set_yticks(rows, GROUPS)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.55 * max(times))
    axes.grid(axis="y", visible=False)
    for row, milliseconds in zip(rows, times, strict=True):
        said = f" {milliseconds:.3g} ms, {100 * milliseconds / found.wall:.0f} %"
        if GROUPS[row] == PRODUCTS and milliseconds:
            said += f"; {found.flops / milliseconds / 1e6:.0f} GFLOP/s"
        axes.text(milliseconds, row, said, va="center", fontsize=SMALL)
    label_axes(axes, f"time of {found.unit}, ms", "")
    figure.supxlabel(footer, fontsize=6, color="#555555")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw where the time of a vaelab step goes.")
    parser.add_argument("--only", default="a,b,c,d,e", help="workloads by their letters")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--data-root", help="data directory for MNIST and SVHN, before $VAELAB_DATA and the cache")
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    chosen = {key: w for key, w in workloads(quick=False).items() if key in asked.only.split(",") and w.training}
    require(needed(chosen), asked.data_root)
    asked.out.mkdir(parents=True, exist_ok=True)
    at = environment()
    machine = f"{at['device']}, {THREADS} threads; torch {at['versions']['torch']}, Python {at['python']}; {at['date']}"
    footer = f"{machine}; vaelab in {asked.precision}; products' FLOPs counted from the architecture"
    with tempfile.TemporaryDirectory() as temporary:
        write_training_arrays(chosen, Path(temporary), asked.data_root)
        os.environ["XDG_CACHE_HOME"] = temporary  # the user's cache has programs with kernels without names
        for key, workload in chosen.items():
            task = Task(workload, asked.precision, 0, Path(temporary), ())
            found = of_evaluation(task) if key == "e" else of_training(task)
            path = asked.out / f"performance-{key}.png"
            picture(workload, found, footer).savefig(path, dpi=DPI * 0.8)
            shares = ", ".join(f"{group} {ms:.3g} ms" for group, ms in found.milliseconds.items())
            print(f"{path}: {found.wall:.3g} ms {found.unit}: {shares}", file=sys.stderr)


if __name__ == "__main__":
    main()
