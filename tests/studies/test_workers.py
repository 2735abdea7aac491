"""Processes of a study: they carry out jobs, run no file of the current folder, and do not outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vaelab as vl
from vaelab.runs.directory import Run
from vaelab.studies.workers import Worker

ROOT = str(Path(__file__).parents[2])
SHORT = {"data": "digits", "latent": 2, "network": "mlp:hidden=4", "epochs": 0.1, "nll_samples": 2}
STUDY = """
title = "Two"
about = "Two long runs."
base = { data = "digits", latent = 2, network = "mlp:hidden=4", epochs = 100000 }
[[group]]
name = "one"
title = "One"
grid = { seed = [0, 1] }
"""
posix = pytest.mark.skipif(os.name == "nt", reason="sessions and these signals are POSIX's")


def job(folder: Path, **fields) -> dict:
    spec = vl.Spec(**{**SHORT, **fields})
    rest = {"metrics": [], "root": None, "compile": "never", "threads": 1, "keep": {"keep_checkpoint": "no"}}
    return {"spec": spec.model_dump(), "folder": str(folder), **rest}


@pytest.fixture
def worker():
    made = Worker()
    yield made
    made.close()


@pytest.mark.thorough(0.4, group="processes of their own")
def test_one_job_after_another_by_one_process_that_begins_anew_where_it_died(worker, tmp_path):
    said: list[dict] = []
    assert worker.carry_out(job(tmp_path / "a") | {"metrics": ["latents:images=100"]}, said.append) == ""
    assert {metric.measure.split(":")[0] for metric in Run(tmp_path / "a").metrics} >= {"latents", "likelihood"}
    assert any(entry.get("status", {}).get("step") for entry in said)  # as data, not as text to be read again
    assert any("measuring latents" in entry.get("say", "") for entry in said)
    process = worker._process
    assert "unknown network 'mpl'" in worker.carry_out(job(tmp_path / "b", network="mpl"), said.append)
    assert worker._process is process
    process.kill()
    process.wait()
    assert worker.carry_out(job(tmp_path / "c"), said.append) == ""
    assert worker._process is not process


@pytest.mark.thorough(0.25, group="processes of a study")
def test_one_that_dies_at_work_fails_that_job_alone(worker, tmp_path):
    long = job(tmp_path / "long", epochs=100_000)
    assert "ended with status -9" in worker.carry_out(long, lambda _: worker._process.kill())
    assert worker.carry_out(job(tmp_path / "short"), lambda _: None) == ""


@pytest.mark.thorough(0.4, group="processes of their own")
def test_one_that_is_stopped_saves_its_state_and_can_be_asked_again(worker, tmp_path):
    def stop(said: dict) -> None:
        if "status" in said:
            worker.stop()

    assert "stopped at step" in worker.carry_out(job(tmp_path / "long", epochs=100_000), stop)
    assert (tmp_path / "long" / "checkpoint.safetensors").exists()
    assert worker.carry_out(job(tmp_path / "short"), lambda _: None) == ""


@pytest.mark.thorough(0.4, group="processes of their own")
def test_what_parts_print_is_no_answer_and_what_kills_one_is_told(worker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loud.py").write_text(
        'import os, sys\nfrom vaelab.priors import StandardNormal\nprint(\'{"end": ""}\', flush=True)\n\n\n'
        "class Prior(StandardNormal):\n    def forward(self):\n"
        "        if os.path.exists('die'):\n            os.write(2, b'no more\\n')\n            os._exit(7)\n"
        "        return super().forward()\n"
    )
    assert worker.carry_out(job(tmp_path / "a", prior="loud:Prior"), lambda _: None) == ""
    assert Run(tmp_path / "a", trust="loud").done
    Path("die").touch()
    said = worker.carry_out(job(tmp_path / "b", prior="loud:Prior"), lambda _: None)
    assert said == "its process ended with status 7: no more"


@pytest.mark.thorough(0.4, group="processes of their own")
def test_no_file_of_the_current_folder_is_imported(worker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("types", "json", "torch", "numba", "sitecustomize", "vaelab"):
        Path(f"{name}.py").write_text("from pathlib import Path\nPath('ran').touch()\nraise SystemExit(1)\n")
    assert worker.carry_out(job(tmp_path / "a"), lambda _: None) == ""
    assert not Path("ran").exists()


def processes_of(group: str) -> list[int]:
    """Those whose environment has this mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if group.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


@pytest.mark.thorough(0.25, group="processes of a study")
@posix
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="asks /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_none_outlives_a_study_that_is_ended(number, tmp_path):
    (tmp_path / "two.toml").write_text(STUDY)
    mark = f"VAELAB_TEST_MARK={tmp_path}"
    words = ["study", "two.toml", "--jobs", "2", "--compile", "never"]
    parent = subprocess.Popen(
        [sys.executable, "-m", "vaelab", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT, "VAELAB_TEST_MARK": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while len([path for path in (tmp_path / "runs").glob("two/*/log.jsonl") if path.read_text()]) < 2:
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(processes_of(mark)) == 3
    parent.send_signal(number)
    parent.communicate(timeout=60)
    ended = time.monotonic()
    while processes_of(mark) and time.monotonic() < ended + 5:
        time.sleep(0.1)
    assert not processes_of(mark)
    assert len(list((tmp_path / "runs").glob("two/*/checkpoint.safetensors"))) == 2  # each saved its state


def learning(folder: Path) -> subprocess.Popen[str]:
    """A training in a process of its own, which has said how far it is."""
    words = ["train", "--epochs", "100", "--network", "mlp:hidden=8", "--compile", "never", "--threads", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vaelab", *words, "--out", str(folder)],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "epoch" not in process.stdout.readline():
        assert process.poll() is None
    return process


@pytest.mark.thorough(0.25, group="processes of a study")
@posix
def test_a_terminal_that_is_closed_saves_the_state(tmp_path):
    process = learning(tmp_path)
    process.send_signal(signal.SIGHUP)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "rerun the command to resume" in told
    assert list(tmp_path.glob("*/checkpoint.safetensors"))


@posix
def test_what_is_ignored_stays_ignored_as_behind_nohup():
    from vaelab.training import interrupt

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt.stop_signals(print) as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
            signal.raise_signal(signal.SIGTERM)
            assert stop.is_set()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.thorough(0.25, group="processes of a study")
@posix
def test_a_pipe_that_is_closed_saves_the_state(tmp_path):
    process = learning(tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # as `head` does when it has seen enough
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 130
    assert len(told.strip().splitlines()) == 1, told
    assert "rerun the command to resume" in told
    assert list(tmp_path.glob("*/checkpoint.safetensors"))


@pytest.mark.thorough(0.4, group="processes of their own")
@posix
@pytest.mark.parametrize("words", [["--help"], ["parts"], ["train", "--help"]])
def test_what_reads_only_the_first_line_gets_no_traceback(words):
    command = f"{sys.executable} -m vaelab {' '.join(words)} | head -n 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ROOT}, check=False
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@posix
def test_a_long_step_is_said_to_be_waited_for(tmp_path, monkeypatch):
    from vaelab.training import interrupt

    monkeypatch.setattr(interrupt, "TELL_SECONDS", 0.1)
    said: list[str] = []
    with interrupt.stop_signals(said.append) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_set()
        deadline = time.monotonic() + 5
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert said == [
        "stopping once this step, or the compiler, is done and the state is saved; Ctrl-C again stops at once"
    ]
    with interrupt.stop_signals(said.append) as stop:
        stop.set()  # as a closed pipe does: the signal that follows is the first, and lets the state be saved
        os.kill(os.getpid(), signal.SIGTERM)
    before = len(said)
    with interrupt.stop_signals(said.append):
        os.kill(os.getpid(), signal.SIGHUP)
    time.sleep(0.3)
    assert len(said) == before  # at once, and nothing to say
