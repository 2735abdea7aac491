"""Going on with a finished run: the longer run is the one of its Spec, bit for bit, or it is refused."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import vaelab as vl
from tests.told import told
from vaelab.cli.main import main
from vaelab.runs import keep as keeping
from vaelab.runs.claim import claim
from vaelab.runs.evaluate import cache_of
from vaelab.runs.train import default_name
from vaelab.runs.vmapped import train_vmapped
from vaelab.system.errors import Interrupted, RunError
from vaelab.system.tensor_file import read_tensors, write_tensors
from vaelab.training.callback import SILENT, Callback

BASE = vl.Spec(data="digits", latent=2, network="mlp:hidden=8", batch=300, nll_samples=2, learning_rate=3e-3)
NEW = ("environment", "seconds", "source")  # what depends on the day, the machine and the folder


def trained(spec: vl.Spec, epochs: float, out: Path, name: str | None = None, **more) -> vl.Run:
    spec = spec.model_copy(update={"epochs": float(epochs)})
    return vl.train(spec, out, name, compile="never", callback=SILENT, **more)


def longer(run: vl.Run | Path, epochs: float, **more) -> vl.Run:
    return vl.resume(run, epochs, compile="never", callback=more.pop("callback", SILENT), **more)


def rows(run: vl.Run) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in run.log]


def assert_same(one: vl.Run, other: vl.Run) -> None:
    """Weights, log, numbers of each image, checkpoint and result, bit for bit."""
    assert one.spec == other.spec
    for name in ("model.safetensors", "per_image.safetensors", "examples.safetensors", "checkpoint.safetensors"):
        (mine, head), (theirs, its) = (read_tensors(run.path / name) for run in (one, other))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine), name
        assert {**head, "progress": ""} == {**its, "progress": ""}
    assert rows(one) == rows(other)
    kept = [{key: value for key, value in run.result.items() if key not in NEW} for run in (one, other)]
    for result in kept:
        result["provenance"] = {k: v for k, v in result["provenance"].items() if k != "resumed_from"}
    assert kept[0] == kept[1]


KINDS = {
    "mlp": {},
    "conv": {"network": "conv:channels=4,8", "posterior": "full"},
    "average": {"ema_decay": 0.9, "clip_norm": 5.0},
    "warm-up": {"objective": "beta:beta=2:warmup=12"},
    "codes": {
        "posterior": "codes:size=8:levels=2:halvings=1",
        "prior": "codes",
        "objective": "commitment",
        "network": "conv:channels=4,4",
    },
    "flow prior": {"prior": "flow:transforms=1:hidden=8"},
    "prior fitted again": {"refit": "mixture:components=3"},
    "iwae": {"objective": "iwae:samples=3"},
    "critic": {"objective": "factor:hidden=8"},
    "optimal sigma": {"protocol": "8bit", "likelihood": "gaussian:sigma=optimal", "condition": "labels"},
    "patience": {"patience": 1.0, "learning_rate": 0.05, "validate_every": 0.5},
    "no validation": {"validation": 0.0},
}


@pytest.mark.thorough(0.2, group="resumed")
@pytest.mark.parametrize("kind", KINDS)
def test_two_epochs_and_two_more_are_four_bit_for_bit(kind, tmp_path):
    spec = BASE.model_copy(update=KINDS[kind])
    whole, half = trained(spec, 4, tmp_path / "whole"), trained(spec, 2, tmp_path / "halves", "half")
    before = {path.name: path.read_bytes() for path in half.path.iterdir()}
    run = longer(half, 4)
    assert run.path == tmp_path / "halves" / whole.path.name
    assert_same(whole, run)
    assert run.result["provenance"]["resumed_from"] == {
        "run": "half", "spec": half.spec.hash, "step": half.result["steps"],
    }  # fmt: skip
    assert {path.name: path.read_bytes() for path in half.path.iterdir()} == before


def test_the_comparison_sees_a_fault(tmp_path, monkeypatch):
    """The moments of Adam are not taken over."""
    import vaelab.runs.resume as module

    write = module.write_checkpoint

    def forgetful(path, model, state, *rest):
        for moment in state.mean:
            moment.zero_()
        write(path, model, state, *rest)

    monkeypatch.setattr(module, "write_checkpoint", forgetful)
    whole, half = trained(BASE, 4, tmp_path / "whole"), trained(BASE, 2, tmp_path)
    with pytest.raises(AssertionError):
        assert_same(whole, longer(half, 4))


def test_what_is_found_early_in_the_longer_run_is_not_in_its_log(tmp_path):
    """A short run tells of an unused z in its second epoch; a long one only after a tenth of it."""
    spec = BASE.model_copy(update={"batch": 50, "objective": "beta:beta=50"})
    whole, half = trained(spec, 12, tmp_path / "whole"), trained(spec, 2, tmp_path)
    assert "findings" in half.log[-1]
    run = longer(half, 12)
    assert "findings" not in run.log[1]
    assert rows(run) == rows(whole)


def test_a_vmapped_run_goes_on_alone_as_if_it_had_been_stopped(tmp_path):
    specs = [BASE.model_copy(update={"seed": seed, "epochs": 2.0}) for seed in (0, 1)]
    runs = [planned(spec, tmp_path / "short") for spec in specs]
    assert train_vmapped(runs, None, "never", SILENT, keep=keeping.Keep()) == {}
    stopped = [planned(spec.model_copy(update={"epochs": 4.0}), tmp_path / "long") for spec in specs]
    with pytest.raises(Interrupted):
        train_vmapped(stopped, None, "never", stop_at(runs[0].result["steps"]))
    for short, long in zip(runs, stopped, strict=True):
        assert short.examples("test").sha256 == runs[0].examples("test").sha256
        assert_same(trained(short.spec, 4, long.path.parent, long.path.name), longer(short, 4))


def planned(spec: vl.Spec, folder: Path) -> vl.Run:
    from tests.built import checked

    blueprint = checked(spec)
    run = vl.Run.planned(folder / default_name(blueprint.spec), blueprint)
    claim(run, blueprint.spec)
    return run


def stop_at(step: int) -> Callback:
    """Ctrl-C after `step` steps."""

    def show(status) -> None:
        if status.step == step:
            import signal

            os.kill(os.getpid(), signal.SIGINT)

    return replace(SILENT, show=show, show_every=0.0)


def test_stopped_in_the_middle_of_what_was_added_and_resumed(tmp_path):
    whole, half = trained(BASE, 4, tmp_path / "whole"), trained(BASE, 2, tmp_path, "half")
    with pytest.raises(Interrupted, match="stopped at step 13 of"):
        longer(half, 4, callback=stop_at(13))
    (half.path / "checkpoint.safetensors").unlink()  # the longer run has its own by now
    assert_same(whole, run := longer(half, 4))
    assert run.result["provenance"]["resumed_from"]["run"] == "half"


@pytest.mark.thorough(0.2, group="resumed")
@pytest.mark.parametrize("before", ["log.jsonl", "checkpoint.safetensors", "examples.safetensors", "result.json"])
def test_killed_before_a_file_is_there_and_resumed(before, tmp_path):
    """SIGKILL in the place of a write; training the longer Spec itself resumes it too."""
    whole, half = trained(BASE, 4, tmp_path / "whole"), trained(BASE, 2, tmp_path, "half")
    script = (
        "import os, signal, sys, torch; torch.set_num_threads(1)\n"
        "from vaelab.system import files; import vaelab as vl\n"
        "replace = os.replace\n"
        "def kill(a, b):\n"
        f"    os.kill(os.getpid(), signal.SIGKILL) if str(b).endswith({before!r}) else replace(a, b)\n"
        "os.replace = kill\n"
        "vl.resume(sys.argv[1], 4, compile='never')\n"
    )
    command = [sys.executable, "-c", script, str(half.path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": "."}, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -9
    again = longer(half, 4) if before != "result.json" else trained(BASE, 4, tmp_path)
    assert_same(whole, again)


def test_a_longer_run_that_is_there_is_not_trained_again(tmp_path):
    half, said = trained(BASE, 1, tmp_path, "half"), []
    run = longer(half, 2)
    assert longer(half, 2, callback=replace(SILENT, say=said.append)).path == run.path
    assert said[-1] == f"done before: {run.path}"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"schedule": "cosine"}, "depends on the number of epochs"),
        ({"schedule": "step:at=0.5"}, "depends on the number of epochs"),
        ({"epochs": 1.5}, "its last validation is between two validations of a longer training"),
    ],
)
def test_a_run_that_is_no_part_of_the_longer_one_is_refused(fields, why, tmp_path, capsys):
    run = trained(BASE.model_copy(update=fields), fields.get("epochs", 2), tmp_path, "run")
    said = told(capsys, "resume", run.path, "--epochs", "4", "--compile", "never")
    assert why in said
    assert f"vaelab train --spec {run.path}/spec.json --epochs 4" in said
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_step_of_the_schedule_that_has_not_come_in_either_is_no_reason(tmp_path):
    """The factor is 1 in the first two epochs of both: only the steps that were taken count."""
    import vaelab.training.continuation as module

    never = vl.Spec(epochs=2)
    assert not module.why_not(never, never.model_copy(update={"epochs": 4.0}), lambda done: 1 + (done >= 1), 1000, 20)
    assert module.why_not(never, never.model_copy(update={"epochs": 4.0}), lambda done: 1 + (done >= 0.9), 1000, 20)


def test_mistakes_are_told_in_a_line(run, tmp_path, capsys):
    words = ("resume", run, "--compile", "never", "--epochs")
    for few in ("0.2", "0.1", "-1", "nan"):
        told(capsys, *words, few)
    assert "epochs = 0.1 for" in told(capsys, *words, "0.1")
    (run / "result.json").rename(tmp_path / "result.json")
    assert "no result.json; expected a finished run; rerun the command" in told(capsys, *words, "1")
    (tmp_path / "result.json").rename(run / "result.json")
    assert "no --epochs" in told(capsys, "resume", run)
    assert "a run directory, which has a spec.json" in told(capsys, "resume", tmp_path, "--epochs", "1")
    assert {path.name for path in run.parent.iterdir()} == {"run"}


@pytest.fixture
def half(tmp_path) -> Path:
    return trained(BASE, 1, tmp_path / "out", "half").path


@pytest.mark.parametrize(("here", "name"), [("half", "."), ("half/figures", ".."), ("half", "")])
def test_the_longer_run_is_beside_the_run_however_it_is_named(here, name, half, monkeypatch):
    (half / "figures").mkdir(exist_ok=True)
    monkeypatch.chdir(half.parent / here)
    before = {path.name for path in half.iterdir()}
    run = longer(Path(name), 2)
    assert run.path.parent == half.parent
    assert {path.name for path in half.iterdir()} == before
    assert run.result["provenance"]["resumed_from"]["run"] == "half"
    assert cache_of(vl.Run(name)) == half.parent / ".features"
    assert vl.Run(name).path.name == "half"  # the title of its figures and pages


def spoil(path: Path, how: str) -> None:
    tensors, header = read_tensors(path)
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "another run":
        write_tensors(path, tensors, {**header, "fingerprint": "0 0"})
    elif how == "another version":
        write_tensors(path, tensors, {**header, "progress": '{"step": 5, "mood": 1}'})
    elif how == "another shape":
        write_tensors(path, {name: tensor[:1] if tensor.dim() else tensor for name, tensor in tensors.items()}, header)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "--keep-checkpoint yes keeps"),
        ("truncated", "is damaged"),
        ("another run", "was written by another Spec"),
        ("another version", "was written by another version of vaelab"),
        ("another shape", "does not fit the Spec"),
    ],
)
def test_a_checkpoint_that_is_not_that_of_the_run(how, said, half, capsys):
    spoil(half / "checkpoint.safetensors", how)
    line = told(capsys, "resume", half, "--epochs", "2", "--compile", "never")
    assert said in line
    assert f"vaelab train --spec {half}/spec.json --epochs 2" in line
    assert [path.name for path in half.parent.iterdir()] == ["half"]


@pytest.mark.parametrize("content", [b"", b"{}\n" * 400])
def test_a_log_that_is_not_that_of_the_run(content, half, capsys):
    (half / "log.jsonl").write_bytes(content)
    assert "log.jsonl" in told(capsys, "resume", half, "--epochs", "2", "--compile", "never")
    assert [path.name for path in half.parent.iterdir()] == ["half"]


def test_other_images_are_refused(half, tmp_path, capsys):
    import numpy as np

    np.savez(tmp_path / "other.npz", images=np.random.default_rng(0).integers(0, 256, (90, 8, 8), np.uint8))
    line = told(capsys, "resume", half, "--epochs", "2", "--data", f"npz:{tmp_path / 'other.npz'}")
    assert "made with other images" in line
    assert [path.name for path in half.parent.iterdir()] == ["half"]


def test_a_checkpoint_is_kept_by_its_size_or_as_asked(tmp_path, monkeypatch, capsys):
    def kept(keep: str, name: str) -> bool:
        trained(BASE, 1, tmp_path, name, keep_checkpoint=keep)
        return (tmp_path / name / "checkpoint.safetensors").exists()

    assert kept("auto", "a")
    assert not kept("no", "b")
    monkeypatch.setattr(keeping, "CHECKPOINT_BYTES", 1000)
    assert not kept("auto", "c")
    assert kept("yes", "d")
    with pytest.raises(RunError, match="the last state of the run, which --keep-checkpoint yes keeps"):
        longer(tmp_path / "b", 2)


def test_the_runs_of_a_study_keep_no_checkpoint_unless_asked(tmp_path):
    (tmp_path / "s.toml").write_text(
        'title = "S"\nabout = "A."\n[base]\ndata = "digits"\nlatent = 2\nnetwork = "mlp:hidden=4"\nepochs = 0.2\n'
        'nll_samples = 2\n[[group]]\nname = "g"\ntitle = "G"\ngrid = { seed = [0, 1] }\n'
    )
    for more, kept in (({}, 0), ({"keep_checkpoint": "yes", "vmapped": 2}, 2)):
        study = vl.study(str(tmp_path / "s.toml"), tmp_path / f"{kept}", compile="never", callback=SILENT, **more)
        assert len(list(study.folder.glob("*/checkpoint.safetensors"))) == kept
        assert len(list(study.folder.glob("*/examples.safetensors"))) == 2


def test_the_command_prints_the_numbers_and_where_the_run_came_from(half, capsys):
    assert main(["resume", str(half), "--epochs", "2", "--name", "two", "--compile", "never", "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "nats/image" in said
    assert "resumed from" in said
    assert (half.parent / "two" / "figures" / "samples.png").exists()
    assert vl.Run(half.parent / "two").spec.epochs == 2
