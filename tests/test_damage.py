"""Files that were damaged or exchanged: told in one line, and never loaded as if they were whole."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vaelab as vl
from tests.told import told
from vaelab.cli.main import main
from vaelab.system.errors import RunError, SpecError, VaelabError
from vaelab.system.files import expanded
from vaelab.system.tensor_file import read_tensors, write_tensors
from vaelab.training.callback import Callback

SPEC = vl.Spec(data="digits", latent=2, network="mlp:hidden=4", epochs=0.2, nll_samples=2)
DEEP = "[" * 100_000


def test_tensors_and_their_header_come_back_as_they_were(tmp_path):
    tensors = {
        "a": torch.randn(3, 4).t(),
        "b": torch.tensor(1.5),
        "c": torch.zeros(0, 2),
        "d": torch.tensor([True, False]),
        "e": torch.ones(2, dtype=torch.bfloat16),
    }
    write_tensors(tmp_path / "file", tensors, {"one": "1"})
    read, header = read_tensors(tmp_path / "file")
    assert header == {"one": "1"}
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("at", [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.999])
def test_a_flipped_bit_is_told_wherever_it_is(at, tmp_path):
    path = tmp_path / "file"
    write_tensors(path, {"a": torch.arange(30.0), "b": torch.arange(5)}, {"progress": "of this training"})
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="file is damaged"):
        read_tensors(path)


@pytest.mark.parametrize("name", ["model.safetensors", "per_image.safetensors"])
def test_a_flipped_bit_in_a_run_is_told(name, run, capsys):
    content = bytearray((run / name).read_bytes())
    content[-7] ^= 4
    (run / name).write_bytes(content)
    assert f"{name} is damaged (its content has changed since it was written)" in told(
        capsys, "evaluate", run, "--again"
    )


def test_a_flipped_bit_in_a_checkpoint_is_told(tmp_path, capsys):
    spec = SPEC.model_copy(update={"epochs": 50.0, "validate_every": 0.2})
    import vaelab.training.loop as loop

    before = loop.CHECKPOINT_SECONDS
    loop.CHECKPOINT_SECONDS = 0.0
    try:
        with pytest.raises(KeyboardInterrupt):
            vl.train(spec, tmp_path, "run", compile="never", callback=Callback(say=lambda line: None, show=raise_at(5)))
    finally:
        loop.CHECKPOINT_SECONDS = before
    path = tmp_path / "run" / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="its content has changed since it was written"):
        vl.train(spec, tmp_path, "run", compile="never", callback=vl.SILENT)


def raise_at(step: int):
    def show(status) -> None:
        if status.step >= step:
            raise KeyboardInterrupt

    return show


BAD_TEXTS = [
    b"",
    b"\xff\xfe{}",
    b"\x00",
    b"null",
    b"[[1, 2]]",
    b'"text"',
    b"{" * 3,
    DEEP.encode(),
    b'{"a":' * 5000,
    b'{"epochs": 1e999}',
    b'{"epochs": NaN}',
    b'{"epochs": "x"}',
    b'{"latent": 100000000000000000000000000000000}',
    b'{"self": 1}',
    b'{"network": 3}',
    b'{"network": ["mlp"]}',
]


@pytest.mark.parametrize("content", BAD_TEXTS, ids=range(len(BAD_TEXTS)))
def test_a_file_that_is_no_spec(content, run, tmp_path, capsys):
    (tmp_path / "spec.json").write_bytes(content)
    told(capsys, "train", "--spec", tmp_path / "spec.json")
    (run / "spec.json").write_bytes(content)
    told(capsys, "evaluate", run, "--again")


@pytest.mark.parametrize(
    "content", [b"\xff", b"a = [", DEEP.encode(), b"a = " + DEEP.encode(), b"title = 3", b"[a]\n" * 2]
)
def test_a_file_that_is_no_study(content, tmp_path, capsys):
    (tmp_path / "a.toml").write_bytes(content)
    assert str(tmp_path / "a.toml") in told(capsys, "study", tmp_path / "a.toml")


def test_folders_and_nothing_in_the_place_of_files(run, tmp_path, capsys):
    (tmp_path / "folder.toml").mkdir()
    assert "cannot be read" in told(capsys, "study", tmp_path / "folder.toml")
    assert "no " in told(capsys, "study", tmp_path / "nowhere.toml")
    assert "cannot be read" in told(capsys, "train", "--spec", tmp_path)
    assert "no " in told(capsys, "train", "--spec", tmp_path / "nowhere.json")
    for name in ("result.json", "model.safetensors", "per_image.safetensors", "spec.json"):
        content = (run / name).read_bytes()
        (run / name).unlink()
        (run / name).mkdir()
        assert name in told(capsys, "evaluate", run, "--again")
        (run / name).rmdir()
        (run / name).write_bytes(content)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX's")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run/spec.json", ["train", "--spec", "run/spec.json"]),
        ("run/result.json", ["compare", "run"]),
        ("run/model.safetensors", ["figure", "run", "samples"]),
        ("run/log.jsonl", ["figure", "run", "curves"]),
        ("run/.lock", ["evaluate", "run", "--samples", "3"]),
        ("study.toml", ["report", "study.toml"]),
        ("a.npz", ["data", "check", "npz:a.npz"]),
        ("a.npy", ["data", "check", "npy:a.npy"]),
        ("a.idx", ["data", "check", "idx:a.idx"]),
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(name, words, run, monkeypatch, capsys):
    monkeypatch.chdir(run.parent)
    Path(name).unlink(missing_ok=True)
    os.mkfifo(name)
    assert "a device or a pipe, not a file" in told(capsys, *words)


def walk(value, path=()):
    """Every place in JSON."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from walk(inner, (*path, key))


@pytest.mark.thorough(0.25, group="damaged files")
def test_a_result_whose_values_have_other_types(run, capsys):
    """Each value in turn is replaced by one of another type: a line, or a command that works."""
    result = json.loads((run / "result.json").read_text())
    places = [place for place in walk(result) if place and place[0] not in ("environment", "read", "source")]
    for place in places[:: max(1, len(places) // 60)]:
        for other in (None, "text", [], {}, -1, 1e300):
            changed = json.loads(json.dumps(result))
            inner = changed
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = other
            (run / "result.json").write_text(json.dumps(changed))
            for words in (["compare", run], ["evaluate", run]):
                status = main([*map(str, words)])
                said = capsys.readouterr().err
                assert status in (0, 2), (place, other)
                assert said.count("\n") == (1 if status else 0), (place, other, said)


@pytest.mark.thorough(0.4, group="processes of their own")
def test_text_is_utf_8_whatever_the_locale(tmp_path):
    (tmp_path / "study.toml").write_text(
        'title = "Étude ±"\nabout = "a"\nbase = { data = "digits" }\n[[group]]\nname = "é"\ntitle = "é"\n'
        "grid = { seed = [0] }\n",
        encoding="utf-8",
    )
    script = "from vaelab.studies.study import open_study; import sys; print(ascii(open_study(sys.argv[1]).title))"
    environment = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PATH": "/usr/bin:/bin"}
    words = [sys.executable, "-c", script, str(tmp_path / "study.toml")]
    done = subprocess.run(words, capture_output=True, env=environment, cwd=Path(__file__).parents[1], check=False)
    assert done.stdout.decode().strip() == ascii("Étude ±"), done.stderr.decode()


@pytest.mark.thorough(0.4, group="processes of their own")
def test_an_output_that_knows_only_ascii_gets_a_question_mark():
    environment = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    root = Path(__file__).parents[1]
    for words in (["parts"], ["train", "--data", "é"]):
        command = [sys.executable, "-m", "vaelab", *words]
        done = subprocess.run(command, capture_output=True, env=environment, cwd=root, check=False)
        assert b"Traceback" not in done.stderr
        assert done.returncode in (0, 2)


def test_a_home_that_is_not_known(monkeypatch):
    with pytest.raises(SpecError, match="home folder is not known"):
        expanded("~nobody-of-that-name/data")
    with pytest.raises(VaelabError):
        vl.load_data("folder:~nobody-of-that-name/data")

    def unknown(self):
        raise RuntimeError("Could not determine home directory.")

    from vaelab.system import private

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", unknown)
    assert private.user_cache() == private.user_cache()
    assert private.user_cache().is_dir()


def test_a_path_that_is_too_long(tmp_path, capsys):
    long = tmp_path / ("x" * 300)
    told(capsys, "train", "--data", "digits", "--out", long)
    told(capsys, "train", "--data", f"folder:{long}")
    told(capsys, "evaluate", long)
    told(capsys, "study", f"{long}.toml")


def test_a_folder_that_is_taken_away_while_it_is_trained_in(tmp_path):
    def remove(status) -> None:
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)

    spec = SPEC.model_copy(update={"epochs": 2.0, "validate_every": 0.2})
    with pytest.raises(RunError, match="runs/run"):
        vl.train(spec, tmp_path / "runs", "run", compile="never", callback=Callback(say=lambda line: None, show=remove))


def test_an_error_is_one_line_and_moves_no_cursor_whatever_a_name_holds(capsys):
    for name in ("a\nb", "a\u2028b", "\x1b[31mred", "a\x00b", "a\udcc3b", "\x9b2J"):
        said = told(capsys, "train", "--network", name)
        assert said.isprintable(), ascii(said)
    assert "été" in told(capsys, "train", "--network", "été")
