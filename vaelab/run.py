"""A run: a directory in which one Spec is trained, evaluated and pictured.

spec.json  log.jsonl  checkpoint.safetensors  model.safetensors  figures/*.png  result.json

result.json is written last: where it stands, the run is done.
"""

import json
import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save

from vaelab.assemble import build_model, build_objective, completed, likelihood_note, load_data
from vaelab.data.dataset import Dataset, Splits
from vaelab.errors import RunError
from vaelab.evaluation.likelihood import evaluate
from vaelab.evaluation.metrics import Metric, kl_of_dimensions, metrics
from vaelab.files import only_writer, write_atomically
from vaelab.models import VAE
from vaelab.seeds import derive
from vaelab.spec import Spec
from vaelab.training.batches import check_batch
from vaelab.training.checkpoint import Progress, read_tensors
from vaelab.training.compiled import Compile
from vaelab.training.loop import fit
from vaelab.training.watch import Watch

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Run:
    """A run's directory, read on demand."""

    path: Path

    @property
    def spec(self) -> Spec:
        return Spec.read(self.path / "spec.json")

    @property
    def done(self) -> bool:
        return (self.path / "result.json").exists()

    @property
    def result(self) -> dict[str, Any]:
        """result.json; RunError where the run is not done."""
        if not self.done:
            found = f"{self.path} has no result.json"
            raise RunError(found=found, expected="a finished run", do="give the command that started it again")
        return json.loads((self.path / "result.json").read_text())

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl, one for each validation."""
        path = self.path / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def metric(self, name: str) -> dict[str, Any]:
        """The metric called `name` of the test images, as result.json has it; KeyError where there is none."""
        found = [m for m in self.result["metrics"] if m["name"] == name]
        if not found:
            raise KeyError(name)
        return found[0]

    def data(self, root: str | None = None) -> Splits:
        return load_data(self.spec, root)

    def model(self, image_shape: tuple[int, int, int] | None = None) -> VAE:
        """The trained model with its best weights, in evaluation mode, on the CPU."""
        tensors, header = read_tensors(self.path / "model.safetensors")
        shape = image_shape or tuple(json.loads(header["image_shape"]))
        model = build_model(self.spec, shape)
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            found = f"{self.path / 'model.safetensors'} does not fit spec.json"
            raise RunError(found=found, expected="the weights of this Spec", do="train the run again") from error
        return model.eval()


def train(
    spec: Spec,
    out: Path | str = "runs",
    name: str | None = None,
    root: str | None = None,
    compile: Compile = "auto",
    device: Device = "auto",
    watch: Watch | None = None,
) -> Run:
    """Train, evaluate and picture `spec` in a directory of its own below `out`; goes on where it was stopped.

    Arguments:
        spec: what to do; parts may leave options out.
        name: the directory's name; by default made from the Spec, with its hash.
        root: where data lie (see `vaelab.data.load`).
        compile: whether to compile the training step; `auto` decides from the work ahead.
        device: `auto` takes a CUDA device where there is one.
        watch: who looks on; nobody by default.

    Raises:
        VaelabError: anything that a user can mend, told in one line.
    """
    watch = watch or Watch(say=lambda line: None, show=lambda status: None)
    spec = completed(spec)
    run = Run(Path(out) / (name or default_name(spec)))
    if run.done:
        claim(run, spec)
        watch.say(f"done before: {run.path}")
        return run
    on = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    if device == "cuda" and on.type == "cpu":
        raise RunError(found="no CUDA device", expected="one, as asked", do="use --device auto or cpu")
    data = load_data(spec, root)
    model = build_model(spec, data.train.shape).to(on)
    check_batch(len(data.train), spec.batch)
    claim(run, spec)
    with only_writer(run.path):
        _carry_out(run, spec, model, data, compile, watch)
    return run


def _carry_out(run: Run, spec: Spec, model: VAE, data: Splits, compile: Compile, watch: Watch) -> None:
    device = next(model.parameters()).device
    fingerprint = f"{spec.hash} {data.train.sha256}"
    progress = fit(model, build_objective(spec), data, spec, run.path, watch, compile, fingerprint)
    header = {"image_shape": json.dumps(data.train.shape)}
    weights = {key: tensor.contiguous().cpu() for key, tensor in model.state_dict().items()}
    write_atomically(run.path / "model.safetensors", save(weights, header))

    watch.say(f"evaluating {len(data.test):,} test images with K = {spec.nll_samples}")
    result = _result(spec, model, data, progress, device)
    write_atomically(run.path / "result.json", json.dumps(result, indent=1).encode())
    (run.path / "checkpoint.safetensors").unlink(missing_ok=True)  # of no use to a run that is done


def default_name(spec: Spec) -> str:
    """data-likelihood-network-zD-hash, as a directory is called."""
    source = "".join(c if c.isalnum() else "-" for c in spec.data).strip("-")
    likelihood, network = spec.likelihood.split(":")[0], spec.network.split(":")[0]
    return f"{source}-{likelihood}-{network}-z{spec.latent}-{spec.hash}"


def evaluate_test(spec: Spec, model: VAE, test: Dataset, samples: int) -> tuple[list[Metric], list[float] | None]:
    """The metrics of the test images with K = `samples`, and the KL of each latent dimension."""
    evaluation = evaluate(model, test, samples, derive(spec.seed, "evaluation"))
    return metrics(evaluation, test, likelihood_note(spec, test.protocol)), kl_of_dimensions(evaluation)


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


def claim(run: Run, spec: Spec) -> None:
    """Make the directory the Spec's own; RunError where another Spec has written it."""
    path = run.path / "spec.json"
    if path.exists():
        theirs, ours = run.spec.model_dump(), spec.model_dump()
        if different := [f"{k} = {theirs[k]} there, {ours[k]} now" for k in ours if theirs[k] != ours[k]]:
            raise RunError(
                found=f"{run.path} was written by another Spec ({'; '.join(different)})",
                expected="the same Spec, or a directory of its own",
                do="choose another --name or --out, or delete that directory",
            )
        return
    run.path.mkdir(parents=True, exist_ok=True)
    write_atomically(path, spec.canonical_json().encode())


def _result(spec: Spec, model: VAE, data: Splits, progress: Progress, device: torch.device) -> dict[str, Any]:
    began = time.perf_counter()
    rows, kl = evaluate_test(spec, model, data.test, spec.nll_samples)
    seconds = {"training": progress.seconds, "evaluation": time.perf_counter() - began}
    count = sum(parameter.numel() for parameter in model.parameters())
    splits = [split for split in (data.train, data.validation, data.test) if split is not None]
    return {
        "spec": spec.model_dump(),
        "environment": environment(device),
        "data": {s.split: {"images": len(s), "shape": s.shape, "sha256": s.sha256} for s in splits},
        "note": data.test.note,
        "seconds": seconds,
        "steps": progress.step,
        "best_step": progress.best_step or progress.step,
        "parameters": count,
        "metrics": [row.as_dict() for row in rows],
        "kl_per_dimension": kl,
    }
