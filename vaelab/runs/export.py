"""Export a run: one folder with weights, a model card, ONNX files and torch.export programs."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vaelab.figures import FIGURES, save
from vaelab.figures.model_calls import seeded_model
from vaelab.models import VAE
from vaelab.parts.trust import check_trust
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.build import SHAPE, build_trained, weights_fit
from vaelab.runs.directory import Run
from vaelab.runs.examples import CLASS_NAMES, OWNER
from vaelab.runs.model_card import LAYOUT, card_of, config_of
from vaelab.runs.spec import Spec
from vaelab.serving.export.card import readme
from vaelab.serving.export.graphs import graphs_of
from vaelab.serving.export.programs import check_packages, onnx, pt2, traced
from vaelab.serving.folder import check_new_folder, new_folder
from vaelab.system.errors import RunError, in_print, unknown
from vaelab.system.files import as_argument, expanded, parsed, write_atomically
from vaelab.system.tensor_file import read_tensors, write_tensors
from vaelab.training.callback import Callback
from vaelab.training.lines import default_callback

FORMATS = ("weights", "onnx", "pt2")
CONFIG, WEIGHTS, CARD, SAMPLES = "config.json", "model.safetensors", "README.md", "samples.png"
FILES = (CONFIG, WEIGHTS, CARD, SAMPLES, *(f"{name}.{end}" for end in FORMATS[1:] for name in ("encoder", "decoder")))
AGAIN = "export the run again"


@dataclass(frozen=True, repr=False)
class Exported:
    """A folder that was exported.

    Arguments:
        path: the folder.
        files: the paths of its files.
        differences: for each ONNX file and program, by name, the largest difference of its outputs from the model's,
            in units of the largest number of that output, or of 1 if that is larger.
    """

    path: Path
    files: tuple[Path, ...]
    differences: dict[str, float]

    def __repr__(self) -> str:
        """The folder and its files, a line each."""
        lines = [f"Exported to {self.path}"]
        for file in self.files:
            difference = self.differences.get(file.name)
            same = "" if difference is None else f"  within {difference:.1e} of the model"
            lines.append(f"  {file.name}{same}")
        return "\n".join(lines)


def export(
    run: Run | Path | str,
    out: Path | str,
    formats: Sequence[str] | str = FORMATS,
    overwrite: bool = False,
    callback: Callback | None = None,
) -> Exported:
    """Write the model of a finished run into a new folder. The data are not needed.

    config.json, model.safetensors, README.md and samples.png are always written. The folder appears when all files are
    complete: after an error there is none.

    Arguments:
        run: a run, or its directory.
        out: the folder.
        formats: more files, by the names in `FORMATS`. "weights" stands for the files that are always written.
        overwrite: whether to replace a folder that this function wrote.
        callback: receives a line for each file; by default they are printed in a terminal or a notebook.

    Raises:
        SpecError: a format is unknown, its packages are not installed, or the model cannot have it.
        RunError: the run is not finished, the folder exists, or it cannot be written.
    """
    run, callback, path = Run.of(run), callback or default_callback(), expanded(out)
    asked = [formats] if isinstance(formats, str) else list(formats)
    if wrong := [name for name in asked if name not in FORMATS]:
        raise unknown("format", wrong[0], FORMATS)
    if "onnx" in asked:
        check_packages()
    check_new_folder(path, _foreign, overwrite)
    result, model = run.result, run.model()
    with torch.no_grad(), seeded_model(model, 0), new_folder(path, _foreign, overwrite) as folder:
        graphs, differences = graphs_of(model), dict[str, float]()
        for graph in graphs:
            program = traced(graph) if {"onnx", "pt2"} & {*asked} else None
            for form in (name for name in FORMATS[1:] if name in asked):
                name = f"{graph.name}.{form}"
                content, difference = onnx(graph, program, version("vaelab")) if form == "onnx" else pt2(graph, program)
                write_atomically(folder / name, content)
                differences[name] = difference
                callback.say(f"{name} {_in_words(difference)}")
        save(FIGURES["samples"](model, None, title=f"{path.absolute().name}: samples", seed=0), folder / SAMPLES)
        header = {OWNER: run.spec.hash, "image_shape": json.dumps(model.image_shape)}
        write_tensors(folder / WEIGHTS, model.state_dict(), header)
        config = config_of(run, model, graphs, differences)
        write_atomically(folder / CONFIG, (json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode())
        card = card_of(run, model, path.absolute().name, graphs, differences, dict(result))
        write_atomically(folder / CARD, readme(card).encode())
    return Exported(path, tuple(path / name for name in FILES if (path / name).exists()), differences)


def load_exported(folder: Path | str, trust: Sequence[str] = ()) -> VAE:
    """Return the model of an exported folder: bit for bit that of the run, in evaluation mode, on the CPU.

    It reads config.json and model.safetensors, and executes nothing of the folder.

    Arguments:
        trust: the user's own modules that the Spec may name; their code runs when the model is built.

    Raises:
        SpecError: the Spec names a module that is not trusted.
        RunError: there is no exported folder, a later version wrote it, or its files are damaged.
    """
    folder = expanded(folder)
    config = _read_config(folder)
    spec = Spec(**config["spec"])
    check_trust(folder / CONFIG, spec.parts, trust)
    blueprint = blueprint_of(spec)
    tensors, header = read_tensors(folder / WEIGHTS, missing=AGAIN, damaged=AGAIN)
    with weights_fit(folder / WEIGHTS, CONFIG, AGAIN):
        if header[OWNER] != spec.hash:
            raise ValueError("they belong to another Spec")
        shape, names = SHAPE.validate_python(config["image_shape"]), CLASS_NAMES.validate_python(config["class_names"])
        return build_trained(blueprint, shape, tensors, names)


def upload_command(folder: Path | str) -> str:
    """Return the command that uploads an exported folder to the Hugging Face Hub; USER stands for the user's name.

    Raises:
        RunError: it is not an exported folder, or its name cannot be printed.
    """
    path = expanded(folder)
    _read_config(path)
    if in_print(str(folder)) != str(folder):
        raise RunError(
            found=f"{folder}, with a character that cannot be printed", expected="a name that can", do="rename it"
        )
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.absolute().name).strip("-.") or "model"
    return f"hf upload USER/{name} {as_argument(folder)} ."


def _in_words(difference: float) -> str:
    return f"differs from torch by at most {difference:.0e}" if difference else "is equal to torch"


def _foreign(folder: Path) -> str:
    """What a folder has that `export` does not write, in words; "" for nothing.

    Raises:
        RunError: it has exported files, but its config.json is missing, damaged or of another program.
    """
    names = sorted(entry.name for entry in folder.iterdir())
    if others := [name for name in names if name not in FILES]:
        return f"{others[0]}, which vaelab did not write"
    if names:
        _read_config(folder)
    return ""


def _read_config(folder: Path) -> dict[str, Any]:
    """Read config.json; RunError if it is missing, damaged, or of a later version."""
    config = parsed(
        folder / CONFIG,
        _parsed_config,
        expected="what `vaelab export` wrote",
        do="check the path, or export the run again",
        missing="name a folder that `vaelab export` wrote",
    )
    if config["layout"] > LAYOUT:
        found = f"{folder / CONFIG} of vaelab {config['vaelab_version']}, a later version than this one"
        raise RunError(found=found, expected="a folder of this version or an earlier one", do="update vaelab")
    return config


def _parsed_config(text: str) -> dict[str, Any]:
    config = json.loads(text)
    if not isinstance(config, dict) or config.get("library_name") != "vaelab":
        raise ValueError("it is not of vaelab")
    needed = {"layout": int, "vaelab_version": str, "spec": dict, "image_shape": list, "class_names": dict}
    for key, kind in needed.items():
        if not isinstance(config.get(key), kind):
            raise ValueError(f"{key} is missing or no {kind.__name__}")
    return config
