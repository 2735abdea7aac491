"""The exported folder: what it says, who can open it, and what happens if it cannot be written."""

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import vaelab as vl
from tests.told import told
from vaelab.cli.commands.train import starting_spec
from vaelab.cli.main import main
from vaelab.runs import export as exports
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.export import FILES, export, load_exported, upload_command
from vaelab.runs.model_card import training_command
from vaelab.serving.export import programs
from vaelab.system.errors import RunError, SpecError
from vaelab.system.tensor_file import read_tensors, write_tensors

GUIDE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
ALWAYS = set(FILES[:4])


@pytest.fixture(scope="session")
def whole(done, tmp_path_factory) -> Path:
    return export(done, tmp_path_factory.mktemp("exports") / "digits-vae", callback=vl.SILENT).path


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "exported"))


def quick(run, out, **options) -> Path:
    return export(run, out, "weights", callback=vl.SILENT, **options).path


def alone(packages: list[str], script: str, folder: Path, *words: str) -> str:
    """What a script prints in a process that has these packages, and no others."""
    place = folder.parent / "packages"
    place.mkdir(exist_ok=True)
    for name in packages:
        found = find_spec(name)
        assert found is not None
        home = Path(next(iter(found.submodule_search_locations or [])))
        for path in (home, home.with_name(f"{name}.libs")):
            if path.exists() and not (place / path.name).exists():
                (place / path.name).symlink_to(path)
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, *words],
        cwd=folder,
        env={"PYTHONPATH": str(place), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


ONNX_ALONE = """
import json, sys
import numpy as np, onnxruntime
assert not {"torch", "vaelab"} & sys.modules.keys()
config = json.load(open("config.json"))
u = np.random.default_rng(1).integers(0, 256, (7, *config["image_shape"])).astype(np.uint8)
image = eval(config["pixels"]["numpy"], {"np": np, "u": u, "rng": np.random.default_rng(0)})
assert image.dtype == config["pixels"]["dtype"]
names = list(config["encoder"]["outputs"])
found = dict(zip(names, onnxruntime.InferenceSession("encoder.onnx").run(names, {"image": image})))
(picture,) = onnxruntime.InferenceSession("decoder.onnx").run(["mean"], {"z": found["mean"]})
np.savez(sys.argv[1], image=image, picture=picture, **found)
"""


@pytest.mark.thorough(0.3, group="exported")
def test_onnxruntime_and_numpy_are_enough(done, whole, tmp_path):
    alone(["numpy", "onnxruntime"], ONNX_ALONE, whole, str(tmp_path / "found.npz"))
    found, model = np.load(tmp_path / "found.npz"), done.model()
    with torch.no_grad():
        q = model.posterior(torch.from_numpy(found["image"]))
        picture = model.likelihood(torch.from_numpy(found["mean"])).mean
    np.testing.assert_allclose(found["mean"], q.mean.numpy(), atol=1e-5)
    np.testing.assert_allclose(found["scale"], q.stddev.numpy(), atol=1e-5)
    np.testing.assert_allclose(found["picture"], picture.numpy(), atol=1e-5)


SAFETENSORS_ALONE = """
import json
from safetensors import deserialize
config = json.load(open("config.json"))
tensors = deserialize(open("model.safetensors", "rb").read())
print(json.dumps([config["spec"]["data"], {name: one["shape"] for name, one in tensors}]))
"""


def test_safetensors_and_json_are_enough(done, whole):
    data, shapes = json.loads(alone(["safetensors"], SAFETENSORS_ALONE, whole))
    assert data == "digits"
    assert shapes == {name: list(tensor.shape) for name, tensor in done.model().state_dict().items()}


def test_the_example_of_the_card_runs(whole):
    (code,) = re.findall(r"```python\n(.*?)```", (whole / "README.md").read_text(), re.DOTALL)
    assert alone(["numpy", "onnxruntime"], code + "print(mean.shape)", whole) == "(5, 1, 8, 8)\n"


def test_it_is_loaded_bit_for_bit_without_the_run(run, tmp_path, monkeypatch):
    expected = vl.Run(run).model()
    quick(run, tmp_path / "out")
    shutil.rmtree(run)
    monkeypatch.chdir(tmp_path)
    model = load_exported("out")
    assert not model.training
    assert model.protocol == "binary-dynamic"
    found, own = model.state_dict(), expected.state_dict()
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], own[name]) for name in own)
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(model.posterior(x).mean, expected.posterior(x).mean)


@pytest.mark.thorough(0.3, group="exported")
def test_a_model_with_labels_and_a_refitted_prior(tmp_path):
    spec = vl.Spec(
        data="digits", latent=2, network="mlp:hidden=4", epochs=0.2, nll_samples=2, condition="labels",
        refit="mixture:components=2",
    )  # fmt: skip
    run = vl.train(spec, tmp_path, "labels", compile="never", callback=vl.SILENT)
    out = export(run, tmp_path / "out", "onnx", callback=vl.SILENT).path
    config, card = json.loads((out / "config.json").read_text()), (out / "README.md").read_text()
    assert config["labels"] == list(range(10))
    assert list(config["encoder"]["inputs"]) == ["image", "label"]
    assert "the prior mixture:components=2" in config["prior"]
    model, own = load_exported(out), run.model()
    z = torch.randn(4, 2)
    assert torch.equal(model.given(3).likelihood(z).mean, own.given(3).likelihood(z).mean)
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert alone(["numpy", "onnxruntime"], code + "print(mean.shape)", out) == "(5, 1, 8, 8)\n"


def test_the_card_has_the_numbers(done, whole):
    card = (whole / "README.md").read_text()
    _, front, text = card.split("---\n", 2)
    entries = [json.loads(line.partition("- ")[2]) for line in front.splitlines() if line.startswith(" " * 10 + "- ")]
    metrics = [metric for metric in done.metrics if metric.split == "test"]
    assert {entry["type"]: entry["value"] for entry in entries} == {metric.name: metric.value for metric in metrics}
    nll = done.metric("nll")
    assert entries[0]["type"] == "nll"
    assert entries[0]["args"].pop("note") == nll.note
    assert entries[0]["args"] == {
        "unit": "nats/image", "standard_error": nll.se, "protocol": "binary-dynamic", "samples": 2, "images": 180,
        "better": "lower",
    }  # fmt: skip
    assert {"library_name: vaelab", "license: unknown"} <= set(front.splitlines())
    assert f"| `nll` | {nll.value:.4g} ± {nll.se:.2g} | nats/image | 2 | 180 | lower is better |" in text
    for split in done.result["data"].values():
        assert split["sha256"] in text
    assert "](samples.png)" in text
    assert "no official test split" in text


def test_the_command_of_the_card_is_that_of_the_spec(done, whole):
    (line,) = re.findall(r"^vaelab train .*$", (whole / "README.md").read_text(), re.MULTILINE)
    assert line == training_command(done.spec)


@pytest.mark.parametrize(
    "fields",
    [
        {"data": "folder:my photos", "protocol": "8bit", "likelihood": "gaussian:sigma=pixel", "learning_rate": 1e-4},
        {"data": "mnist", "latent": 5, "epochs": 0.3, "objective": "iwae:samples=5", "seed": 3, "validation": 0.25},
    ],
)
def test_a_training_command_gives_the_same_spec(fields):
    spec = blueprint_of(vl.Spec(**fields)).spec
    words = shlex.split(training_command(spec))
    given = dict(zip((word[2:].replace("-", "_") for word in words[2::2]), words[3::2], strict=True))
    assert blueprint_of(vl.Spec(**{**starting_spec([]).model_dump(), **given})).spec.hash == spec.hash


def test_a_training_command_is_one_that_can_be_typed(monkeypatch):
    spec = blueprint_of(
        vl.Spec(
            data="folder:my photos", resize="crop:32x32", convert=True, stratify=True, test=0.2, labels=r"name:(\d)_"
        )
    ).spec
    words, trained = shlex.split(training_command(spec)), list[vl.Spec]()
    monkeypatch.setattr("vaelab.runs.train.train", lambda given, *_: trained.append(given))
    monkeypatch.setattr("vaelab.runs.figure.figure", lambda *_, **__: None)
    monkeypatch.setattr("vaelab.cli.commands.train.print_run", lambda _: None)
    assert main(words[1:]) == 0
    assert blueprint_of(trained[0]).spec == spec
    assert words[words.index("--test") + 1] == "0.2"


def test_the_data_are_not_needed(run, tmp_path, monkeypatch):
    monkeypatch.setattr("vaelab.runs.directory.load_splits", None)
    assert {path.name for path in quick(run, tmp_path / "out").iterdir()} == ALWAYS


def test_an_unfinished_run_is_refused(run, tmp_path, capsys):
    (run / "result.json").unlink()
    said = told(capsys, "export", run, "--out", tmp_path / "a" / "out")
    assert "has no result.json; expected a finished run" in said
    assert not (tmp_path / "a").exists()


def test_a_folder_that_exists_is_kept(run, tmp_path, capsys):
    out = quick(run, tmp_path / "out")
    before = (out / "README.md").stat().st_ino
    said = told(capsys, "export", run, "--out", out, "--formats", "weights")
    do = "add --overwrite (in Python, overwrite=True), or choose another path"
    assert said == f"vaelab: {out} exists; expected a path that does not exist yet; {do}"
    assert (out / "README.md").stat().st_ino == before
    (out / "encoder.onnx").write_text("old")
    quick(run, out, overwrite=True)
    assert {path.name for path in out.iterdir()} == ALWAYS
    assert {path.name for path in tmp_path.iterdir()} == {"out", "runs"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda out: (out / "notes.txt").write_text("mine"), "has notes.txt, which vaelab did not write"),
        (lambda out: (out / ".git").mkdir(), "has .git, which vaelab did not write"),
        (lambda out: (out / "config.json").write_text('{"model_type": "bert"}'), "is damaged (it is not of vaelab)"),
        (lambda out: (out / "config.json").unlink(), "no "),
    ],
)
def test_overwrite_replaces_only_exported_folders(spoil, words, run, tmp_path):
    out = quick(run, tmp_path / "out")
    spoil(out)
    before = {path.name for path in out.iterdir()}
    with pytest.raises(RunError) as caught:
        quick(run, out, overwrite=True)
    assert words in str(caught.value)
    assert {path.name for path in out.iterdir()} == before


def test_a_file_or_a_link_in_the_place_of_the_folder_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="file is a file"):
        quick(run, tmp_path / "file", overwrite=True)
    out = quick(run, tmp_path / "out")
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(RunError, match="link is a symbolic link"):
        quick(run, tmp_path / "link", overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md", "samples.png"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_nothing(name, overwrite, run, tmp_path, monkeypatch):
    out = tmp_path / "a" / "b" / "out"
    if overwrite:
        (quick(run, out) / "README.md").write_text("first")
    replace = os.replace

    def full(temporary, path):
        if Path(path).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(temporary, path)

    monkeypatch.setattr("vaelab.system.files.os.replace", full)
    with pytest.raises(RunError, match="no room to write"):
        quick(run, out, overwrite=overwrite)
    if overwrite:
        assert [path.name for path in out.parent.iterdir()] == ["out"]
        assert (out / "README.md").read_text() == "first"
    else:
        assert not (tmp_path / "a").exists()


def test_an_interrupt_leaves_nothing(run, tmp_path, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(exports, "config_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick(run, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


def test_a_folder_that_cannot_get_its_name_leaves_the_old_one(run, tmp_path, monkeypatch):
    out = quick(run, tmp_path / "out")
    (out / "README.md").write_text("first")
    rename, calls = os.rename, []

    def second_fails(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EACCES, "Permission denied")
        rename(source, target)

    monkeypatch.setattr("vaelab.serving.folder.os.rename", second_fails)
    with pytest.raises(RunError, match="cannot be written"):
        quick(run, out, overwrite=True)
    assert (out / "README.md").read_text() == "first"
    assert {path.name for path in tmp_path.iterdir()} == {"out", "runs"}


def test_formats(run, tmp_path, capsys, monkeypatch):
    assert "unknown format onxx" in told(capsys, "export", run, "--out", tmp_path / "out", "--formats", "onxx").replace(
        "'", ""
    )
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    said = told(capsys, "export", run, "--out", tmp_path / "out")
    assert "pip install 'vaelab[export]'" in said
    assert not (tmp_path / "out").exists()
    assert main(["export", str(run), "--out", str(tmp_path / "out"), "--formats", "pt2"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == ALWAYS | {"encoder.pt2", "decoder.pt2"}
    program = torch.export.load(tmp_path / "out" / "encoder.pt2").module()
    x = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(program(x)["mean"], vl.Run(run).model().posterior(x).mean)


def changed(folder: Path, **fields) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))
    return folder


def test_a_folder_of_somebody_else_runs_no_code(folder, tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("raise SystemExit('their code ran')")
    monkeypatch.chdir(tmp_path)
    spec = json.loads((folder / "config.json").read_text())["spec"]
    for field in ("network", "likelihood", "prior", "data"):
        with pytest.raises(SpecError, match="names the module 'theirs'"):
            load_exported(changed(folder, spec={**spec, field: "theirs:Part"}))
    with pytest.raises(SystemExit):
        load_exported(folder, trust=["theirs"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"layout": 99, "vaelab_version": "9.1"}, "config.json of vaelab 9.1, a later version"),
        ({"image_shape": [1, 8, 9]}, "does not fit config.json"),
        ({"image_shape": [1, 8]}, "does not fit config.json"),
        ({"image_shape": [1, 10**6, 10**6]}, "such a model: needs"),
        ({"image_shape": "8 x 8"}, "image_shape is missing or no list"),
        ({"spec": None}, "spec is missing or no dict"),
        ({"library_name": "other"}, "it is not of vaelab"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(fields, words, folder):
    with pytest.raises(RunError) as caught:
        load_exported(changed(folder, **fields))
    assert words in str(caught.value)


def test_a_spec_that_does_not_fit_is_refused(folder):
    spec = json.loads((folder / "config.json").read_text())["spec"]
    with pytest.raises(RunError, match="does not fit"):
        load_exported(changed(folder, spec={**spec, "seed": 5}))
    with pytest.raises(SpecError, match="of_the_future"):
        load_exported(changed(folder, spec={**spec, "of_the_future": 1}))


def test_damaged_weights_are_refused(folder):
    path = folder / "model.safetensors"
    tensors, header = read_tensors(path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunError, match="its content has changed"):
        load_exported(folder)
    path.write_bytes(content[:-100])
    with pytest.raises(RunError, match="is damaged"):
        load_exported(folder)
    first = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    spoilt = tensors[first].clone()
    spoilt.view(-1)[-1] = torch.nan  # one number suffices
    write_tensors(path, {**tensors, first: spoilt}, header)
    with pytest.raises(RunError, match=f"does not fit config.json .*{first} is not finite"):
        load_exported(folder)
    path.unlink()
    with pytest.raises(RunError, match="export the run again"):
        load_exported(folder)


def test_push_prints_one_line(folder, tmp_path, capsys):
    assert main(["push", str(folder)]) == 0
    assert capsys.readouterr().out == f"hf upload USER/exported {folder} .\n"
    spaced = folder.rename(tmp_path / "my faces (8 x 8)")
    assert upload_command(spaced) == f"hf upload USER/my-faces-8-x-8 '{spaced}' ."


@pytest.mark.parametrize("name", ["-x", "--token=x", "--delete=*"])
def test_a_folder_whose_name_is_an_option_is_a_path_in_the_command(folder, name, tmp_path, monkeypatch):
    folder.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(upload_command(name))
    assert words[3:] == [f"./{name}", "."]
    assert words[2].startswith("USER/")
    assert [word for word in words if word.startswith("-")] == []
    assert upload_command(tmp_path / name) == f"hf upload {words[2]} {shlex.quote(str(tmp_path / name))} ."


def test_push_of_another_folder_is_refused(run, capsys):
    assert "name a folder that `vaelab export` wrote" in told(capsys, "push", run)


def masked(text: str) -> str:
    return re.sub(r"\d[\d,.]*(e-\d+)?", "N", text)


def test_the_guide(tmp_path, monkeypatch, capsys):
    """Its commands and scripts print what it shows, but for numbers."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(sh|python|text)\n(.*?)```", GUIDE, re.DOTALL)
    said = ""
    for kind, text in blocks:
        if kind == "text":
            shown = text.replace("is equal to torch", "differs from torch by at most 1e-07")
            found = said.replace("is equal to torch", "differs from torch by at most 1e-07")
            assert masked(found) == masked(shown)
        elif kind == "sh":
            for line in text.splitlines():
                capsys.readouterr()
                extra = ["--compile", "never"] if line.startswith("vaelab train") else []
                assert main(shlex.split(line)[1:] + extra) == 0
            said = capsys.readouterr().out
        else:
            exec(compile(text, "docs/export.md", "exec"), {})
            said = capsys.readouterr().out
    assert [kind for kind, _ in blocks].count("text") == 4
