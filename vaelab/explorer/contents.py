"""What a page holds of each run: its programs, its codes, some of its images and its results."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.distributions import is_diagonal_normal
from vaelab.explorer.functions import Function, GivenNoise, called, drawn, function_of
from vaelab.explorer.lower import lowered
from vaelab.explorer.pack import Pack
from vaelab.explorer.passes import passes_of
from vaelab.explorer.program import DTYPES, Operand, Port, Program
from vaelab.explorer.rounding import OCTAVE, in_steps, rounded
from vaelab.models import VAE
from vaelab.parts.capabilities import HasCodebooks, has, head_of
from vaelab.runs.directory import Run
from vaelab.serving.latents import encode
from vaelab.serving.sample import sample
from vaelab.serving.scores import score
from vaelab.system.errors import SpecError, VaelabError

Progress = Callable[[float], None]
MOST_CODES, MOST_NUMBERS = 5000, 200_000  # images whose codes are shown, and numbers in all these codes
EXAMPLES = 100  # test images that the page shows
PRIOR_DRAWS = 256
FINE = 32  # steps of a code in one standard deviation: a pixel or two of the map
DRAWS = 16  # of z, that the -ELBO of one image averages
MOST_BYTES = 40_000_000  # of all arrays: a larger page takes seconds to open
FACTS = {  # field of the Spec -> its name on the page
    "data": "data",
    "protocol": "pixels",
    "network": "network",
    "latent": "dimensions of z",
    "likelihood": "likelihood",
    "posterior": "posterior",
    "prior": "prior",
    "refit": "refitted prior",
    "objective": "objective",
}
SHOWN = {  # metric -> its name on the page, its sign, and what it is
    "elbo": ("−ELBO", -1, "an upper bound of −log p(x): rate + distortion"),
    "nll": ("−log p(x)", 1, "estimated by importance sampling"),
    "rate": ("rate", 1, "KL(q(z|x) || p(z)): how much the code z says about its image"),
    "distortion": ("distortion", 1, "−E[log p(x|z)]: what is still unknown of the image when z is known"),
}


def contents_of(
    runs: Sequence[tuple[Run, Dataset]], progress: Progress = lambda share: None, served: bool = False
) -> tuple[dict[str, Any], str]:
    """Return what the page reads, as JSON and as packed bytes.

    Arguments:
        runs: 1 to 4 finished runs, each with test images whose codes are shown.
        progress: called with the completed proportion.
        served: whether Python answers the page, so that it needs no weights.

    Raises:
        SpecError: a model cannot run in a page, or the page would be too large.
        RunError: a run is not finished.
    """
    pack, models = Pack(), list[dict[str, Any]]()
    for i, (run, test) in enumerate(runs):
        models.append(_model(run, test, pack, lambda share, i=i: progress((i + share) / len(runs)), served))
    packed, length = pack.packed()
    if length > MOST_BYTES and not served:
        found = f"{length / 1e6:,.0f} MB of weights and images"
        do = "use --serve, which runs the models in Python, or fewer runs"
        raise SpecError(found=found, expected=f"at most {MOST_BYTES / 1e6:.0f} MB in a page", do=do)
    page = {"version": version("vaelab"), "models": models, "arrays": pack.entries, "bytes": length}
    return page | {"served": served}, packed


def _model(run: Run, test: Dataset, pack: Pack, progress: Progress, served: bool) -> dict[str, Any]:
    model = run.served
    some = test.some(min(len(test), MOST_CODES, max(EXAMPLES, MOST_NUMBERS // model.latent)))
    shown = some.take(some.by_content)  # an order that the images decide: the page shows the pixels of the first ones
    latents, draws = encode(model, shown), sample(model, PRIOR_DRAWS).z
    ours = model
    if not served:
        ours, weights = rounded(model, passes_of(model, shown, latents, torch.from_numpy(draws)))
        pack.know(weights)
    programs: dict[str, Any] = {}
    names = functions_for(model)
    for i, name in enumerate(names):
        function = function_of(ours, name)
        programs[name] = as_json(ports_of(model, function) if served else lowered_or_moments(ours, function), pack)
        progress((i + 1) / (len(names) + 2))
    held, validation = _held(run, model)
    progress(1.0)
    classes = shown.class_names if shown.labels is not None else {}
    numbers = sorted(set(shown.labels.tolist())) if shown.labels is not None else []
    if model.labels is not None:
        numbers = model.labels.classes.tolist()
    classes_of = [] if shown.labels is None else [numbers.index(label) for label in shown.labels.tolist()]
    reading, scale = protocol(shown.protocol), np.sqrt(latents.mean.var(0) + (latents.scale**2).mean(0))
    return {
        "name": run.path.name,
        "facts": _facts(run),
        "results": _results(run),
        "latent": model.latent,
        "image": model.image_shape,
        "support": model.support,
        "levels": reading.levels,
        "binary": reading.levels == "binary",
        "offset": reading.nats_offset(model.image_shape),
        "classes": [{"label": label, "name": str(classes.get(label, label))} for label in numbers],
        "conditional": model.labels is not None,
        "groups": model.groups,
        "programs": programs,
        "kl": _rates(run, model),
        "mean": _rounded(latents.mean.mean(0)),
        "scale": _rounded(scale),
        "codes": pack.entries[_codes(pack, model, latents.mean, scale)],
        "codeLabels": pack.entries[pack.add(np.array(classes_of, np.int32))],
        "examples": pack.entries[pack.add(np.asarray(shown.images[:EXAMPLES]))],
        **_normal_prior(model),
        "priorDraws": pack.entries[pack.add(draws.astype(np.float16))],
        "draws": DRAWS,
        "validation": pack.entries[pack.add(validation)],
        "validationOf": held,
    }


def functions_for(model: VAE) -> list[str]:
    """The names of the functions that a page has of this model."""
    stored = has(head_of(model.posterior), HasCodebooks)  # a draw is hundreds of passes of a transformer
    return ["encode", "decode", "bound"] if stored else ["encode", "decode", "bound", "prior"]


def lowered_or_moments(model: VAE, function: Function) -> Program:
    """Lower a function; of `decode`, the moments if a draw by rejection cannot be traced, as for some likelihoods."""
    try:
        return lowered(function)
    except SpecError:
        if function.name != "decode":
            raise
        return lowered(function_of(model, "moments"))


def ports_of(model: VAE, function: Function) -> Program:
    """The inputs, noise and outputs of a function that Python runs: a program without steps."""
    with torch.no_grad(), GivenNoise(drawn):
        outputs = called(model, function.name, function.inputs)
    whole = Operand(0, ())
    inputs, made = (
        {name: Port(whole, tuple(tensor.shape), DTYPES[tensor.dtype]) for name, tensor in tensors.items()}
        for tensors in (function.inputs, outputs)
    )
    noise = tuple(Port(whole, draw.shape, "float32", draw.kind) for draw in function.draws)
    return Program(inputs, noise, {}, (), made, 0)


def _facts(run: Run) -> list[tuple[str, str]]:
    """What the run is made of: "mlp:hidden=500" is "mlp, hidden 500". Of a folder only its own name is told."""
    source = run.blueprint.source
    found = {field: str(value) for field in FACTS if (value := getattr(run.spec, field))}
    found["data"] = f"{source.name} {PurePath(source.argument).name}".strip()
    return [(FACTS[field], ", ".join(text.replace("=", " ").split(":"))) for field, text in found.items()]


def _codes(pack: Pack, model: VAE, mean: np.ndarray, scale: np.ndarray) -> int:
    """Keep codes [N, D], finer than one can see on the map; vectors of a codebook as they are."""
    if model.support == "codes":
        return pack.add(mean.astype(np.float16))
    columns = np.round(OCTAVE * np.log2(np.maximum(scale, 1e-6) / FINE)).clip(-128, 127).astype(np.int8)
    return pack.steps(in_steps(mean, np.zeros(len(mean), np.int8), columns))


def _normal_prior(model: VAE) -> dict[str, Any]:
    """Mean and scale of a prior that is one diagonal normal; nothing for others."""
    with torch.no_grad():
        p: Any = model.prior()
        if not is_diagonal_normal(p):
            return {}
        return {"normalPrior": {"mean": _rounded(p.mean.numpy()), "scale": _rounded(p.stddev.numpy())}}


def _held(run: Run, model: VAE) -> tuple[str, np.ndarray]:
    """-ELBO in nats of the validation images that the run keeps, sorted; or why there are none."""
    try:
        held = run.examples("validation")
    except VaelabError as error:
        return error.found, np.zeros(0, np.float32)
    return "", np.sort(-score(model, held, DRAWS, seed=1).elbo_nats).astype(np.float32)


def _results(run: Run) -> list[tuple[str, str, str]]:
    found = list[tuple[str, str, str]]()
    for name, (shown, sign, meaning) in SHOWN.items():
        if (metric := run.find(name)) is None:
            continue
        error = "" if metric.se is None else f" ± {metric.se:.2f}"
        found.append((shown, f"{sign * metric.value:.2f}{error} {metric.unit}", meaning))
    return found


def _rates(run: Run, model: VAE) -> list[float]:
    metric = run.find("rate")
    parts = () if metric is None else metric.parts
    return _rounded(np.array(parts)) if len(parts) == model.latent else []


def as_json(program: Program, pack: Pack) -> dict[str, Any]:
    """A program as the page reads it (web/src/program.ts); its constants go into `pack`."""
    return {
        "inputs": {name: port.as_json() for name, port in program.inputs.items()},
        "noise": [port.as_json() for port in program.noise],
        "constants": [(value, pack.weights(tensor)) for value, tensor in program.constants.items()],
        "steps": [step.as_json() for step in program.steps],
        "outputs": {name: port.as_json() for name, port in program.outputs.items()},
        "values": program.values,
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
