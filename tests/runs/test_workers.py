"""Several processes that train one run: their number changes the time, and nothing else."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

import vaelab as vl
from tests.together import ROOT, ended, free_port, started
from vaelab.training.checkpoint import step_of

SPEC = ("--data", "digits", "--latent", "2", "--network", "mlp:hidden=16", "--nll-samples", "4", "--batch", "40")
TRAIN = ("-m", "vaelab", "train", *SPEC, "--shards", "4", "--compile", "never", "--threads", "1", "--name", "run")


def digest(run: Path) -> str:
    with safe_open(run / "model.safetensors", "pt") as file:
        return file.metadata()["sha256"]


def numbers(run: Path) -> object:
    result = json.loads((run / "result.json").read_text())
    return result["metrics"], result["best_step"], result["best_loss"]


def plain(folder: Path, *more: str) -> Path:
    ((status, _, said),) = ended(started(1, [*TRAIN, *more], folder))
    assert status == 0, said
    return folder / "runs" / "run"


@pytest.mark.thorough(0.2, group="workers")
def test_any_number_of_workers_gives_the_same_run(tmp_path: Path):
    one = plain(tmp_path, "--epochs", "2", "--out", "runs")
    for size in (2, 4):
        told = ended(started(size, [*TRAIN, "--epochs", "2", "--out", f"of{size}"], tmp_path))
        assert [status for status, _, _ in told] == [0] * size, told
        assert all(said == "" for _, said, _ in told[1:]), "one worker prints"
        many = tmp_path / f"of{size}" / "run"
        assert digest(many) == digest(one)
        assert numbers(many) == numbers(one)
        assert json.loads((many / "result.json").read_text())["workers"] == size
        assert sorted(path.name for path in many.iterdir()) == sorted(path.name for path in one.iterdir())
    (status, said, _), (_, nothing, _) = ended(
        started(
            2,
            [
                "-m",
                "vaelab",
                "evaluate",
                "of4/run",
                "--metrics",
                "ais:images=4:temperatures=20:chains=2",
                "likelihood:samples=300",
            ],
            tmp_path,
        )
    )
    assert status == 0
    assert nothing == ""
    assert "nll_ais" in said
    ((status, _, said),) = ended(
        started(
            1,
            [
                "-m",
                "vaelab",
                "evaluate",
                "runs/run",
                "--metrics",
                "ais:images=4:temperatures=20:chains=2",
                "likelihood:samples=300",
            ],
            tmp_path,
        )
    )
    assert status == 0, said
    assert numbers(tmp_path / "of4" / "run") == numbers(one)


SAVE_OFTEN = (
    "import sys, vaelab.training.loop as loop; from vaelab.cli.main import main;"
    "loop.CHECKPOINT_SECONDS = 0.05; sys.exit(main())"
)


@pytest.mark.thorough(0.2, group="workers")
def test_a_killed_worker_is_told_once_and_another_number_of_workers_goes_on(tmp_path: Path):
    expected = plain(tmp_path, "--epochs", "12", "--out", "runs")
    again = [*TRAIN, "--epochs", "12", "--out", "killed"]
    checkpoint = tmp_path / "killed" / "run" / "checkpoint.safetensors"
    killed = 0
    for size, victim in ((4, 3), (2, 0), (1, 0)):
        workers = started(size, ["-c", SAVE_OFTEN, *again[2:]], tmp_path)
        if size > 1:
            written = set[int]()
            while workers[0].poll() is None and len(written) < 4:  # it is written again and again: it must not be read
                time.sleep(0.01)
                written |= {checkpoint.stat().st_mtime_ns} if checkpoint.exists() else set()
            killed += workers[victim].poll() is None
            workers[victim].send_signal(signal.SIGKILL)
        told = ended(workers)
        if size > 1:
            others = [one for rank, one in enumerate(told) if rank != victim]
            assert [status for status, _, _ in others] == [2] * (size - 1)
            lines = [line for _, _, said in others for line in said.splitlines() if line.startswith("vaelab:")]
            assert 1 <= len(lines) < size, lines  # one, unless the first worker ends before the others notice it
            assert "another worker has ended" in lines[0]
    assert killed == 2
    assert digest(tmp_path / "killed" / "run") == digest(expected)


@pytest.mark.thorough(0.2, group="workers")
def test_all_workers_stop_at_the_same_step(tmp_path: Path):
    workers = started(2, [*TRAIN, "--epochs", "1000", "--out", "runs"], tmp_path)
    log = tmp_path / "runs" / "run" / "log.jsonl"
    for _ in range(3000):
        time.sleep(0.02)
        if log.exists() and log.read_bytes().count(b"\n") > 2:
            break
    workers[1].send_signal(signal.SIGTERM)
    told = ended(workers)
    assert [status for status, _, _ in told] == [130, 130], told
    lines = [line for _, _, said in told for line in said.splitlines() if line.startswith("vaelab:")]
    assert len(lines) == 1
    stopped = int(lines[0].split("stopped at step ")[1].split(" of")[0].replace(",", ""))
    assert step_of(tmp_path / "runs" / "run" / "checkpoint.safetensors") == stopped


DIFFERENT = {
    "Spec": (("--learning-rate", "0.01"), {}, "worker 0 has Spec "),
    "reduce": (("--reduce", "fast"), {}, "worker 0 has --reduce ordered, and worker 1 has --reduce fast"),
    "folder": (
        ("--out", "elsewhere"),
        {},
        "spec.json is there, and worker 1 has a directory whose spec.json is missing",
    ),
}


@pytest.mark.thorough(0.2, group="workers")
@pytest.mark.parametrize("what", DIFFERENT)
def test_workers_that_do_not_do_the_same_are_told_so_once(what: str, tmp_path: Path):
    more, _, says = DIFFERENT[what]
    script = (
        "import os, sys; from vaelab.cli.main import main; more = os.environ.get('MORE', '').split();"
        "sys.exit(main([*sys.argv[1:], *more]))"
    )
    workers = started(2, ["-c", script, *TRAIN[2:], "--epochs", "1"], tmp_path, {1: {"MORE": " ".join(more)}})
    told = ended(workers)
    assert [status for status, _, _ in told] == [2, 2], told
    lines = [line for _, _, said in told for line in said.splitlines() if line.startswith("vaelab:")]
    assert len(lines) == 1, lines
    assert says in lines[0]
    assert not (tmp_path / "runs" / "run" / "model.safetensors").exists()


@pytest.mark.thorough(0.2, group="workers")
def test_fast_sums_give_the_same_curve(tmp_path: Path):
    one = plain(tmp_path, "--epochs", "2", "--out", "runs")
    told = ended(started(4, [*TRAIN, "--epochs", "2", "--reduce", "fast", "--out", "fast"], tmp_path))
    assert [status for status, _, _ in told] == [0] * 4, told
    curves = [
        [json.loads(line)["train"]["loss"] for line in (run / "log.jsonl").read_text().splitlines()]
        for run in (one, tmp_path / "fast" / "run")
    ]
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
    assert json.loads((tmp_path / "fast" / "run" / "result.json").read_text())["reduce"] == "fast"


@pytest.mark.thorough(0.2, group="workers")
def test_mistakes_are_one_line_of_one_worker(tmp_path: Path):
    for arguments, says in (
        (["-m", "vaelab", "train", "--epochs", "1"], "2 workers for shards = 1"),
        (["-m", "vaelab", "train", "--epoch", "1"], "--epoch"),
        (["-m", "vaelab", "figure", "run"], "`vaelab figure` with 2 workers"),
    ):
        told = ended(started(2, arguments, tmp_path))
        assert [status for status, _, _ in told] == [2, 2], told
        lines = [line for _, _, said in told for line in said.splitlines() if line.startswith("vaelab:")]
        assert len(lines) == 1, told
        assert says in lines[0]


def test_incomplete_variables_of_a_launcher_are_told(monkeypatch: pytest.MonkeyPatch):
    from vaelab.system.world import joined

    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(vl.VaelabError, match="WORLD_SIZE = 2 without RANK"), joined():
        pass


def test_nothing_of_torch_distributed_is_needed_alone(tmp_path: Path):
    script = (
        "import sys, vaelab as vl; vl.train(data='digits', epochs=0.1, network='mlp:hidden=4', latent=2, shards=2,"
        "compile='never', callback=vl.SILENT); print('torch.distributed.rendezvous' in sys.modules)"
    )
    before = "import sys, torch; print('torch.distributed.rendezvous' in sys.modules)"
    ((status, said, errors),) = ended(started(1, ["-c", script], tmp_path))
    assert status == 0, errors
    ((_, plain_torch, _),) = ended(started(1, ["-c", before], tmp_path))
    assert said == plain_torch or os.name == "nt"


@pytest.mark.thorough(0.2, group="workers")
def test_torchrun_starts_them_again_after_a_death(tmp_path: Path):
    expected = plain(tmp_path, "--epochs", "6", "--out", "runs")
    dying = (
        "import os, sys, signal, vaelab.training.loop as loop; from vaelab.training.trainer import Trainer;"
        "from vaelab.cli.main import main; took, loop.CHECKPOINT_SECONDS = Trainer.took, 0.05\n"
        "def once(self, *more):\n"
        "    took(self, *more)\n"
        "    first = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'\n"
        "    if self.progress.step == 60 and os.environ['RANK'] == '1' and first:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "Trainer.took = once; sys.exit(main())"
    )
    (tmp_path / "dying.py").write_text(dying)
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "1",
        "--monitor-interval",
        "0.1",
    ]
    address = ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    arguments = [*torchrun, *address, "dying.py", *TRAIN[2:], "--epochs", "6", "--out", "again"]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={**environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("vaelab:")]
    assert len(lines) == 1, lines
    assert "another worker has ended" in lines[0]
    assert "resuming from step" in done.stdout
    assert digest(tmp_path / "again" / "run") == digest(expected)
