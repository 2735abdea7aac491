"""Vmapped runs: a group of runs is trained as one program, each run in its own directory."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from vaelab.runs.build import build_model, build_objective, load_splits, training_bytes
from vaelab.runs.claim import claimed
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import announce
from vaelab.runs.keep import STUDY, Keep
from vaelab.runs.provenance import fingerprint
from vaelab.runs.spec import Spec
from vaelab.runs.train import conclude
from vaelab.system.device import Device, find_device
from vaelab.system.errors import RunError, SpecError, VaelabError
from vaelab.system.memory import check_free
from vaelab.training.callback import Callback
from vaelab.training.checkpoint import step_of
from vaelab.training.initialise import check_enough_images
from vaelab.training.loop import fit_vmapped
from vaelab.training.sampler import lowered
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.compiled import Compile
from vaelab.training.step.vmapped import FREE
from vaelab.training.trainer import Trainer

APART = (*FREE, "nll_samples")  # the fields of a Spec in which the runs of a group may differ


def vmapped_groups(runs: Sequence[Run], largest: int) -> list[list[Run]]:
    """Divide `runs` into groups of at most `largest` that can be trained as one program.

    The runs of a group have equal Specs except for the fields in `APART`, and have done equally many steps.
    """
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(_kind(run), []).append(run)
    return [kin[i : i + largest] for kin in alike.values() for i in range(0, len(kin), largest)]


def _kind(run: Run) -> str:
    if run.done or run.spec.shards > 1:  # the shards of a batch are not vmapped
        return str(run.path)
    try:
        behind = step_of(run.path / "checkpoint.safetensors")
    except RunError:  # damaged: only this run fails
        return str(run.path)
    return json.dumps([behind, run.spec.model_dump(exclude=set(APART))], sort_keys=True)


def differences(specs: Sequence[Spec]) -> dict[str, list[Any]]:
    """Map each field in which the Specs of a group differ to its values."""
    values = {field: [getattr(spec, field) for spec in specs] for field in APART}
    return {field: of_each for field, of_each in values.items() if len(set(of_each)) > 1}


def described(specs: Sequence[Spec]) -> str:
    """`differences` in words, such as "seed 0 to 3, learning_rate 0.001, 0.003"."""
    return ", ".join(f"{field} {_listed(sorted(set(values)))}" for field, values in differences(specs).items())


def _listed(values: list[Any]) -> str:
    if len(values) > 2 and values == list(range(int(values[0]), int(values[0]) + len(values))):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))


def train_vmapped(
    runs: Sequence[Run],
    root: str | None,
    compile: Compile,
    callback: Callback,
    device: Device = "auto",
    keep: Keep = STUDY,
) -> dict[Run, VaelabError]:
    """Train a group as one program, evaluate each run, and return the errors of the runs that failed.

    Each result matches that of `vaelab.runs.train.train` up to rounding. A run that was stopped can be resumed in this
    group, in another group or alone.

    Arguments:
        runs: one of `vmapped_groups`; each run is claimed and not done.
        root: the data directory.
        keep: what a finished run keeps.

    Raises:
        SpecError: the parts of these runs cannot be trained as one program.
        VaelabError: as `vaelab.runs.train.train`, for errors that concern all runs.
    """
    blueprints = [run.blueprint for run in runs]
    specs = [blueprint.spec for blueprint in blueprints]
    on = find_device(device)
    data = load_splits(blueprints[0], root)
    announce(data, callback.say)
    memory_bytes = sum(training_bytes(blueprint, data.train.shape) for blueprint in blueprints)
    check_free(f"{len(runs)} such models", memory_bytes, "train fewer at a time", SpecError)
    shape, labels, names = data.train.shape, data.train.labels, data.train.class_names
    models = [build_model(blueprint, shape, labels, class_names=names).to(on) for blueprint in blueprints]
    check_enough_images(models[0], len(data.train))
    objectives = [build_objective(blueprint, len(data.train)) for blueprint in blueprints]
    first = TrainingSetup.of(models[0], objectives[0], data.train, specs[0], blueprints[0].schedule)
    if word := lowered(specs[0].batch, len(data.train)):
        callback.say(word)
    differing = differences(specs)
    with ExitStack() as held:
        trainers: dict[Run, Trainer] = {}
        for number, (run, blueprint, model, objective) in enumerate(
            zip(runs, blueprints, models, objectives, strict=True)
        ):
            spec = blueprint.spec
            held.enter_context(claimed(run, spec))
            if run.done:  # another process has finished it meanwhile
                continue
            name = " ".join(f"{field}={values[number]}" for field, values in differing.items())
            setup = first.beside(model, objective, spec, blueprint.schedule)
            trainers[run] = Trainer(setup, data, run.path, callback, fingerprint(spec, data), name)
        failed: dict[Run, VaelabError] = {}
        errors = fit_vmapped(list(trainers.values()), callback, compile) if trainers else []
        for (run, trainer), error in zip(trainers.items(), errors, strict=True):
            if error is not None:
                failed[run] = error
                continue
            try:
                conclude(run, run.blueprint, trainer.setup.model, data, trainer.progress, callback, keep)
            except VaelabError as unlike:
                failed[run] = unlike
    return failed
