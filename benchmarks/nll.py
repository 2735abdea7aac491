"""(e): estimate the importance-weighted NLL of test images for one model, with vaelab and with pythae.

pythae's `get_nll` takes one image at a time and makes its draws in batches. With n_samples = 5,000 and a batch that
divides it, there are 5,000 draws (with fewer samples than a batch, there would be a whole batch). It returns the mean
log p(x). It is called in evaluation mode and without gradients, because it does not set these itself.
"""

import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.peer import Task, read_task, report
from benchmarks.workloads import NLL_SAMPLES, THREADS

TRAINED_STEPS = 1_000
PYTHAE_BATCH = 100  # draws at a time, pythae's default; 500 and 2,500 are slower here


def prepare(task: Task) -> None:
    """Train the model of (a) for TRAINED_STEPS, and save its weights in the order of its layers."""
    from benchmarks import vaelab_peer

    ready = vaelab_peer.prepare(task)
    step = ready.step(compiled=False)
    vaelab_peer.seconds_a_step(ready, step, 0, TRAINED_STEPS)
    weights = {f"{i:02}": p.detach() for i, p in enumerate(ready.model.parameters())}
    save_file(weights, weights_of(task))
    report(task)


def weights_of(task: Task) -> Path:
    return task.folder / "e.safetensors"


@torch.no_grad()
def put_weights(task: Task, *modules: torch.nn.Module) -> None:
    """Copy the trained weights into modules with the same order of layers."""
    tensors = load_file(weights_of(task))
    parameters = [parameter for module in modules for parameter in module.parameters()]
    for parameter, name in zip(parameters, sorted(tensors), strict=True):
        parameter.copy_(tensors[name])


def by_vaelab(task: Task) -> None:
    """Time vaelab's estimate for the first images."""
    from benchmarks.vaelab_peer import prepare
    from vaelab.evaluation.likelihood.likelihood import estimate_bounds
    from vaelab.runs.build import load_splits
    from vaelab.system.processor import at_full_speed

    ready = prepare(task)
    put_weights(task, ready.model)
    count, common = task.workload.sizes["vaelab"], task.workload.sizes["pythae"]
    data = load_splits(ready.blueprint).test.take(np.arange(count))
    precision = "bfloat16" if task.precision == "bfloat16" else "float32"
    with at_full_speed():
        estimate_bounds(
            ready.model, data.take(np.arange(common)), 10, task.seed, precision=precision
        )  # a first call, as for pythae
        began = time.perf_counter()
        found = estimate_bounds(ready.model, data, NLL_SAMPLES, task.seed, precision=precision)
        seconds = time.perf_counter() - began
    error = found.nll_variance[:common].sum().sqrt().item() / common
    report(
        task, image_ms=1e3 * seconds / count, images=count, final_loss=found.nll[:common].mean().item(), loss_se=error
    )


@torch.no_grad()
def by_pythae(task: Task) -> None:
    """Time pythae's `get_nll` for a few of the images."""
    from benchmarks.pythae_peer import build

    count = task.workload.sizes["pythae"]
    images = torch.from_numpy(np.load(task.array.with_suffix(".npz"))["test_images"][:count]).float() / 255
    model = build(task.training).eval()
    put_weights(task, model.encoder, model.decoder)
    torch.manual_seed(task.seed)
    model.get_nll(images[:1], n_samples=PYTHAE_BATCH, batch_size=PYTHAE_BATCH)
    began = time.perf_counter()
    log_p = model.get_nll(images, n_samples=NLL_SAMPLES, batch_size=PYTHAE_BATCH)
    seconds = time.perf_counter() - began
    report(task, image_ms=1e3 * seconds / count, images=count, final_loss=-float(log_p), loss_se=None)


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    chosen = read_task()
    {"prepare": prepare, "vaelab": by_vaelab, "pythae": by_pythae}[chosen.rest[0]](chosen)
