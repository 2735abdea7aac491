"""Train one Spec, evaluate it, and record it in its own directory."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from vaelab.data.dataset import Splits, seen
from vaelab.data.in_hand import InHand, in_hand
from vaelab.evaluation.admission import admit_parts
from vaelab.evaluation.measure import EvaluationContext, Measure, Metric
from vaelab.models import VAE
from vaelab.objectives.criterion import criterion_of
from vaelab.objectives.losses import Objective
from vaelab.runs.blueprint import Blueprint, blueprint_of
from vaelab.runs.build import build_model, build_objective, build_refit, load_splits, training_bytes
from vaelab.runs.claim import check_claim, claimed
from vaelab.runs.compatibility import check
from vaelab.runs.directory import CHECKPOINT, Run
from vaelab.runs.evaluate import (
    EVALUATION_SEED,
    announce,
    cache_of,
    context_of,
    default_measures,
    named_measures,
    run_measures,
)
from vaelab.runs.examples import EXAMPLES, OWNER, write_examples
from vaelab.runs.keep import Keep, KeepCheckpoint, settle_checkpoint
from vaelab.runs.metric_store import MetricStore
from vaelab.runs.provenance import environment, fingerprint, provenance, source_of
from vaelab.runs.result_file import Result
from vaelab.runs.spec import Spec
from vaelab.runs.workers import check_workers
from vaelab.system.device import Device, find_device
from vaelab.system.errors import SpecError, VaelabError
from vaelab.system.files import check_name, write_atomically
from vaelab.system.json_types import FindingRow
from vaelab.system.memory import check_free
from vaelab.system.tensor_file import write_tensors
from vaelab.system.world import Reduce, world
from vaelab.training.callback import Callback
from vaelab.training.checkpoint import Progress
from vaelab.training.diagnosis.findings import find_findings
from vaelab.training.fit_prior import fit_prior
from vaelab.training.initialise import check_enough_images
from vaelab.training.lines import default_callback
from vaelab.training.loop import fit
from vaelab.training.step.compiled import Compile


def train(
    spec: Spec | None = None,
    out: Path | str = "runs",
    name: str | None = None,
    root: str | None = None,
    compile: Compile = "auto",
    device: Device = "auto",
    callback: Callback | None = None,
    data: InHand | Path | str | None = None,
    keep_checkpoint: KeepCheckpoint = "auto",
    keep_examples: bool = True,
    reduce: Reduce = "ordered",
    *,
    # The fields of a Spec, except data
    resize: str | None = None,
    grey: bool | None = None,
    convert: bool | None = None,
    labels: str | None = None,
    protocol: str | None = None,
    validation: float | None = None,
    test: float | None = None,
    stratify: bool | None = None,
    split_seed: int | None = None,
    model: str | None = None,
    latent: int | None = None,
    network: str | None = None,
    likelihood: str | None = None,
    posterior: str | None = None,
    prior: str | None = None,
    condition: Literal["none", "labels"] | None = None,
    refit: str | None = None,
    objective: str | None = None,
    nll_samples: int | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    shards: int | None = None,
    learning_rate: float | None = None,
    schedule: str | None = None,
    clip_norm: float | None = None,
    ema_decay: float | None = None,
    precision: Literal["float32", "bfloat16"] | None = None,
    patience: float | None = None,
    validate_every: float | None = None,
    start: Literal["mean", "zero"] | None = None,
    seed: int | None = None,
) -> Run:
    """Train and evaluate a model in its own directory in `out`; resume if it was stopped.

    The model is described by `spec`, by fields of a Spec, or by both: `vl.train(data="mnist", latent=8)` does the same
    as `vl.train(vl.Spec(data="mnist", latent=8))`.

    Arguments:
        spec: the description of the run; parts may leave options out. By default `vl.Spec()`.
        name: the name of the directory; by default it is made from the Spec and ends with its hash.
        root: the data directory (see `vaelab.data.load_data`).
        compile: whether to compile the training step; `auto` decides by the amount of work.
        device: `auto` uses a CUDA device if there is one.
        callback: receives progress; by default it is printed in a terminal or a notebook, and nowhere else.
            `vaelab.SILENT` prints nothing.
        data: replaces the data that `spec` names: a source such as "mnist", a path, or images: an array or a tensor of
            uint8 levels or of floats in [0, 1], PIL images, a pair (images, labels), a `Dataset` or `Splits`; see
            `vaelab.data.in_hand`. The digest of images becomes `data` of the Spec, as array:DIGEST.
        keep_checkpoint: whether the finished run keeps its last state, so that `resume` can go on with it; `auto`: if
            it takes at most `vaelab.runs.keep.CHECKPOINT_BYTES`.
        keep_examples: whether the run keeps some of its validation and test images; see `Run.examples`.
        reduce: how several workers add the gradients of their shards. `ordered`: the same bits for any number of
            workers; `fast`: as the library prefers, equal up to rounding.
        resize, ..., seed: each replaces that field of `spec`, see `vl.Spec`; None: as in `spec`.

    Raises:
        VaelabError: any error that a user can correct, in one line.
    """
    arguments = locals()  # at the start, so that it has nothing else
    fields = {field: arguments[field] for field in Spec.model_fields if arguments[field] is not None}
    callback, spec = callback or default_callback(), Spec() if spec is None else spec
    if not isinstance(spec, Spec):
        found = f"a {type(spec).__name__} instead of a Spec"
        raise SpecError(found=found, expected="the Spec to train", do="name the field, as in vl.train(data='digits')")
    if name is not None:
        check_name("--name", name)
    blueprint = _blueprint_with(spec, fields)
    check(blueprint)
    run = Run.planned(Path(out) / (name or default_name(blueprint.spec)), blueprint)
    keep = Keep(keep_checkpoint, keep_examples)
    train_blueprint(run, blueprint, lambda: load_splits(blueprint, root), compile, device, callback, keep, reduce)
    return run


def _blueprint_with(spec: Spec, fields: Mapping[str, Any]) -> Blueprint:
    """The Blueprint of `spec` with these values of some fields; `data` may be images in hand."""
    data = fields.get("data", spec.data)
    data = str(data) if isinstance(data, Path) else data
    source = None if isinstance(data, str) else in_hand(data)
    found = Spec(**{**spec.model_dump(), **fields, "data": source.text if source else data})
    if source is None:
        return blueprint_of(found)
    read = found.model_copy(update={"protocol": found.protocol or source.entry.protocol})
    return replace(blueprint_of(read), source=source)


def train_blueprint(
    run: Run,
    blueprint: Blueprint,
    load: Callable[[], Splits],
    compile: Compile,
    device: Device,
    callback: Callback,
    keep: Keep,
    reduce: Reduce = "ordered",
    start: Callable[[VAE, Objective, Splits], Callable[[], None]] | None = None,
) -> None:
    """`train` of a Spec that is read and checked, in the directory of `run`.

    Arguments:
        load: returns the data; it is called only if there is something to do.
        start: reads the state from which the training starts, and returns a function that writes it into the
            directory, which is then claimed. None: it starts with new weights.
    """
    spec = blueprint.spec
    if run.done:
        check_claim(run, spec)
        callback.say(f"done before: {run.path}")
        return
    _check_paths(run.path.absolute(), Path.cwd())
    on = find_device(device)
    data = load()
    announce(data, callback.say)
    if not blueprint.given.likelihood:
        callback.say(f"no likelihood was named: {spec.likelihood} is used, for pixels read as {spec.protocol}")
    check_free("such a model", training_bytes(blueprint, data.train.shape), "use fewer or smaller layers", SpecError)
    model = build_model(blueprint, data.train.shape, data.train.labels, class_names=data.train.class_names).to(on)
    check_enough_images(model, len(data.train))
    admit_parts(model, data.train)  # here too, so that nothing is written for a Spec that cannot be
    objective, owner = build_objective(blueprint, len(data.train)), fingerprint(spec, data)
    write_start = start(model, objective, data) if start else None
    here = world()
    with claimed(run, spec) if here.leads else nullcontext():
        done = here.leads and run.done
        if here.leads and not done and write_start and not (run.path / CHECKPOINT).exists():
            write_start()  # else it was started and stopped
        if here.from_leader("done" if done else ""):  # since another process that was at work on it has ended
            callback.say(f"done meanwhile: {run.path}")
            return
        check_workers(here, run, owner, compile, reduce, on)
        progress = fit(model, objective, data, spec, run.path, callback, compile, owner, blueprint.schedule, reduce)
        conclude(run, blueprint, model, data, progress, callback, keep)


def _check_paths(*paths: Path) -> None:
    """Raise SpecError if a path cannot be written into the files of the run, which are UTF-8."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            found = f"{path}, which is not a UTF-8 path"
            raise SpecError(found=found, expected="a path that UTF-8 can represent", do="rename that folder") from error


def conclude(
    run: Run, blueprint: Blueprint, model: VAE, data: Splits, progress: Progress, callback: Callback, keep: Keep
) -> None:
    """Finish a trained run: refit the prior if asked, save the weights, evaluate the model, write the result."""
    spec = blueprint.spec
    if blueprint.refit:
        fit_prior(model, build_refit(blueprint, model), data.train, spec.seed, callback.say)
    header = {"image_shape": json.dumps(data.train.shape), OWNER: spec.hash}
    if model.labels is not None:
        header["class_names"] = json.dumps(model.labels.names)
    leads = world().leads
    if leads:
        write_tensors(run.path / "model.safetensors", model.state_dict(), header)
    if leads and keep.examples:
        write_examples(run.path, spec, data)
    elif leads:
        (run.path / EXAMPLES).unlink(missing_ok=True)  # of an earlier attempt

    began = time.perf_counter()
    context = context_of(blueprint, model.eval(), data, "test", EVALUATION_SEED, cache_of(run))
    store = MetricStore(run, EVALUATION_SEED, [])
    possible = _possible(default_measures(blueprint), context, callback)
    run_measures(possible, context, callback, store.add if leads else _forget)
    if not leads:
        return
    result = _result(run, blueprint, model, data, progress, store.metrics, time.perf_counter() - began)
    write_atomically(run.path / "result.json", json.dumps(result, indent=1).encode())
    settle_checkpoint(run, keep.checkpoint, callback.say)


def _forget(name: str, metrics: list[Metric]) -> None:
    """What a worker that does not lead does with its metrics, which are those of all."""


def _possible(names: Sequence[str], context: EvaluationContext, callback: Callback) -> dict[str, Measure]:
    """The measures that `context` allows; a printed line names each of the others, which the user did not ask for."""
    possible = dict[str, Measure]()
    for name, measure in named_measures(names).items():
        try:
            measure.check(context)
            possible[name] = measure
        except VaelabError as error:
            callback.say(f"{name} is left out: {error}")
    return possible


def default_name(spec: Spec) -> str:
    """The default name of a directory: data-likelihood-network-zD-hash."""
    source = "".join(c if c.isalnum() else "-" for c in spec.data).strip("-")[-40:].strip("-")
    likelihood, network = spec.likelihood.split(":")[0], spec.network.split(":")[0]
    return f"{source}-{likelihood}-{network}-z{spec.latent}-{spec.hash}"


def _criterion(objective: Objective, data: Splits, progress: Progress) -> str:
    """Describe in words the criterion by which the kept weights were chosen."""
    if progress.best_loss is not None:
        return f"validation {criterion_of(objective).name}"
    why = "no validation images" if data.validation is None else "the objective's schedule had not ended"
    return f"none, the last step: {why}"


def _result(
    run: Run,
    blueprint: Blueprint,
    model: VAE,
    data: Splits,
    progress: Progress,
    metrics: list[Metric],
    seconds: float,
) -> Result:
    splits = [split for split in (data.train, data.validation, data.test) if split is not None]
    rate = next(metric for metric in metrics if metric.name == "rate")
    objective = build_objective(blueprint, len(data.train))
    result: Result = {
        "spec": blueprint.spec.as_row(),
        "environment": environment(next(model.parameters()).device),
        "data": {s.split: {"images": len(s), "shape": list(s.shape), "sha256": s.sha256} for s in splits},
        "read": {"from": data.where, "said": list(data.said)},
        "source": source_of(run, blueprint.spec),
        "test_images_trained_on": seen(data.train, data.test),
        "note": data.test.note,
        "seconds": {"training": progress.seconds, "evaluation": seconds},
        "vmapped": progress.vmapped,
        "steps": progress.step,
        "best_step": progress.best_step or progress.step,
        "criterion": _criterion(objective, data, progress),
        "best_loss": progress.best_loss,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "findings": [
            FindingRow(kind=finding.kind, says=finding.says, do=finding.do)
            for finding in find_findings(model, data.test, rate.value, EVALUATION_SEED, objective)
        ],
        "provenance": provenance(blueprint, model, data.train, progress.step, progress.origin),
        "metrics": [metric.as_row() for metric in metrics],
    }
    if progress.reduce:
        result["workers"], result["reduce"] = progress.workers, progress.reduce
    return result
