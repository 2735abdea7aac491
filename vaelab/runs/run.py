"""A run: one Spec trained, measured and recorded in a directory of its own."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from vaelab.data.dataset import Splits
from vaelab.data.places import seen_from, taken_from
from vaelab.evaluation.admission import admit_parts
from vaelab.evaluation.measure import Measure, Metric, Subject
from vaelab.models import VAE
from vaelab.objectives.criterion import criterion_of
from vaelab.objectives.losses import Objective
from vaelab.runs import evaluate as measuring
from vaelab.runs.assemble import build_model, build_objective, build_refit, completed, load_data, training_bytes
from vaelab.runs.claim import check_claim, claimed
from vaelab.runs.directory import OWNER, Book, Run
from vaelab.runs.evaluate import EVALUATION_SEED, default_measures
from vaelab.runs.spec import Spec
from vaelab.system.errors import RunError, SpecError, VaelabError, shortened
from vaelab.system.files import check_name, check_no_link, only_writer, write_atomically
from vaelab.system.memory import check_free
from vaelab.system.processor import at_full_speed
from vaelab.system.tensor_file import write_tensors
from vaelab.training.callback import Watch
from vaelab.training.checkpoint import Progress, read_checkpoint
from vaelab.training.diagnosis.dissection import examine
from vaelab.training.diagnosis.findings import look
from vaelab.training.diagnosis.post_mortem import RECORD, STATE, Autopsy
from vaelab.training.fit_prior import refit
from vaelab.training.initialise import check_begin
from vaelab.training.lines import looked_on
from vaelab.training.loop import fit
from vaelab.training.setup import Course, bfloat16
from vaelab.training.step.compiled import Compile
from vaelab.training.step.step import State

Device = Literal["auto", "cpu", "cuda"]


def train(
    spec: Spec,
    out: Path | str = "runs",
    name: str | None = None,
    root: str | None = None,
    compile: Compile = "auto",
    device: Device = "auto",
    watch: Watch | None = None,
) -> Run:
    """Train and evaluate `spec` in a directory of its own below `out`; goes on where it was stopped.

    Arguments:
        spec: what to do; parts may leave options out.
        name: the directory's name; by default made from the Spec, with its hash.
        root: where data lie (see `vaelab.data.load`).
        compile: whether to compile the training step; `auto` decides from the work ahead.
        device: `auto` takes a CUDA device where there is one.
        watch: who looks on; by default lines are printed in a terminal or a notebook, and nothing elsewhere.
            `vaelab.SILENT` prints nothing anywhere.

    Raises:
        VaelabError: anything that a user can mend, told in one line.
    """
    watch = watch or looked_on()
    if not isinstance(spec, Spec):
        found = f"a {type(spec).__name__} in the place of a Spec"
        raise SpecError(found=found, expected="what is to be trained", do="give it vl.Spec(data='digits', latent=2)")
    if name is not None:
        check_name("--name", name)
    named, spec = spec.likelihood, completed(spec)
    run = Run(Path(out) / (name or default_name(spec)), trust=spec.own_modules, must_exist=False)
    if run.done:
        check_claim(run, spec)
        watch.say(f"done before: {run.path}")
        return run
    _check_paths(run.path.absolute(), Path.cwd())
    on = find_device(device)
    data = load_data(spec, root)
    measuring.admit(data, watch.say)
    if not named:
        watch.say(f"no likelihood was named: {spec.likelihood} is used, for pixels read as {spec.protocol}")
    check_free("such a model", training_bytes(spec, data.train.shape), "use fewer or smaller layers", SpecError)
    model = build_model(spec, data.train.shape, data.train.labels, class_names=data.train.class_names).to(on)
    check_begin(model, len(data.train))
    admit_parts(model, data.train)  # here too, so that nothing is written for a Spec that cannot be
    with claimed(run, spec):
        if run.done:  # since another process that was at work on it has ended
            watch.say(f"done meanwhile: {run.path}")
            return run
        objective = build_objective(spec, len(data.train))
        progress = fit(model, objective, data, spec, run.path, watch, compile, fingerprint(spec, data))
        conclude(run, spec, model, data, progress, watch)
    return run


def _check_paths(*paths: Path) -> None:
    """SpecError where a path cannot be written into the run's files, which are UTF-8."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            found = f"{path}, whose name is not UTF-8"
            raise SpecError(found=found, expected="a path that can be written down", do="rename that folder") from error


def conclude(run: Run, spec: Spec, model: VAE, data: Splits, progress: Progress, watch: Watch) -> None:
    """Of a model that is trained, refit the prior if asked to, keep the weights, measure it, write the result."""
    if spec.refit:
        refit(model, build_refit(spec, model), data.train, spec.seed, watch.say)
    header = {"image_shape": json.dumps(data.train.shape), OWNER: spec.hash}
    if model.labels is not None:
        header["class_names"] = json.dumps(model.labels.names)
    write_tensors(run.path / "model.safetensors", model.state_dict(), header)

    began = time.perf_counter()
    subject = measuring.subject(spec, model.eval(), data, "test", EVALUATION_SEED, cache_of(run))
    book = Book(run, EVALUATION_SEED, [])
    measuring.carry_out(_possible(default_measures(spec), subject, watch), subject, watch.say, book.add)
    result = _result(run, spec, model, data, progress, book.rows, time.perf_counter() - began)
    write_atomically(run.path / "result.json", json.dumps(result, indent=1).encode())
    (run.path / "checkpoint.safetensors").unlink(missing_ok=True)  # of no use to a run that is done


def _possible(names: Sequence[str], subject: Subject, watch: Watch) -> dict[str, Measure]:
    """The measures that `subject` allows; the others were not asked for, so they are said aloud and left out."""
    possible = dict[str, Measure]()
    for name, measure in measuring.named_measures(names).items():
        try:
            measure.check(subject)
            possible[name] = measure
        except VaelabError as error:
            watch.say(f"{name} is left out: {error}")
    return possible


def measure(
    run: Run | Path | str,
    names: Sequence[str] | str = (),
    root: str | None = None,
    split: str = "test",
    seed: int = EVALUATION_SEED,
    again: bool = False,
    device: Device = "auto",
    watch: Watch | None = None,
    source: str | None = None,
) -> list[dict[str, Any]]:
    """Measure a finished run and keep the numbers in its result.json; the rows of these measures.

    What was measured before is not measured again. Everything that can be refused is refused before any work starts.

    Arguments:
        run: a finished run, or its directory.
        names: measures as they are written, such as `likelihood:samples=5000`; none means those of every training.
        root: where data lie.
        split: train, validation or test.
        seed: of the draws.
        again: measure all of them again.
        device: `auto` takes a CUDA device where there is one.
        watch: who looks on, as in `train`.
        source: where the images are now, if they were moved; see `Run.data`.

    Raises:
        VaelabError: an unknown measure, one that cannot be made of these data, data that have changed.
    """
    watch, run = watch or looked_on(), Run.of(run)
    names = (names,) if isinstance(names, str) else names
    measures = measuring.named_measures(names) or measuring.named_measures(default_measures(run.spec))
    if seed < 0:
        raise SpecError(found=f"seed = {seed}", expected="0 or more", do="use --seed 0, as other runs do")
    check_no_link(run.path)
    book = Book(run, seed, run.result["metrics"])
    todo = {name: measure for name, measure in measures.items() if again or not book.of(name, split)}
    if todo:
        model = run.model().to(find_device(device))
        subject = measuring.subject(run.spec, model, run.data(root, source), split, seed, cache_of(run))

        def keep(name: str, metrics: list[Metric]) -> None:
            book.add(name, metrics)
            result = {**run.result, "metrics": book.rows}
            write_atomically(run.path / "result.json", json.dumps(result, indent=1).encode())

        with only_writer(run.path):
            book.rows[:] = run.result["metrics"]  # another process may have added some in the meantime
            book.tensors()  # what cannot be added to is found out before any work
            measuring.carry_out(todo, subject, watch.say, keep)
    return [row for name in measures for row in book.of(name, split)]


def cache_of(run: Run) -> Path:
    """Where what many runs share is kept: beside them."""
    return run.path.parent / ".features"


def find_device(device: Device) -> torch.device:
    """The device of that name; RunError where CUDA is asked for and not there."""
    found = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    if device == "cuda" and found.type == "cpu":
        raise RunError(found="no CUDA device", expected="one, as asked", do="use --device auto or cpu")
    return found


def fingerprint(spec: Spec, data: Splits) -> str:
    """What a checkpoint belongs to."""
    return f"{spec.hash} {data.train.sha256}"


def replay(run: Run, root: str | None = None, source: str | None = None) -> Autopsy:
    """The autopsy of `run`, its examination made anew: the step that failed, taken again from the state before it.

    Arguments:
        root, source: where the run's images are now; see `Run.data`.

    Raises:
        RunError: `run` has no autopsy, or one that was made on a device that is not here.
    """
    spec, found = run.spec, Autopsy.read(run.path)
    if found.device not in ("cpu", "cuda"):
        raise RunError(
            found=f"an autopsy that was made on a device {shortened(found.device)}, in {run.path}",
            expected="cpu or cuda",
            do="train the run again",
        )
    if found.device == "cuda" and not torch.cuda.is_available():
        raise RunError(
            found=f"an autopsy that was made on a CUDA device, in {run.path}, and no such device",
            expected="one, because its noise is another one",
            do=f"replay it where it was trained, or read {run.path / RECORD}",
        )
    data = run.data(root, source)
    model = build_model(spec, data.train.shape, data.train.labels).to(found.device)
    course = Course.of(model, build_objective(spec, len(data.train)), data.train, spec)
    state = State.start(model, spec, course.objective)
    progress, _ = read_checkpoint(run.path / STATE, model, state, fingerprint(spec, data))
    with at_full_speed(), bfloat16(model, spec.precision == "bfloat16"):
        return replace(found, examination=examine(course, state, progress.step))


def default_name(spec: Spec) -> str:
    """data-likelihood-network-zD-hash, as a directory is called."""
    source = "".join(c if c.isalnum() else "-" for c in spec.data).strip("-")[-40:].strip("-")
    likelihood, network = spec.likelihood.split(":")[0], spec.network.split(":")[0]
    return f"{source}-{likelihood}-{network}-z{spec.latent}-{spec.hash}"


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


def _source_of(run: Run, spec: Spec) -> dict[str, str]:
    """The data's source by its absolute paths, and as seen from the run's directory; nothing where it has no paths."""
    absolute = taken_from(spec.data, Path.cwd())
    return {"absolute": absolute, "from_run": seen_from(absolute, run.path.absolute())} if ":" in spec.data else {}


def _criterion(objective: Objective, data: Splits, progress: Progress) -> str:
    """What the weights that were kept were chosen by, in words."""
    if progress.best_loss is not None:
        return f"validation {criterion_of(objective).name}"
    why = "no validation images" if data.validation is None else "the objective's schedule had not ended"
    return f"none, the last step: {why}"


def _result(
    run: Run, spec: Spec, model: VAE, data: Splits, progress: Progress, rows: list[dict[str, Any]], seconds: float
) -> dict[str, Any]:
    splits = [split for split in (data.train, data.validation, data.test) if split is not None]
    rate = next(row for row in rows if row["name"] == "rate")
    objective = build_objective(spec, len(data.train))
    return {
        "spec": spec.model_dump(),
        "environment": environment(next(model.parameters()).device),
        "data": {s.split: {"images": len(s), "shape": s.shape, "sha256": s.sha256} for s in splits},
        "read": {"from": data.where, "said": list(data.said)},
        "source": _source_of(run, spec),
        "test_images_trained_on": measuring.seen(data.train, data.test),
        "note": data.test.note,
        "seconds": {"training": progress.seconds, "evaluation": seconds},
        "trained_together": progress.together,
        "steps": progress.step,
        "best_step": progress.best_step or progress.step,
        "criterion": _criterion(objective, data, progress),
        "best_loss": progress.best_loss,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "findings": [asdict(finding) for finding in look(model, data.test, rate["value"], EVALUATION_SEED, objective)],
        "ledger": measuring.ledger(spec, model, data.train, progress.step),
        "metrics": rows,
    }
