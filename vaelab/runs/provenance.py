"""The provenance of a run's numbers: the environment, the source of the data, and the objective."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import torch

from vaelab.data.dataset import Dataset, Splits
from vaelab.data.places import seen_from, taken_from
from vaelab.data.protocol import protocol
from vaelab.models import VAE, rows
from vaelab.objectives.effective_beta import optimised
from vaelab.objectives.losses import on_device
from vaelab.randomness.seeds import derive
from vaelab.runs.blueprint import Blueprint
from vaelab.runs.build import build_objective
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import EVALUATION_SEED
from vaelab.runs.result_file import Environment, Provenance, SourcePaths
from vaelab.runs.spec import Spec
from vaelab.training.checkpoint import Origin

BOUNDS = {  # in words, for each `bound` of Optimised
    "ELBO": "the ELBO",
    "importance-weighted": "the importance-weighted bound",
    "below the ELBO": "a bound below the ELBO",
    "": "no bound",
}
PROBED = 16  # number of training images with which the objective is evaluated to find out what it optimises


def environment(device: torch.device) -> Environment:
    """Describe the software and the hardware that computed the numbers."""
    return {
        "vaelab": version("vaelab"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    """The name of the processor, and the number of cores."""
    names = platform.processor() or "cpu"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor without a name
        pass
    return f"{names}, {os.cpu_count()} cores"


def source_of(run: Run, spec: Spec) -> SourcePaths:
    """The source of the data with absolute paths, and relative to the run's directory; empty if it has no paths."""
    absolute = taken_from(spec.data, Path.cwd())
    return {"absolute": absolute, "from_run": seen_from(absolute, run.path.absolute())} if ":" in spec.data else {}


def fingerprint(spec: Spec, data: Splits) -> str:
    """Identify the Spec and the data that a checkpoint belongs to."""
    return f"{spec.hash} {data.train.sha256}"


def provenance(
    blueprint: Blueprint, model: VAE, train: Dataset, steps: int, origin: Origin | None = None
) -> Provenance:
    """Describe what the model was trained for; what the objective optimises is found by evaluating it."""
    spec = blueprint.spec
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(spec.seed, "evaluation"))
        x = protocol(train.protocol).pixels(torch.from_numpy(train.images[:PROBED]))
        device = next(model.parameters()).device
        objective = on_device(build_objective(blueprint, len(train)), device)
        told = model.given(rows(train.labels, slice(PROBED)))
        found = optimised(objective, told, x.to(device), steps - 1)
    note = blueprint.likelihood_note(train.protocol)
    described: Provenance = {
        "objective": spec.objective,
        "distortion_weight": found.distortion_weight,
        "rate_weight": found.rate_weight,
        "bound": found.bound,
        "given": spec.condition,
        "effective_beta": found.effective_beta,
        "is_bound": bool(found.bound) and not note,
        "likelihood": spec.likelihood,
        "note": note,
        "protocol": train.protocol,
        "seeds": {"training": spec.seed, "split": spec.split_seed, "evaluation": EVALUATION_SEED},
    }
    if origin is not None:
        described["resumed_from"] = {"run": origin.run, "spec": origin.spec, "step": origin.step}
    return described


def bound_in_words(provenance: Provenance) -> str:
    """Describe in words which bound the objective is, with its note."""
    of = ", given the labels" if provenance.get("given") == "labels" else ""
    return BOUNDS[provenance["bound"]] + of + (f", but {provenance['note']}" if provenance["note"] else "")


def beta_in_words(provenance: Provenance) -> str:
    """Write the effective beta; "infinite" if the distortion has no weight."""
    beta = provenance["effective_beta"]
    return "infinite" if beta is None else f"{beta:.4g}"
