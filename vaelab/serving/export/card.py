"""The model card: README.md of an exported folder, with the metadata that the Hugging Face Hub reads."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaelab.evaluation.measure import Metric, draws_in_words
from vaelab.serving.export.graphs import Graph
from vaelab.serving.export.pixels import Reading
from vaelab.system.errors import UNPRINTED
from vaelab.system.markdown import as_code, as_markdown

TAGS = ("vae", "variational-autoencoder", "generative-model", "representation-learning", "pytorch")
FIRST = ("nll", "elbo", "rate", "distortion", "bits_per_dim")  # metrics that the table starts with
FORMATS = {"onnx": "ONNX", "pt2": "torch.export"}


@dataclass(frozen=True)
class Card:
    """What a model card says.

    Arguments:
        title: the name of the model.
        parts: rows of the table "The model", by the word for each.
        image_shape: (C, H, W).
        protocol: how pixels are read, by name.
        reading: the same, for a reader without vaelab.
        prior: in words, where z comes from.
        data: the name of the data.
        splits: for each split, the number of images and their SHA-256.
        metrics: of the test images.
        limits: sentences, in Markdown.
        command: trains the model again.
        differences: for each file, its largest difference from torch.
        graphs: encoder and decoder, as they are in the files.
        version: of vaelab.
    """

    title: str
    parts: Mapping[str, str]
    image_shape: tuple[int, ...]
    protocol: str
    reading: Reading
    prior: str
    data: str
    splits: Mapping[str, tuple[int, str]]
    metrics: Sequence[Metric]
    limits: Sequence[str]
    command: str
    differences: Mapping[str, float]
    graphs: Sequence[Graph]
    version: str


def readme(card: Card) -> str:
    """Return README.md: YAML metadata, then text."""
    sections = [
        _front_matter(card),
        f"# {as_markdown(card.title)}",
        f"A variational autoencoder of images of {_shape(card.image_shape)} pixels (channels x height x width), "
        f"trained on {as_code(card.data)} with vaelab {card.version}.",
        "![Samples from the prior: means of the decoder, and draws](samples.png)",
        _model(card),
        _numbers(card),
        _use(card),
        _files(card),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in card.limits),
        f"## Train it again\n\n```sh\n{card.command}\n```\n\nThe data must have these SHA-256 digests:\n\n"
        + _table(
            ("split", "images", "SHA-256"),
            [(as_markdown(k), f"{n:,}", as_code(s)) for k, (n, s) in card.splits.items()],
        ),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(card: Card) -> str:
    """The metadata. Values are written as JSON, which is YAML too."""
    dataset = {"type": card.data, "name": card.data, "split": "test"}
    lines = [
        "---",
        "library_name: vaelab",
        "license: unknown",
        f"tags: {json.dumps(TAGS)}",
        "model-index:",
        f"  - name: {_json(card.title)}",
        "    results:",
        f"      - task: {_json({'type': 'density-estimation', 'name': 'Density estimation'})}",
        f"        dataset: {_json(dataset)}",
        "        metrics:",
        *(f"          - {_json(_entry(metric))}" for metric in _ordered(card.metrics)),
        "---",
    ]
    return "\n".join(lines)


def _entry(metric: Metric) -> dict[str, Any]:
    """A metric as an entry of `model-index`."""
    args = {
        "unit": metric.unit,
        "standard_error": metric.se,
        "protocol": metric.protocol,
        "samples": metric.samples,
        "images": metric.images,
        "better": metric.better,
        "note": metric.note,
    }
    return {
        "type": metric.name,
        "value": metric.value,
        "name": f"{metric.name}, {metric.unit}" + (f", K = {draws_in_words(metric)}" if metric.samples else ""),
        "args": {name: value for name, value in args.items() if value not in (None, "")},
    }


def _model(card: Card) -> str:
    rows = [(name, as_code(value)) for name, value in card.parts.items()]
    return "## The model\n\n" + _table(("part", "as vaelab writes it"), rows)


def _numbers(card: Card) -> str:
    rows = [
        (
            as_code(metric.name),
            f"{metric.value:.4g}" + (f" ± {metric.se:.2g}" if metric.se is not None else ""),
            as_markdown(metric.unit),
            draws_in_words(metric),
            f"{metric.images:,}",
            f"{as_markdown(metric.better)} is better" if metric.better != "neither" else "",
        )
        for metric in _ordered(card.metrics)
    ]
    notes = dict.fromkeys(
        f"{as_code(metric.name)}: {as_markdown(metric.note)}." for metric in card.metrics if metric.note
    )
    return "\n\n".join(
        [
            "## Numbers",
            f"On the test images, read by the protocol {as_code(card.protocol)}. ± is the standard error over images, "
            "and K the number of draws of z for each image. Numbers of other data or protocols are not comparable.",
            _table(("metric", "value", "unit", "K", "images", ""), rows),
            *notes,
        ]
    )


def _use(card: Card) -> str:
    encoder, decoder = card.graphs
    channels, height, width = card.image_shape
    says = [
        f"The encoder takes float32 pixels in [0, 1] of shape [N, {channels}, {height}, {width}], N of any size. It "
        "subtracts the mean of the training images itself: give it plain pixels. Stored levels u = 0 (black) to 255 "
        f"are read by the protocol {as_code(card.protocol)}: {card.reading.words}",
        f"The decoder takes z [N, {decoder.inputs['z'].shape[0]}]. {as_markdown(card.prior)}",
    ]
    if "label" in encoder.inputs:
        says.append("Both take `label`, int64 [N], whose values `config.json` lists; another value is an error.")
    if "noise" in encoder.inputs:
        says.append("`noise` is a draw of N(0, I); z is then a draw of q(z|x). No file draws noise itself.")
    if not any(name.endswith(".onnx") for name in card.differences):
        return "\n\n".join(["## Use", *says])
    given = "".join(_example(name, encoder, card) for name in encoder.inputs if name != "image")
    feed = ", ".join(f'"{name}": {name}' for name in encoder.inputs)
    latent = next(name for name in ("z", "mean", "mu", *encoder.outputs) if name in encoder.outputs)
    other = ', "label": label' if "label" in decoder.inputs else ""
    code = (
        "import numpy as np\nimport onnxruntime\n\n"
        'encoder = onnxruntime.InferenceSession("encoder.onnx")\n'
        'decoder = onnxruntime.InferenceSession("decoder.onnx")\n'
        f"u = np.zeros((5, {channels}, {height}, {width}), np.uint8)  # your images\n"
        "rng = np.random.default_rng(0)\n"
        f"image = {card.reading.numpy}\n{given}"
        "outputs = [output.name for output in encoder.get_outputs()]\n"
        f"q = dict(zip(outputs, encoder.run(None, {{{feed}}})))\n"
        f'(mean,) = decoder.run(["mean"], {{"z": q["{latent}"]{other}}})  # [5, {channels}, {height}, {width}]\n'
    )
    return "\n\n".join(["## Use", *says, f"```python\n{code}```"])


def _example(name: str, encoder: Graph, card: Card) -> str:
    """A line that makes an input of the encoder."""
    if name == "noise":
        return f"noise = rng.standard_normal((5, {encoder.inputs[name].shape[0]}), np.float32)\n"
    first = encoder.batch(1)["label"].item()
    return f"label = np.full(5, {first})\n"


def _files(card: Card) -> str:
    rows = [
        (f"`{name}.{ending}`", ", ".join(_ports(graph.inputs)), ", ".join(_ports(graph.outputs)))
        for ending in FORMATS
        for graph in card.graphs
        if f"{(name := graph.name)}.{ending}" in card.differences
    ]
    lines = [
        "## Files",
        "`config.json` has the Spec of the run, the shapes, the classes and how pixels are read. `model.safetensors` "
        "has the weights. `vaelab.runs.export.load_exported(folder)` makes the model of these two files; it executes "
        "nothing of the folder.",
    ]
    if rows:
        largest = max(card.differences.values())
        lines += [
            _table(("file", "inputs", "outputs"), rows),
            "\n".join(f"- {graph.name}: the outputs describe {graph.distribution}" for graph in card.graphs),
            f"The outputs were compared with torch for batches of 1 and 7: they differ by at most {largest:.0e} "
            "of the largest number of an output (of 1, if that is larger).",
        ]
    return "\n\n".join(lines)


def _ports(ports: Mapping[str, Any]) -> list[str]:
    return [f"`{name}` [{', '.join(['N', *map(str, port.shape)])}]" for name, port in ports.items()]


def _ordered(metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics with a value for the whole test set, the bounds first."""
    return sorted(metrics, key=lambda metric: FIRST.index(metric.name) if metric.name in FIRST else len(FIRST))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *[[re.sub(r"(?<!\\)[|]", r"\|", cell) for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _json(value: object) -> str:
    """JSON in which no character ends a line or moves a cursor."""
    return UNPRINTED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
