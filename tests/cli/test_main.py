"""The command as a person types it: in a process of its own."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import IO

import pytest

import vaelab
from tests.told import told
from vaelab.cli import terminal
from vaelab.cli.commands import COMMANDS
from vaelab.cli.main import main
from vaelab.cli.overview import overview
from vaelab.evaluation.measures import METRICS
from vaelab.system.files import as_run_error

ROOT = Path(__file__).parents[2]


def command(*words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **extra}
    return subprocess.run(
        [sys.executable, "-m", "vaelab", *words], capture_output=True, text=True, env=environment, check=False
    )


def test_help_is_there_at_once_and_lists_every_command():
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        done = command("--help")
        seconds.append(time.perf_counter() - began)
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)
    assert min(seconds) < 0.3


def test_the_overview_imports_nothing_slow():
    script = "import sys; from vaelab.cli.main import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "matplotlib", "pydantic", "tyro"} & set(done.stdout.split())


@pytest.mark.parametrize("words", ["", "help", "-h", "--help"])
def test_the_overview_is_had_in_every_way(words, capsys):
    assert main(words.split()) == 0
    assert capsys.readouterr().out == overview() + "\n"


@pytest.mark.parametrize("words", ["data", "data --help", "data -h", "data help", "help data", "--help data"])
def test_data_alone_lists_its_commands(words, capsys):
    assert main(words.split()) == 0
    assert capsys.readouterr().out == overview("data") + "\n"


@pytest.mark.parametrize(
    "words", ["{} --help", "{} -h", "help {}", "--help {}", "-h {}", "{} --seed a --help", "{} --no-such-flag -h"]
)
@pytest.mark.parametrize("name", ["study", "data check"])
def test_the_help_of_a_command_is_had_in_every_way(words, name, capsys):
    pages = []
    for typed in (["help", *name.split()], words.format(name).split()):
        assert main(typed) == 0
        pages.append(capsys.readouterr().out)
    assert pages[0].startswith(f"usage: vaelab {name} ")
    assert pages[0] == pages[1]


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vaelab {version('vaelab')}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("trian", "unknown command 'trian'; expected one of compare, data cache, .*; did you mean 'train'[?]"),
        ("help trian", "unknown command 'trian'; .*; did you mean 'train'[?]"),
        ("data chekc", "unknown command 'data chekc'; .*; did you mean 'data check'[?]"),
        ("help data chekc", "unknown command 'data chekc'; .*; did you mean 'data check'[?]"),
        ("--threads 2 train", "the flag --threads before a command; expected the command first, then its flags; "),
        ("data --data-root x list", "the flag --data-root before a command; expected the command first"),
        ("help --threads", "the flag --threads before a command"),
    ],
)
def test_what_is_no_command_is_told_with_what_was_meant(words, expected, capsys):
    assert re.match(f"vaelab: {expected}", told(capsys, *words.split()))


@pytest.mark.thorough(0.4, group="processes of their own")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--help", "train --help", "data list"])
def test_an_output_that_cannot_be_written_is_told_in_a_line(words, unbuffered):
    with open("/dev/full", "w") as full:
        done = run(words, full, subprocess.PIPE, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert re.fullmatch(
        r"vaelab: the output cannot be written \(No space left on device\); expected .*; .*\n", done.stderr
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_an_error_that_cannot_be_written_leaves_the_exit_status():
    with open("/dev/full", "w") as full:
        assert run("nothing", subprocess.DEVNULL, full).returncode == 2


@pytest.mark.thorough(0.4, group="processes of their own")
@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--help", "train --help", "data list", "presets"])
def test_a_reader_that_left_ends_the_command_without_a_word(words, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(words, writer, subprocess.PIPE, PYTHONUNBUFFERED=unbuffered)
    finally:
        os.close(writer)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


def run(words: str, stdout: IO[str] | int, stderr: IO[str] | int, **extra: str) -> subprocess.CompletedProcess[str]:
    """The command with these streams; its status is that of a program that Python started, so it is not -SIGPIPE."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **extra}
    return subprocess.run(
        [sys.executable, "-m", "vaelab", *words.split()],
        stdout=stdout,
        stderr=stderr,
        text=True,
        env=environment,
        check=False,
    )


def test_parts_lists_every_metric(capsys):
    assert main(["parts"]) == 0
    listed = capsys.readouterr().out
    for name in METRICS:
        assert re.search(rf"^  {name}$", listed, re.MULTILINE), name


def test_the_features_of_a_distance_are_shown_with_its_name(capsys):
    about = {"unit": "u", "better": "lower", "images": 9, "split": "test", "protocol": "grey"}
    terminal.print_metrics("runs/a[b]", [vaelab.Metric(name="frechet[pixels]", value=1.5, se=0.1, **about)])
    shown = capsys.readouterr().out
    assert "frechet[pixels]" in shown
    assert "runs/a[b]" in shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train --network mpl", "expected one of article-conv, conv, mlp, residual; did you mean 'mlp'?"),
        ("train --likelihood cauchy", "expected one of bernoulli, beta, categorical"),
        (
            "train --prior vmap",
            "expected one of codes, flow, mixture, normal, sphere, standard, transformer, vamp; did you mean 'vamp'?",
        ),
        (
            "train --posterior flwo",
            "expected one of codes, diagonal, flow, full, von-mises-fisher; did you mean 'flow'?",
        ),
        ("train --posterior von-mises-fisher", "a prior of vamp, sphere"),
        ("train --prior sphere", "a posterior of von-mises-fisher"),
        ("train --prior vamp:components=5000", "5,000 training images"),
        ("train --prior mixture:components=0", "components = 0"),
        ("train --posterior von-mises-fisher --prior sphere --latent 1", "a sphere in 1 dimension"),
        ("train --objective bta", "did you mean 'beta'?"),
        ("train --schedule linear", "expected one of constant, cosine, step"),
        ("train --protocol float", "binary-dynamic"),
        ("train --data minst", "did you mean mnist?"),
        ("train --latent 0", "latent = 0"),
        ("train --batch -5", "batch = -5"),
        ("train --network mlp:hidden=-1", "hidden = -1"),
        ("train --likelihood gaussian", "--protocol 8bit"),
        ("train --device cuda", "no CUDA device"),
        ("train --spec nowhere.json", "no nowhere.json"),
        ("train --validation 5000", "validation"),
        ("evaluate nowhere", "no nowhere"),
        ("evaluate nowhere --samples -1", "--samples -1"),
        ("evaluate nowhere --threads -1", "--threads -1"),
        ("compare", "no run to rank"),
        ("figure nowhere", "no nowhere"),
        ("study articel", "did you mean 'article'?"),
        ("study nowhere.toml", "no nowhere.toml"),
        ("study digits --only nothing", "matches no run"),
        ("study digits --jobs 0", "--jobs 0"),
        ("data check npz:nowhere.npz", "nowhere.npz"),
        ("data fetch digits", "digits"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(words, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = told(capsys, *words.split())
    assert line.startswith("vaelab: ")
    assert expected in line
    assert not list(tmp_path.glob("runs/**/*.json"))


def test_train_prints_its_numbers_and_ends_with_where_they_are(tmp_path, capsys):
    done = command("train", "--epochs", "1", "--latent", "2", "--network", "mlp:hidden=8", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert re.search(r"epoch 1.*images/s.*-ELBO \d+.*rate \d.*distortion \d+.*nats.*validation \d+", done.stdout)
    assert re.search(r"KL of each dimension +\d.*nats", done.stdout)
    assert re.search(r"nll +\d+\.\d+ +\d\.\d+ +\d\S* +nats/image +100", done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 100 + len(str(tmp_path))
    (run,) = tmp_path.iterdir()
    assert done.stdout.splitlines()[-2:] == [
        f"pictures: {run / 'figures'}",
        f"next: `vaelab sample {run}`, or `vaelab compare` with other runs",
    ]
    pictures = {p.stem for p in (run / "figures").iterdir()}
    assert pictures >= {"manifold", "samples", "reconstructions", "traversal", "interpolation", "latents", "curves"}

    assert main(["evaluate", str(run), "--samples", "7"]) == 0
    assert re.search(r"nll .* 7 ", capsys.readouterr().out)
    assert main(["figure", str(run), "manifold"]) == 0
    assert capsys.readouterr().out.strip().endswith("manifold.png")
    assert "did you mean 'manifold'" in told(capsys, "figure", str(run), "manyfold")
    assert main(["train", "--spec", str(run / "spec.json"), "--seed", "1", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.thorough(0.4, group="processes of their own")
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    words = ["train", "--epochs", "4000", "--network", "mlp:hidden=8", "--compile", "never", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "vaelab", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    while not list(tmp_path.glob("*/log.jsonl")) or not next(tmp_path.glob("*/log.jsonl")).read_text():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(said.strip().splitlines()) == 1
    assert "rerun the command to resume" in said
    assert list(tmp_path.glob("*/checkpoint.safetensors"))
    assert not list(tmp_path.glob("*/result.json"))


@pytest.mark.parametrize("command", ["train", "encode", "data fetch", "data check"])
def test_what_is_said_after_ctrl_c_and_a_full_disk_is_true_of_the_command(command, monkeypatch, capsys):
    resumes = command in ("train", "data fetch")
    for error, words in (
        (KeyboardInterrupt(), "rerun the command to resume" if resumes else "rerun the command to start again"),
        (OSError(errno.ENOSPC, "No space left on device"), "rerun the command" + " to resume: finished" * resumes),
    ):

        def fail(argv, error=error):
            if isinstance(error, OSError):
                raise as_run_error(error, Path("file")) from error
            raise error

        monkeypatch.setattr("vaelab.cli.main._answer", fail)
        assert main([*command.split(), "--threads", "1"]) in (2, 130)
        said = capsys.readouterr().err
        assert words in said
        assert ("resume" in said) == resumes


def test_the_public_names_are_sorted_and_there():
    assert vaelab.__all__ == sorted(vaelab.__all__)
    for name in vaelab.__all__:
        assert getattr(vaelab, name).__doc__
    with pytest.raises(AttributeError):
        _ = vaelab.nothing
