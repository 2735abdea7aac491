"""What somebody with ill will puts into a run, a study or a file: told in one line, and nothing else happens."""

import json
import os
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import vaelab as vl
from tests.told import told
from vaelab.cli.main import main
from vaelab.parts.trust import imported
from vaelab.runs.directory import Run
from vaelab.system.errors import UNPRINTED, RunError
from vaelab.system.markdown import as_markdown
from vaelab.system.private import is_private, user_cache
from vaelab.system.tensor_file import read_tensors, write_tensors
from vaelab.training import loop
from vaelab.training.callback import Callback, Status

SPEC = vl.Spec(data="digits", latent=2, network="mlp:hidden=4", epochs=0.2, nll_samples=2)
ROOT = Path(__file__).parents[1]


def changed(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


RESULTS = [
    {"source": "text"},
    {"source": {"absolute": "idx:a"}},
    {"seconds": {}},
    {"environment": {}},
    {"best_step": 10**400},
    {"data": {"train": {"images": 0, "shape": [1, 8, 8], "sha256": ""}, "test": None}},
    {"data": {split: {"images": 9, "shape": [8], "sha256": ""} for split in ("train", "test")}},
]


@pytest.mark.parametrize("values", RESULTS, ids=range(len(RESULTS)))
def test_a_result_of_other_values(values, run, capsys):
    changed(run / "result.json", **values)
    for words in (["compare", run], ["evaluate", run, "--samples", "3"]):
        assert re.search(r"result\.json (is damaged|has no (seconds|environment)\.)", told(capsys, *words))


def test_text_of_a_run_is_text_in_the_model_card(run, tmp_path):
    """Neither a link, nor HTML, nor a line of its own, nor an escape of the terminal."""
    evil = "x`</td><script>alert(1)</script>[click](https://evil.example)\n# Buy\r\n---\x1b[2J\x85|cell"
    result = json.loads((run / "result.json").read_text())
    result["metrics"] = [row | {"note": evil, "unit": evil} for row in result["metrics"]]
    result["provenance"]["note"] = evil
    result["data"]["test"]["sha256"] = evil
    result["findings"] = [{"kind": "collapse", "says": evil, "do": ""}]
    changed(run / "result.json", **result | {"note": evil})
    out = tmp_path / "a`b<i>\x1bc"
    exported = vl.export(run, out, "weights", callback=vl.SILENT).path
    _, front, text = (exported / "README.md").read_text().split("---\n", 2)
    prose = re.sub("`[^`\\n]+`", "", text)  # without code, which is shown as it is
    assert not re.search(r"<script>|<i>|(?<!\\)\[click", prose)
    assert not UNPRINTED.search((front + text).replace("\n", ""))
    assert not re.search("^# Buy|^---", text, re.MULTILINE)
    assert all(line.count("`") % 2 == 0 for line in text.splitlines() if not line.startswith("```"))
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)[|]", line)) for line in table}) == 1
    (line,) = (line for line in front.splitlines() if '"type": "nll"' in line)
    assert json.loads(line.partition("- ")[2])["args"]["note"] == evil


@pytest.mark.parametrize("name", ["model.safetensors", "examples.safetensors"])
def test_a_name_of_a_class_as_long_as_a_book(name, run):
    tensors, header = read_tensors(run / name)
    write_tensors(run / name, tensors, header | {"class_names": json.dumps({0: "0" * 10**6})})
    with pytest.raises(RunError, match=rf"{name} does not fit") as refused:
        Run(run).model() if name.startswith("model") else Run(run).examples("test")
    assert len(str(refused.value)) < 1000


def test_a_number_that_is_too_large_to_be_one(run, capsys):
    rows = json.loads((run / "result.json").read_text())["metrics"]
    changed(run / "result.json", metrics=[{**rows[0], "interval": [-1e308, 1e308]}, *rows[1:]])
    assert "result.json is damaged" in told(capsys, "compare", run)


def test_a_source_with_nul(run, capsys):
    changed(run / "spec.json", data="idx:\0")
    changed(run / "result.json", source={"absolute": "idx:\0", "from_run": "idx:\0"})
    assert "text that can be printed" in told(capsys, "evaluate", run, "--samples", "3")


TERMS = {"elbo": -3.0, "rate": 1.0, "distortion": 2.0}
ROWS = [
    {"step": 1},
    {"step": 1, "epoch": 1, "train": []},
    "text",
    [1],
    10**400,
    {"step": 1, "epoch": 1, "train": TERMS, "validation": TERMS, "judged": True, "criterion": "-ELBO"},
    {"step": 1, "epoch": 1, "train": TERMS, "validation": TERMS | {"loss": 3.0}, "judged": True},
]


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_log_of_other_lines(row, run, capsys):
    with (run / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n" + '{"step": 3}\n')
    assert "damaged" in told(capsys, "figure", run, "curves")


@pytest.mark.parametrize(
    "header",
    [
        {"class_names": "[]"},
        {"class_names": "5"},
        {"image_shape": "[0, 0, 0]"},
        {"image_shape": "[1, 8]"},
        {"image_shape": "8"},
    ],
)
def test_weights_with_another_header(header, run, capsys):
    tensors, before = read_tensors(run / "model.safetensors")
    write_tensors(run / "model.safetensors", tensors, {**before, **header})
    assert "does not fit spec.json" in told(capsys, "figure", run, "samples")


def test_weights_that_are_not_finite_or_too_large(run, capsys):
    tensors, header = read_tensors(run / "model.safetensors")
    name = next(name for name in tensors if name.endswith("weight"))
    for value, said in ((float("nan"), "is not finite"), (3e38, "NaN or infinite")):
        spoilt = {key: torch.full_like(tensor, value) if key == name else tensor for key, tensor in tensors.items()}
        spoilt |= {
            key: torch.full_like(tensor, 3e38) for key, tensor in tensors.items() if value > 1 and "weight" in key
        }
        write_tensors(run / "model.safetensors", spoilt, header)
        assert said in told(capsys, "figure", run, "samples")


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: t > 0, lambda t: t.to(torch.float8_e5m2)])
def test_numbers_of_each_image_of_another_form(spoil, run, done, capsys):
    tensors, header = read_tensors(run / "per_image.safetensors")
    write_tensors(run / "per_image.safetensors", {key: spoil(tensor) for key, tensor in tensors.items()}, header)
    assert "a number for each of" in told(capsys, "compare", done.path, run)


@pytest.fixture
def stopped(tmp_path, monkeypatch) -> Path:
    """A run that was stopped, with a checkpoint."""

    def stop(status: Status) -> None:
        if status.step >= 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train_on(tmp_path, Callback(lambda line: None, stop))
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    return tmp_path / "run"


def train_on(folder: Path, callback: Callback = vl.SILENT) -> Run:
    spec = SPEC.model_copy(update={"epochs": 2.0, "validate_every": 0.2})
    return vl.train(spec, folder, "run", compile="never", callback=callback)


PROGRESS = [
    {"step": "1"},
    {"step": -1},
    {"step": 0.5},
    {"step": None},
    {"step": 10**30},
    {"log_bytes": -5},
    {"log_bytes": "a"},
]


@pytest.mark.parametrize("values", PROGRESS, ids=range(len(PROGRESS)))
def test_a_checkpoint_with_another_progress(values, stopped, capsys):
    path = stopped / "checkpoint.safetensors"
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, {**header, "progress": json.dumps({**json.loads(header["progress"]), **values})})
    with pytest.raises(RunError, match="another version of vaelab"):
        train_on(stopped.parent)


def test_a_checkpoint_that_counts_more_of_the_log_than_there_is(stopped):
    path = stopped / "checkpoint.safetensors"
    tensors, header = read_tensors(path)
    write_tensors(
        path, tensors, {**header, "progress": json.dumps({**json.loads(header["progress"]), "log_bytes": 10**12})}
    )
    assert train_on(stopped.parent).done


@pytest.mark.parametrize("how", ["shape", "type", "missing", "more", "best"])
def test_a_checkpoint_of_other_tensors(how, stopped):
    path = stopped / "checkpoint.safetensors"
    tensors, header = read_tensors(path)
    name = next(name for name in tensors if name.startswith("model/") and tensors[name].numel() > 1)
    spoilt = {
        "shape": {**tensors, name: tensors[name].reshape(-1)[:1].clone()},  # which copy_ would spread
        "type": {**tensors, name: tensors[name].double()},
        "missing": {key: tensor for key, tensor in tensors.items() if key != name},
        "more": {**tensors, "model/other": torch.zeros(1)},
        "best": {**tensors, name.replace("model/", "best/"): torch.zeros(1)},
    }[how]
    write_tensors(path, spoilt, header)
    with pytest.raises(RunError, match="does not fit the Spec"):
        train_on(stopped.parent)


HOSTILE = "a\x1b[2J\x1b]52;c;eA==\x07b\x9b1m"


def test_no_text_of_a_run_moves_the_cursor(run, capsys):
    result = json.loads((run / "result.json").read_text())
    rows = [{**row, "note": HOSTILE, "unit": HOSTILE} for row in result["metrics"]]
    finding = {"kind": "odd", "says": HOSTILE, "do": HOSTILE}
    provenance = {**result["provenance"], "objective": HOSTILE}
    changed(run / "result.json", metrics=rows, findings=[finding], provenance=provenance, criterion=HOSTILE)
    assert main(["evaluate", str(run), "--metrics", "latents"]) == 0
    assert main(["compare", str(run)]) == 0
    said = capsys.readouterr().out
    assert "\\x1b" in said
    assert not {letter for letter in said if ord(letter) < 32 or 126 < ord(letter) < 160} - {"\n"}


def test_no_name_of_a_class_moves_the_cursor(tmp_path, capsys):
    from PIL import Image

    for name in ("one", "two\x1b[2J"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("L", (8, 8), number).save(tmp_path / name / f"{number}.png")
    assert main(["data", "check", f"folder:{tmp_path}"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_dollar_in_a_name_is_a_dollar(run, capsys):
    path = run.rename(run.with_name("price$^$"))
    assert main(["figure", str(path), "curves", "latents"]) == 0


@pytest.mark.thorough(0.3, group="matplotlibrc")
def test_a_matplotlibrc_in_the_current_folder_changes_no_picture(run, tmp_path, monkeypatch):
    (tmp_path / "matplotlibrc").write_text(
        "text.usetex: True\nsavefig.facecolor: red\naxes.facecolor: red\nfont.size: 30\n"
    )
    command = [sys.executable, "-m", "vaelab", "figure", str(run), "curves"]
    pictures = list[bytes]()
    for folder in (tmp_path, ROOT):
        subprocess.run(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True
        )
        pictures.append((run / "figures" / "curves.png").read_bytes())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("format", ["pdf", "svg", "png"])
@pytest.mark.parametrize("date", ["abc", "", "1e400", "-1", "9" * 30])
def test_a_date_that_is_no_date_changes_no_figure(run, format, date, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert main(["figure", str(run), "curves", "--format", format]) == 0
    before = (run / "figures" / f"curves.{format}").read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", date)
    assert main(["figure", str(run), "curves", "--format", format]) == 0
    assert os.environ["SOURCE_DATE_EPOCH"] == date
    assert (run / "figures" / f"curves.{format}").read_bytes() == before


@pytest.mark.thorough(0.3)
def test_a_backend_that_does_not_exist_is_not_asked_for(run):
    """A notebook or an editor leaves the name of its own to the programs that it starts."""
    words = [sys.executable, "-m", "vaelab", "figure", str(run), "curves"]
    done = subprocess.run(words, env=os.environ | {"MPLBACKEND": "nosuch"}, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert (run / "figures" / "curves.png").exists()


def test_trusting_an_installed_module_does_not_search_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    imported("colorsys", "rgb_to_hsv")
    imported("vaelab.priors", "PRIORS")
    assert str(tmp_path) not in sys.path
    (tmp_path / "only_here_1.py").write_text("NAME = 1\n")
    assert imported("only_here_1", "NAME") == 1


def test_a_cache_that_is_named_from_the_current_folder_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", ".cache")
    assert user_cache() == Path("~/.cache/vaelab").expanduser()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "vaelab"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX's owners")
def test_what_others_can_write_is_not_private(tmp_path):
    (tmp_path / "file").touch(mode=0o600)
    assert is_private(tmp_path / "file")
    (tmp_path / "file").chmod(0o620)
    assert not is_private(tmp_path / "file")


def test_a_grid_of_too_many_runs(tmp_path, capsys):
    values = "[" + ", ".join(map(str, range(1, 31))) + "]"
    grid = ", ".join(
        f"{name} = {values}" for name in ("latent", "batch", "epochs", "seed", "nll_samples", "split_seed")
    )
    path = tmp_path / "bomb.toml"
    path.write_text(f'title = "a"\nabout = "b"\n[[group]]\nname = "one"\ntitle = "One"\ngrid = {{ {grid} }}\n')
    assert "729,000,000 runs in the group 'one'" in told(capsys, "study", path, "--out", tmp_path)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ('show = "evil"', "figure.0.panels.0.show"),
        (
            'show = "data"\n[[published]]\nsource = "a"\nmetric = "nll"\nsamples = 1\nimages_seen = 0\nvalues = {}',
            "published.0.images_seen",
        ),
    ],
)
def test_a_study_of_other_values(field, said, tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "a"\nabout = "b"\n[[group]]\nname = "one"\ntitle = "One"\ngrid = { latent = [2] }\n'
        f'[[figure]]\nnumber = "1"\ntitle = "T"\n[[figure.panels]]\nletter = "a"\ngroup = "one"\nlatent = 2\n{field}\n'
    )
    assert said in told(capsys, "report", path, "--out", tmp_path)


def test_text_of_a_study_makes_no_link_or_heading_of_report_md(tmp_path):

    assert as_markdown("Please [read the docs][x]") == r"Please \[read the docs\]\[x\]"
    assert as_markdown("[x]: https://evil.example") == r"\[x\]: https://evil.example"
    assert as_markdown(r"\[x](https://evil.example)") == r"\\\[x\](https://evil.example)"
    assert as_markdown("# Heading") == r"\# Heading"
    assert as_markdown("~~~") == r"\~\~\~"
    assert as_markdown("1. one") == r"1\. one"
    assert as_markdown("x](https://evil.example/track.png)") == r"x\](https://evil.example/track.png)"
    assert as_markdown("**supported**") == r"\*\*supported\*\*"


HEADS = [b"(08, 8, 8)", b"(2, True, 8)", b"(" + b"9" * 5000 + b",)", b"(2, 1e3)"]


@pytest.mark.parametrize("shape", HEADS, ids=range(len(HEADS)))
@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_an_array_with_an_odd_header(shape, kind, tmp_path, capsys):
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + b", }"
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + b"\0" * 128
    if kind == "npy":
        (tmp_path / "a.npy").write_bytes(content)
    else:
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("images.npy", content)
    told(capsys, "data", "check", f"{kind}:{tmp_path / 'a.'}{kind}")


def test_a_text_file_of_gigabytes_is_not_read(run, capsys):
    with (run / "result.json").open("r+b") as file:
        file.truncate(3_000_000_000)  # sparse
    assert "result.json of more than 100 MB" in told(capsys, "compare", run)


def test_a_picture_that_is_larger_than_memory_is_not_decoded(tmp_path, capsys, monkeypatch):
    from PIL import Image

    for number in range(3):
        Image.new("L", (2000, 1000)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr("vaelab.system.memory.free_bytes", lambda: 10_000_000)
    assert "needs 40.0 MB of memory, 10.0 MB are free" in told(capsys, "data", "check", f"folder:{tmp_path}")


def test_weights_that_cannot_be_read_are_not_called_damaged(tmp_path, capsys):
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(RunError, match="cannot be read") as error:
        read_tensors(tmp_path / "model.safetensors")
    assert "delete" not in str(error.value)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write_tensors(odd, {"a": torch.zeros(1)})
    with pytest.raises(RunError, match="cannot be read"):
        read_tensors(odd)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("x"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 80 bytes."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
    ],
)
def test_too_little_memory_is_told_in_a_line(error, monkeypatch, capsys):
    def fail(argv: list[str]) -> None:
        raise error

    monkeypatch.setattr("vaelab.cli.main._answer", fail)
    said = told(capsys, "train")
    assert said.startswith("vaelab: needs ") or "no memory left" in said


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX's owners")
def test_a_program_that_others_can_change_is_not_loaded(tmp_path, monkeypatch):
    from vaelab.training.step import program

    monkeypatch.setattr(program, "_load", lambda path: path.read_bytes())
    monkeypatch.setattr(program, "_build", lambda traced, path: path.write_bytes(b"ours"))
    kept, said = tmp_path / "a.pt2", list[str]()
    for mode, expected in ((0o666, b"ours"), (0o600, b"theirs")):
        kept.write_bytes(b"theirs")
        kept.chmod(mode)
        assert program.ahead_of_time(SimpleNamespace(name="a"), tmp_path, said.append) == expected
    assert ["other users can change" in line for line in said] == [True]
