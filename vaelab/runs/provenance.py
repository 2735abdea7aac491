"""What a run's numbers were made with: the environment, the data's source, and what was optimised."""

import os
import platform
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
from vaelab.runs.spec import Spec

BOUNDS = {  # of Optimised, in words
    "ELBO": "the ELBO",
    "importance-weighted": "the importance-weighted bound",
    "below the ELBO": "a bound below the ELBO",
    "": "no bound",
}
PROBED = 16  # training images by which an objective is asked what it optimises


def environment(device: torch.device) -> dict[str, Any]:
    """What the numbers were made with."""
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
    """The processor's name, and how many there are."""
    names = platform.processor() or "cpu"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor that does not say
        pass
    return f"{names}, {os.cpu_count()} cores"


def source_of(run: Run, spec: Spec) -> dict[str, str]:
    """The data's source by its absolute paths, and as seen from the run's directory; nothing where it has no paths."""
    absolute = taken_from(spec.data, Path.cwd())
    return {"absolute": absolute, "from_run": seen_from(absolute, run.path.absolute())} if ":" in spec.data else {}


def fingerprint(spec: Spec, data: Splits) -> str:
    """What a checkpoint belongs to."""
    return f"{spec.hash} {data.train.sha256}"


def provenance(blueprint: Blueprint, model: VAE, train: Dataset, steps: int) -> dict[str, Any]:
    """What the model was trained to do, as its numbers are to be read by: the objective, found out by asking it."""
    spec = blueprint.spec
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(spec.seed, "evaluation"))
        x = protocol(train.protocol).pixels(torch.from_numpy(train.images[:PROBED]))
        device = next(model.parameters()).device
        objective = on_device(build_objective(blueprint, len(train)), device)
        told = model.given(rows(train.labels, slice(PROBED)))
        found = optimised(objective, told, x.to(device), steps - 1)
    note = blueprint.likelihood_note(train.protocol)
    return {
        "objective": spec.objective,
        **asdict(found),
        "given": spec.condition,
        "effective_beta": found.effective_beta,
        "is_bound": bool(found.bound) and not note,
        "likelihood": spec.likelihood,
        "note": note,
        "protocol": train.protocol,
        "seeds": {"training": spec.seed, "split": spec.split_seed, "evaluation": EVALUATION_SEED},
    }


def bound_in_words(provenance: dict[str, Any]) -> str:
    """Which bound the objective of a ledger is, and what must be said of it."""
    of = ", given the labels" if provenance.get("given") == "labels" else ""
    return BOUNDS[provenance["bound"]] + of + (f", but {provenance['note']}" if provenance["note"] else "")


def beta_in_words(provenance: dict[str, Any]) -> str:
    """The effective beta of a ledger; a word where the distortion counts for nothing."""
    beta = provenance["effective_beta"]
    return "infinite" if beta is None else f"{beta:.4g}"
