"""What an exported folder says about a run: config.json for programs, and the model card for people."""

import shlex
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from vaelab.distributions import is_diagonal_normal
from vaelab.models import VAE
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.directory import Run
from vaelab.runs.spec import Spec
from vaelab.serving.export.card import Card
from vaelab.serving.export.graphs import Graph
from vaelab.serving.export.pixels import READINGS
from vaelab.serving.export.programs import BATCHES, TOLERANCE

LAYOUT = 1  # version of config.json


def training_command(spec: Spec) -> str:
    """Return the `vaelab train` command with this Spec; it names the fields that differ from the defaults."""
    defaults = blueprint_of(Spec(data=spec.data)).spec.model_dump()
    words = ["vaelab", "train", "--data", spec.data]
    for field, value in spec.model_dump().items():
        if field != "data" and value != defaults[field]:
            words.append(f"--{field.replace('_', '-')}")
            if value is not True:  # a flag such as --convert has no value
                words.append(_shortest(value) if isinstance(value, float) else str(value))
    return shlex.join(words)


def _shortest(value: float) -> str:
    """The shorter of the two usual forms that are read as this number: 3 for 3.0, 0.2 for 0.2."""
    return short if float(short := f"{value:g}") == value else repr(value)


def config_of(run: Run, model: VAE, graphs: Sequence[Graph], differences: dict[str, float]) -> dict[str, Any]:
    """What config.json says, for programs."""
    spec = run.spec
    reading = READINGS[str(spec.protocol)]
    labels = [] if model.labels is None else model.labels.classes.tolist()
    return {
        "library_name": "vaelab",
        "vaelab_version": version("vaelab"),
        "layout": LAYOUT,
        "model_type": "vae",
        "spec": spec.model_dump(mode="json"),
        "image_shape": list(model.image_shape),
        "latent": model.latent,
        "labels": labels,
        "class_names": {} if model.labels is None else {str(k): v for k, v in model.labels.names.items()},
        "pixels": {
            "protocol": spec.protocol,
            "axes": "NCHW",
            "dtype": "float32",
            "range": [0, 1],
            "in_words": f"{reading.words} u is the stored level, 0 (black) to 255. The encoder subtracts the mean of "
            "the training images itself.",
            "numpy": reading.numpy,
        },
        "prior": _prior_in_words(run, model),
        **{
            graph.name: {
                "inputs": {name: {"shape": ["N", *p.shape], "dtype": p.dtype} for name, p in graph.inputs.items()},
                "outputs": {name: {"shape": ["N", *p.shape], "dtype": p.dtype} for name, p in graph.outputs.items()},
                "distribution": graph.distribution,
            }
            for graph in graphs
        },
        "compared_with_torch": {"batches": list(BATCHES), "tolerance": TOLERANCE, "largest_difference": differences},
    }


def card_of(
    run: Run, model: VAE, title: str, graphs: Sequence[Graph], differences: dict[str, float], result: dict[str, Any]
) -> Card:
    spec = run.spec
    kinds = ("model", "network", "posterior", "prior", "refit", "likelihood", "objective")
    parts = {kind: getattr(spec, kind) for kind in kinds if getattr(spec, kind)}
    return Card(
        title=title,
        parts={**parts, "latent dimensions": str(model.latent), "parameters": f"{result['parameters']:,}"},
        image_shape=model.image_shape,
        protocol=str(spec.protocol),
        reading=READINGS[str(spec.protocol)],
        prior=_prior_in_words(run, model),
        data=spec.data,
        splits={name: (split["images"], split["sha256"]) for name, split in result["data"].items()},
        metrics=[metric for metric in run.metrics if metric.split == "test"],
        limits=_limits(spec, model, result),
        command=training_command(spec),
        differences=differences,
        graphs=graphs,
        version=version("vaelab"),
    )


def _prior_in_words(run: Run, model: VAE) -> str:
    p: Any = model.prior()
    if is_diagonal_normal(p) and not p.mean.any() and bool((p.stddev == 1).all()):
        return "For new images, draw z from N(0, I)."
    prior = run.spec.refit or run.spec.prior
    return f"For new images, z is a draw of the prior {prior}, which the files do not have: load the model with vaelab."


def _limits(spec: Spec, model: VAE, result: dict[str, Any]) -> list[str]:
    """What a reader must know before using the model, in sentences."""
    limits = [
        f"It describes images like those of `{spec.data}`, of {' x '.join(map(str, model.image_shape))} pixels. It "
        "says nothing sure about other images.",
        "A high likelihood does not mean that an image is usual: models of this kind give higher likelihoods to some "
        "other data sets than to their own test images (Nalisnick et al. 2019).",
        f"The numbers are of one training, with seed {spec.seed}. Another seed gives other numbers.",
    ]
    if note := result["provenance"]["note"]:
        limits.append(f"Its likelihood of these pixels is {note}: do not compare it with likelihoods.")
    if result["note"]:
        limits.append(f"The data have {result['note']}.")
    if count := result["test_images_trained_on"]:
        limits.append(f"{count:,} of the test images are also training images.")
    limits += [f"The diagnosis of the training found: {finding['says']}." for finding in result["findings"]]
    return [
        *limits,
        "Nobody has chosen a license: `license` in the first lines of this file is `unknown`. Set it before you "
        "publish the model, and mind the terms of the data.",
    ]
