"""Checkpoints: everything that the next step depends on, in one safetensors file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, with_config
from torch import Tensor, nn

from vaelab.system.errors import RunError, in_print
from vaelab.system.json_types import Count, Error, Finite
from vaelab.system.tensor_file import read_tensors, write_tensors
from vaelab.system.world import Reduce
from vaelab.training.step.step import TrainState


@with_config({"extra": "forbid"})
@dataclass(frozen=True)
class Origin:
    """The finished run whose last state a training goes on from."""

    run: str  # the name of its directory
    spec: str  # the hash of its Spec
    step: Count  # the number of its steps


@with_config({"extra": "forbid"})
@dataclass(frozen=True)
class Progress:
    """The progress of a training run, apart from its tensors. Frozen: each step makes a new record."""

    step: Count = 0
    seconds: Error = 0.0  # of training; in a vmapped program, this run's part
    vmapped: Count = 1  # the largest number of runs in its vmapped program, including this one
    best_step: Count = 0
    best_loss: Finite | None = None  # the criterion of the best weights, in nats; None: none selected so far
    compiled: bool | None = None  # whether the step is compiled: a resumed run keeps its rounding
    workers: Count = 1  # the largest number of workers that took part
    reduce: Reduce | None = None  # how the shards were added; None: the batch was not cut into shards
    log_bytes: Count = 0  # length of log.jsonl; lines after it belong to steps that will be taken again
    origin: Origin | None = None  # None: the training began with new weights


PROGRESS = TypeAdapter(Progress)


def write_checkpoint(
    path: Path, model: nn.Module, state: TrainState, best: dict[str, Tensor], progress: Progress, fingerprint: str
) -> None:
    """Write a checkpoint atomically. `fingerprint` identifies the run that it belongs to."""
    header = {"progress": json.dumps(asdict(progress)), "fingerprint": fingerprint}
    write_tensors(path, live_tensors(model, state, best), header)


def read_checkpoint(
    path: Path, model: nn.Module, state: TrainState, fingerprint: str
) -> tuple[Progress, dict[str, Tensor]]:
    """Copy `path` into `model` and `state` in place; return the progress and the best weights so far.

    Raises:
        RunError: the file is truncated, damaged, from another version of vaelab, or belongs to another run.
    """
    tensors, header = read_tensors(path)
    if header.get("fingerprint") != fingerprint:
        raise RunError(
            found=f"{path} was written by another Spec",
            expected="the checkpoint of this run",
            do="use another directory, or delete the file",
        )
    progress = _progress(path, header)
    best = {name.removeprefix("best/"): tensor for name, tensor in tensors.items() if name.startswith("best/")}
    live = live_tensors(model, state, model.state_dict() if best else {})
    if other := [
        name for name in sorted(live.keys() | tensors.keys()) if not _alike(live.get(name), tensors.get(name))
    ]:
        raise RunError(
            found=f"{path} does not fit the Spec ({in_print(other[0])})",
            expected="the tensors of this model",
            do="delete it and rerun the command: training starts from the beginning",
        )
    with torch.no_grad():
        for name, tensor in live_tensors(model, state, {}).items():
            tensor.copy_(tensors[name])
    return progress, best


def _alike(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and (one.shape, one.dtype) == (other.shape, other.dtype)


def step_of(path: Path) -> int:
    """Return the step of the checkpoint at `path`, 0 if there is none; raise RunError if it cannot be read."""
    if not path.exists():
        return 0
    _, header = read_tensors(path)
    return _progress(path, header).step


def _progress(path: Path, header: dict[str, Any]) -> Progress:
    """Return the progress in a header; raise RunError if another version of vaelab wrote it."""
    try:
        return PROGRESS.validate_json(header["progress"], strict=True)
    except (KeyError, ValueError) as error:  # pydantic's errors are ValueErrors
        raise RunError(
            found=f"{path} was written by another version of vaelab",
            expected="a checkpoint of this version",
            do="delete it and rerun the command: training starts from the beginning",
        ) from error


def live_tensors(model: nn.Module, state: TrainState, best: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return name -> tensor of everything in a checkpoint: the live tensors, so that values can be copied into them."""
    meters = state.meters
    return {
        **{f"model/{name}": tensor for name, tensor in model.state_dict().items()},
        **{f"objective/{name}": tensor.detach() for name, tensor in state.objective.items()},
        **{f"adam/mean/{i}": tensor for i, tensor in enumerate(state.mean)},
        **{f"adam/square/{i}": tensor for i, tensor in enumerate(state.square)},
        **{f"average/{i}": tensor for i, tensor in enumerate(state.average)},
        **{f"best/{name}": tensor for name, tensor in best.items()},
        "meters/moments": meters.moments,
        "meters/bad_step": meters.bad_step,
    }
