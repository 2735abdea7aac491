"""Python's first minutes: the public names, a run by its path, pictures without data, data that were moved."""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from sklearn.datasets import load_digits

import vaelab as vl
from vaelab.cli.main import main
from vaelab.figures import FIGURES
from vaelab.system.errors import DataError, Interrupted, RunError, SpecError, VaelabError

TINY = {"latent": 2, "network": "mlp:hidden=8", "epochs": 1.0, "nll_samples": 5, "batch": 20}
ON_FOLDER = vl.Spec(data="folder:faces", likelihood="gaussian", protocol="8bit", **TINY)
NEED_DATA = sorted({*FIGURES} - {"manifold", "samples"})


def write_images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for i, image in enumerate(load_digits().images[:count]):
        Image.fromarray((image * 15).astype(np.uint8)).save(folder / f"{i:03}.png")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with images in `faces`, of which a run was made that stands in runs/done."""
    home = tmp_path_factory.mktemp("project")
    write_images(home / "faces", 40)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(home)
        vl.train(ON_FOLDER, "runs", "done", compile="never")
    return home


@pytest.fixture
def copied(project, tmp_path) -> Path:
    """A copy to spoil, as if it had been trained where it is."""
    home = Path(shutil.copytree(project, tmp_path / "copied"))
    result = home / "runs" / "done" / "result.json"
    result.write_text(result.read_text().replace(str(project), str(home)))
    return home


def told(capsys, *words: object) -> str:
    """The one line of a command that was refused."""
    assert main(list(map(str, words))) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


# slips --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda: vl.train("digits"), r"a str instead of a Spec; .* vl.train\(data='digits'"),
        (lambda: vl.train(latent=0), "latent = 0; expected greater than or equal to 1"),
        (lambda: vl.Spec(data=np.zeros((50, 50))), "data = a ndarray; expected a valid string"),
        (lambda: vl.Spec(laten=2), "unknown field 'laten'; .* did you mean 'latent'"),
        (lambda: vl.figure("nowhere", "samples"), "no nowhere/spec.json"),
        (lambda: vl.evaluate("nowhere"), "no nowhere/spec.json"),
    ],
)
def test_a_slip_is_told_in_one_line(slip, says):
    with pytest.raises(VaelabError, match=says) as caught:
        slip()
    assert len(str(caught.value)) < 700
    assert "\n" not in str(caught.value)


def test_a_metric_that_was_not_measured_is_told_with_those_that_were(project):
    run = vl.Run(project / "runs" / "done")
    with pytest.raises(SpecError, match=r"unknown metric 'nl'; .* did you mean 'nll'"):
        run.metric("nl")
    with pytest.raises(RunError, match="no nll of 7 samples"):
        run.metric("nll", samples=7)


def test_pictures_and_numbers_are_had_by_the_name_of_a_run_too(copied):
    path = copied / "runs" / "done"
    assert vl.figure(str(path), "samples") == [path / "figures" / "samples.png"]
    assert vl.evaluate(str(path))[0] in vl.Run(path).metrics


def test_a_figure_is_had_in_hand_and_writes_no_file(copied, monkeypatch):
    path = copied / "runs" / "done"
    before = sorted(path.rglob("*"))
    monkeypatch.setattr("vaelab.runs.directory.load_splits", None)  # samples and curves need no images
    for kind in ("samples", "curves"):
        figure = vl.draw(path, kind, callback=vl.SILENT)
        assert isinstance(figure, Figure)
        assert f"done: {kind}" in [text.get_text() for text in figure.findobj(Text)]
    assert sorted(path.rglob("*")) == before
    with pytest.raises(SpecError, match="unknown figure 'sample'"):
        vl.draw(path, "sample")


# the names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", vl.__all__)
def test_no_public_name_is_that_of_a_submodule(name):
    """Importing a submodule sets it as an attribute of the package, in the place of what the name stood for."""
    assert importlib.util.find_spec(f"vaelab.{name}") is None


@pytest.mark.thorough(0.4, group="processes of their own")
def test_public_names_stay_what_they_are_when_everything_is_imported():
    script = """if True:
        import importlib, pkgutil, vaelab
        before = {name: getattr(vaelab, name) for name in vaelab.__all__}
        for module in pkgutil.walk_packages(vaelab.__path__, "vaelab."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        print([name for name, found in before.items() if getattr(vaelab, name) is not found])
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(vl.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


# a run by its path --------------------------------------------------------------------------------------------------


def test_a_run_is_opened_by_text_or_path(project):
    assert vl.Run(str(project / "runs" / "done")) == vl.Run(project / "runs" / "done")
    assert vl.Run(str(project / "runs" / "done")).metric("nll").value > 0


@pytest.mark.parametrize("where", ["nowhere", ".", "runs", "faces/000.png"])
def test_what_is_no_run_is_refused_at_once(project, where):
    with pytest.raises(RunError, match=r"^no .*spec\.json; expected a run directory"):
        vl.Run(str(project / where))


# who looks on -------------------------------------------------------------------------------------------------------


class Terminal:
    """Standard output that says that a person sees it."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


def test_training_says_what_happens_in_a_terminal_and_nothing_elsewhere(tmp_path, monkeypatch, capsys):
    spec = vl.Spec(**{**TINY, "epochs": 2.0, "batch": 200})
    vl.train(spec, tmp_path / "a", compile="never")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    run = vl.train(spec, tmp_path / "b", compile="never")
    assert "/2  " in terminal.text
    assert "validation" in terminal.text
    assert "measuring likelihood on test images" in terminal.text
    terminal.text = ""
    vl.evaluate(run, "latents:images=20")
    assert "measuring latents" in terminal.text
    terminal.text = ""
    vl.train(spec, tmp_path / "c", compile="never", callback=vl.SILENT)
    assert terminal.text == ""


def test_a_notebook_is_a_place_where_somebody_looks_on(monkeypatch):
    notebook = type("OutStream", (), {"__module__": "ipykernel.iostream", "isatty": lambda self: False})
    lines = importlib.import_module("vaelab.training.lines")
    monkeypatch.setattr(sys, "stdout", notebook())
    assert lines.default_callback() is not vl.SILENT
    monkeypatch.setattr(sys, "stdout", None)  # as under pythonw
    assert lines.default_callback() is vl.SILENT


def test_own_parts_are_fitted_in_a_folder_given_as_text_that_is_not_there(tmp_path):
    splits = vl.load_data("digits", validation=0)
    few = replace(splits, train=splits.train.take(np.arange(40)))
    posterior, likelihood = vl.DiagonalGaussian(), vl.Bernoulli()
    network = Mlp()
    model = vl.VAE(
        vl.StandardNormal(2),
        vl.Conditional(network.encoder((1, 8, 8), posterior.parameter_shape((2,))), posterior, (1, 8, 8)),
        vl.Conditional(network.decoder((2,), likelihood.parameter_shape((1, 8, 8))), likelihood, (2,)),
    )
    plan = vl.Spec(epochs=1, batch=20, start="zero")
    progress = vl.fit(model, vl.Elbo(), few, plan, str(tmp_path / "not" / "there"), compile="never")
    assert progress.step == 2
    assert (tmp_path / "not" / "there" / "log.jsonl").exists()


class Mlp:
    """The smallest network."""

    def encoder(self, in_shape, out_shape):
        from torch import nn

        return nn.Sequential(
            nn.Flatten(), nn.Linear(int(np.prod(in_shape)), int(np.prod(out_shape))), nn.Unflatten(1, out_shape)
        )

    decoder = encoder


# pictures without data ----------------------------------------------------------------------------------------------


def test_pictures_of_the_decoder_and_the_log_need_no_data(copied, monkeypatch, capsys):
    monkeypatch.chdir(copied)
    monkeypatch.setattr("vaelab.runs.directory.load_splits", None)  # nothing is even looked for
    paths = vl.figure(vl.Run("runs/done"), ["manifold", "samples", "curves"])
    assert [path.name for path in paths] == ["manifold.png", "samples.png", "curves.png"]
    assert vl.figure(vl.Run("runs/done"), "samples") == paths[1:2]
    assert main(["figure", "runs/done", "samples"]) == 0
    assert capsys.readouterr().out.strip() == "runs/done/figures/samples.png"


def test_one_added_image_leaves_the_pictures_of_the_decoder_and_says_what_changed(copied, monkeypatch, capsys):
    monkeypatch.chdir(copied)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("faces/new.png")
    assert vl.figure(vl.Run("runs/done"), "manifold")
    line = told(capsys, "evaluate", "runs/done", "--metrics", "latents:images=3")
    assert "made with other images than folder:faces has now (33 train images, 32 then)" in line
    assert "put those files back, name a copy of them with --data" in line
    assert main(["figure", "runs/done"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "the pictures show the 4 test images that the run keeps, because runs/done: made with other images" in out
    Path("runs/done/examples.safetensors").unlink()
    shutil.rmtree("runs/done/figures")
    assert "made with other images" in told(capsys, "figure", "runs/done", "reconstructions")
    assert main(["figure", "runs/done"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"{', '.join(NEED_DATA)} left out: runs/done: made with other images" in out
    assert {path.stem for path in Path("runs/done/figures").iterdir()} == {"manifold", "samples", "curves"}


def test_one_image_that_was_exchanged_is_told_too(copied, monkeypatch, capsys):
    monkeypatch.chdir(copied)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("faces/003.png")
    assert "equally many train images, with another digest" in told(capsys, "evaluate", "runs/done", "--again")
    assert main(["figure", "runs/done", "latents"]) == 0
    assert "equally many train images, with another digest" in " ".join(capsys.readouterr().out.split())


def test_curves_of_a_run_that_was_stopped(tmp_path, capsys):
    def stop(status):
        if status.row is not None:
            os.kill(os.getpid(), 2)

    spec = vl.Spec(**{**TINY, "epochs": 50.0, "batch": 500})
    with pytest.raises(Interrupted):
        vl.train(spec, tmp_path, "stopped", compile="never", callback=vl.Callback(lambda line: None, stop))
    run = vl.Run(tmp_path / "stopped")
    assert [path.name for path in vl.figure(run, "curves")] == ["curves.png"]
    assert [path.name for path in vl.figure(run)] == ["curves.png"]
    with pytest.raises(RunError, match="train it first"):
        vl.figure(run, "samples")


def test_a_figure_that_is_not_known(project):
    with pytest.raises(SpecError, match="did you mean 'samples'"):
        vl.figure(vl.Run(project / "runs" / "done"), "sample")


# data that were moved -----------------------------------------------------------------------------------------------


def test_a_run_finds_its_relative_data_from_any_folder(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(vl.Run(project / "runs" / "done").data().train) == 32


def test_a_project_that_was_moved_whole_finds_them_beside_the_run(project, tmp_path, monkeypatch):
    moved = Path(shutil.copytree(project, tmp_path / "moved"))
    hidden = project / "faces"
    hidden.rename(project / "gone")
    try:
        monkeypatch.chdir(tmp_path)
        assert len(vl.Run("moved/runs/done").data().train) == 32
    finally:
        (project / "gone").rename(hidden)
    assert vl.Run(moved / "runs" / "done").spec.data == "folder:faces"


def test_a_namesake_in_the_current_folder_is_no_hindrance(project, tmp_path, monkeypatch):
    write_images(tmp_path / "faces", 7)
    monkeypatch.chdir(tmp_path)
    assert len(vl.Run(project / "runs" / "done").data().train) == 32


def test_data_that_are_nowhere_can_be_named_anew_and_are_held_to_their_digest(project, tmp_path, monkeypatch, capsys):
    shutil.copytree(project / "runs" / "done", tmp_path / "done")
    shutil.copytree(project / "faces", tmp_path / "elsewhere")
    write_images(tmp_path / "others", 40)
    (tmp_path / "others" / "000.png").write_bytes((tmp_path / "others" / "001.png").read_bytes())
    hidden = project / "faces"
    hidden.rename(project / "gone")
    try:
        monkeypatch.chdir(tmp_path)
        line = told(capsys, "evaluate", "done", "--metrics", "latents:images=3")
        assert "its images were not found (faces: no such folder)" in line
        assert "--data folder:PATH" in line
        assert main(["evaluate", "done", "--metrics", "latents:images=3", "--data", "folder:elsewhere"]) == 0
        assert main(["figure", "done", "latents", "--data", "folder:elsewhere"]) == 0
        capsys.readouterr()
        assert "with another digest" in told(capsys, "figure", "done", "latents", "--data", "folder:others")
        with pytest.raises(DataError, match="no such folder"):
            vl.Run("done").data(source="folder:nowhere")
    finally:
        (project / "gone").rename(hidden)


def test_the_hash_of_a_spec_does_not_depend_on_the_folder(project, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run = vl.Run(project / "runs" / "done")
    assert run.spec.data == "folder:faces"
    assert run.result["source"] == {
        "absolute": f"folder:{project / 'faces'}",
        "from_run": "folder:../../faces",
    }


def test_a_run_is_no_study(project):
    with pytest.raises(SpecError, match=r"a Run in the place of a study; expected what vl.study returns"):
        vl.report(vl.load(project / "runs" / "done"))  # type: ignore[arg-type]
