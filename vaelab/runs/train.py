"""Train one Spec, evaluate it, and record it in its own directory."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from vaelab.data.dataset import Splits, seen
from vaelab.evaluation.admission import admit_parts
from vaelab.evaluation.measure import EvaluationContext, Measure, Metric
from vaelab.models import VAE
from vaelab.objectives.criterion import criterion_of
from vaelab.objectives.losses import Objective
from vaelab.runs.blueprint import Blueprint, blueprint_of
from vaelab.runs.build import build_model, build_objective, build_refit, load_splits, training_bytes
from vaelab.runs.claim import check_claim, claimed
from vaelab.runs.compatibility import check
from vaelab.runs.directory import OWNER, Run
from vaelab.runs.evaluate import (
    EVALUATION_SEED,
    announce,
    cache_of,
    context_of,
    default_measures,
    named_measures,
    run_measures,
)
from vaelab.runs.metric_store import MetricStore
from vaelab.runs.provenance import environment, fingerprint, provenance, source_of
from vaelab.runs.result_file import Result
from vaelab.runs.spec import Spec
from vaelab.system.device import Device, find_device
from vaelab.system.errors import SpecError, VaelabError
from vaelab.system.files import check_name, write_atomically
from vaelab.system.json_types import FindingRow
from vaelab.system.memory import check_free
from vaelab.system.tensor_file import write_tensors
from vaelab.training.callback import Callback
from vaelab.training.checkpoint import Progress
from vaelab.training.diagnosis.findings import find_findings
from vaelab.training.fit_prior import fit_prior
from vaelab.training.initialise import check_enough_images
from vaelab.training.lines import default_callback
from vaelab.training.loop import fit
from vaelab.training.step.compiled import Compile


def train(
    spec: Spec,
    out: Path | str = "runs",
    name: str | None = None,
    root: str | None = None,
    compile: Compile = "auto",
    device: Device = "auto",
    callback: Callback | None = None,
) -> Run:
    """Train and evaluate `spec` in its own directory in `out`; resume if it was stopped.

    Arguments:
        spec: the description of the run; parts may leave options out.
        name: the name of the directory; by default it is made from the Spec and ends with its hash.
        root: the data directory (see `vaelab.data.load_data`).
        compile: whether to compile the training step; `auto` decides by the amount of work.
        device: `auto` uses a CUDA device if there is one.
        callback: receives progress; by default it is printed in a terminal or a notebook, and nowhere else.
            `vaelab.SILENT` prints nothing.

    Raises:
        VaelabError: any error that a user can correct, in one line.
    """
    callback = callback or default_callback()
    if not isinstance(spec, Spec):
        found = f"a {type(spec).__name__} instead of a Spec"
        raise SpecError(found=found, expected="the Spec to train", do="give it vl.Spec(data='digits', latent=2)")
    if name is not None:
        check_name("--name", name)
    blueprint = blueprint_of(spec)
    check(blueprint)
    run = Run.planned(Path(out) / (name or default_name(blueprint.spec)), blueprint)
    train_blueprint(run, blueprint, root, compile, device, callback)
    return run


def train_blueprint(
    run: Run, blueprint: Blueprint, root: str | None, compile: Compile, device: Device, callback: Callback
) -> None:
    """`train` of a Spec that is read and checked, in the directory of `run`."""
    spec = blueprint.spec
    if run.done:
        check_claim(run, spec)
        callback.say(f"done before: {run.path}")
        return
    _check_paths(run.path.absolute(), Path.cwd())
    on = find_device(device)
    data = load_splits(blueprint, root)
    announce(data, callback.say)
    if not blueprint.given.likelihood:
        callback.say(f"no likelihood was named: {spec.likelihood} is used, for pixels read as {spec.protocol}")
    check_free("such a model", training_bytes(blueprint, data.train.shape), "use fewer or smaller layers", SpecError)
    model = build_model(blueprint, data.train.shape, data.train.labels, class_names=data.train.class_names).to(on)
    check_enough_images(model, len(data.train))
    admit_parts(model, data.train)  # here too, so that nothing is written for a Spec that cannot be
    with claimed(run, spec):
        if run.done:  # since another process that was at work on it has ended
            callback.say(f"done meanwhile: {run.path}")
            return
        objective, owner = build_objective(blueprint, len(data.train)), fingerprint(spec, data)
        progress = fit(model, objective, data, spec, run.path, callback, compile, owner, blueprint.schedule)
        conclude(run, blueprint, model, data, progress, callback)


def _check_paths(*paths: Path) -> None:
    """Raise SpecError if a path cannot be written into the files of the run, which are UTF-8."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            found = f"{path}, which is not a UTF-8 path"
            raise SpecError(found=found, expected="a path that UTF-8 can represent", do="rename that folder") from error


def conclude(run: Run, blueprint: Blueprint, model: VAE, data: Splits, progress: Progress, callback: Callback) -> None:
    """Finish a trained run: refit the prior if asked, save the weights, evaluate the model, write the result."""
    spec = blueprint.spec
    if blueprint.refit:
        fit_prior(model, build_refit(blueprint, model), data.train, spec.seed, callback.say)
    header = {"image_shape": json.dumps(data.train.shape), OWNER: spec.hash}
    if model.labels is not None:
        header["class_names"] = json.dumps(model.labels.names)
    write_tensors(run.path / "model.safetensors", model.state_dict(), header)

    began = time.perf_counter()
    context = context_of(blueprint, model.eval(), data, "test", EVALUATION_SEED, cache_of(run))
    store = MetricStore(run, EVALUATION_SEED, [])
    run_measures(_possible(default_measures(blueprint), context, callback), context, callback.say, store.add)
    result = _result(run, blueprint, model, data, progress, store.metrics, time.perf_counter() - began)
    write_atomically(run.path / "result.json", json.dumps(result, indent=1).encode())
    (run.path / "checkpoint.safetensors").unlink(missing_ok=True)  # a finished run does not need it


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
    return {
        "spec": blueprint.spec.model_dump(),
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
        "provenance": provenance(blueprint, model, data.train, progress.step),
        "metrics": [metric.as_row() for metric in metrics],
    }
