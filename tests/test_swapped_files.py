"""Files that others swapped or put in the way: nothing of theirs runs, nothing is lost, and it is told in a line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaelab as vl
from tests.told import told
from vaelab.cli.main import main
from vaelab.data import fetch
from vaelab.evaluation.fidelity.fidelity import Fidelity
from vaelab.studies.run import Options, carry_out
from vaelab.studies.study import open_study
from vaelab.system.errors import DataError, RunError, SpecError
from vaelab.system.files import hold, opened, write_atomically
from vaelab.system.private import own_folder
from vaelab.training.step import program

ROOT = Path(__file__).parents[1]
TINY = ["--epochs", "0.2", "--latent", "2", "--network", "mlp:hidden=4", "--nll-samples", "2", "--compile", "never"]
STUDY = """
title = "Two"
about = "Two short runs."
base = { data = "digits", network = "mlp:hidden=4", nll_samples = 2, epochs = 0.2 }
[[group]]
name = "one"
title = "One"
grid = { latent = [2, 3] }
"""


def test_what_the_compiler_starts_does_not_look_into_the_current_folder(tmp_path, monkeypatch):
    """torch asks a Python of its own what the processor can do: `python -c "from ctypes import cdll ..."`."""
    (tmp_path / "ctypes.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    before = dict(os.environ)
    with program._apart(None):
        subprocess.run([sys.executable, "-c", "from ctypes import cdll"], check=True)
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(own_folder())
    assert not Path("ran").exists()
    assert dict(os.environ) == before
    with program._apart(tmp_path):
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path)


def test_no_header_is_taken_from_where_others_can_write():
    """torch keeps precompiled headers in /tmp, whatever its cache is, and asks nobody whose they are."""
    assert program.OPTIONS["aot_inductor.precompile_headers"] is False
    from torch._inductor import config

    assert hasattr(config.aot_inductor, "precompile_headers")  # the option is still called so


@pytest.mark.thorough(0.3, group="matplotlibrc")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
@pytest.mark.parametrize("kind", ["pipe", "bytes"])
def test_a_matplotlibrc_in_the_current_folder_is_not_read(kind, run, tmp_path):
    if kind == "pipe":
        os.mkfifo(tmp_path / "matplotlibrc")
    else:
        (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe: \xff")
    command = [sys.executable, "-P", "-c", "import sys; from vaelab.cli.main import main; sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run(
        [*command, "figure", str(run), "curves"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_of_two_downloads_of_a_file_one_is_refused(tmp_path):
    part = tmp_path / "images.part"
    one, other = (opened(part, os.O_WRONLY | os.O_CREAT) for _ in range(2))
    try:
        hold(one)
        with pytest.raises(OSError, match="another process downloads this file"):
            fetch._hold(other, part)
        os.close(one)
        part.rename(tmp_path / "images")  # the first has finished
        with pytest.raises(OSError, match="has finished this file"):
            fetch._hold(other, part)
    finally:
        os.close(other)


def images(folder: Path, count: int = 4, first: int = 0) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(np.full((8, 8), first + number, np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names are UTF-8 there")
def test_names_that_cannot_be_written_down_are_refused_before_the_training(tmp_path, monkeypatch, capsys):
    bad = os.fsdecode(b"bad\xff")
    with pytest.raises(DataError, match="a name that is not UTF-8"):
        vl.load_data(f"folder:{images(tmp_path / 'faces' / bad).parent}")
    assert "not a UTF-8 path" in told(capsys, "train", "--data", "digits", *TINY, "--out", str(tmp_path / bad))
    (tmp_path / bad).mkdir()
    monkeypatch.chdir(tmp_path / bad)
    assert "not a UTF-8 path" in told(capsys, "train", "--data", "digits", *TINY, "--out", str(tmp_path / "out"))
    assert "text that can be printed" in told(capsys, "train", "--data", f"folder:{bad}", *TINY)
    assert not (tmp_path / "out").exists()
    for space in "\u00a0\u202f\u3000":  # which file names of many systems have
        assert (
            len(vl.load_data(vl.Spec(data=f"folder:{images(tmp_path / f'a{space}b')}").data).train) == 2
        )  # of four: one is tested on, one validated on


def test_a_folder_with_figures_of_the_users_own_is_not_made_a_run(tmp_path, capsys):
    own = tmp_path / "paper" / "figures" / "samples.png"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert "contains figures" in told(capsys, "train", *TINY, "--out", tmp_path, "--name", "paper")
    assert own.read_text() == "mine"


def test_files_that_are_called_nearly_as_leftovers_stay(tmp_path):
    own = [tmp_path / name for name in (".result.json.mine.tmp", ".result.json.0123456789abcdef.tmp.old")]
    for path in own:
        path.write_text("mine")
    write_atomically(tmp_path / "result.json", b"{}")
    assert all(path.read_text() == "mine" for path in own)


@pytest.mark.parametrize(
    "flags",
    [
        ["--batch", "100000000000000000000"],
        ["--epochs", "1e308"],
        ["--threads", "3000000000"],
        ["--nll-samples", "10000000000000"],
        ["--network", "mlp:hidden=4611686018427387904"],
        ["--objective", "iwae:samples=100000000000000000000"],
        ["--data", "idx:\x1b[2J"],
    ],
    ids=lambda flags: flags[0],
)
def test_what_no_training_can_be_is_refused_before_it(flags, tmp_path, capsys):
    told(capsys, "train", *flags, "--out", tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_measured_or_drawn_in_a_run_that_is_a_link(run, tmp_path, capsys):
    before = sorted(path.name for path in run.rglob("*"))
    (tmp_path / "link").symlink_to(run)
    assert "symbolic link" in told(capsys, "evaluate", tmp_path / "link", "--metrics", "latents:images=50")
    assert "symbolic link" in told(capsys, "figure", tmp_path / "link", "samples")
    assert sorted(path.name for path in run.rglob("*")) == before


def test_a_result_of_another_spec_is_not_a_studys_own(tmp_path, capsys):
    (tmp_path / "two.toml").write_text(STUDY)
    study = open_study(str(tmp_path / "two.toml"), tmp_path)
    carry_out(study, Options(compile="never"), vl.SILENT)
    one, two = (member.run.path for member in study.members)
    shutil.copy(two / "result.json", one / "result.json")
    for command in ("study", "report"):
        assert "written by another Spec" in told(capsys, command, tmp_path / "two.toml", "--out", tmp_path)


def test_validation_images_that_changed_are_noticed(tmp_path):
    splits = {"train": 12, "val": 5, "test": 5}
    for place, (name, count) in enumerate(splits.items()):
        images(tmp_path / "faces" / name, count, 50 * place)
    spec = vl.Spec(data=f"folder:{tmp_path / 'faces'}", latent=2, network="mlp:hidden=4", epochs=1, nll_samples=2)
    run = vl.train(spec, tmp_path / "out", compile="never", callback=vl.SILENT)
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "faces" / "val" / "0.png")
    with pytest.raises(RunError, match=r"other images than .* has now .*validation images"):
        run.data()


GROUPS = [
    (STUDY + '[[group]]\nname = "one"\ntitle = "B"\ngrid = { latent = [2] }\n', "two runs with the same label"),
    (STUDY.replace("epochs = 0.2", "epochs = 0.2, seed = 7"), "seed = 7 outside the grids"),
    (
        STUDY + '[[published]]\nsource = "a"\nmetric = "nll"\nsamples = 2\nimages_seen = 5\nvalues = { onne = 3.0 }\n',
        "unknown group in",
    ),
    (
        STUDY + '[[published]]\nsource = "a"\nmetric = "nll"\nsamples = 2\nimages_seen = 5\nvalues = { one = nan }\n',
        "finite number",
    ),
    (
        STUDY + '[[figure]]\nnumber = "1"\ntitle = "a"\n'
        'panels = [{ letter = "1a", show = "samples", group = "one", latent = 2 }]\n',
        "letter",
    ),
]


@pytest.mark.parametrize(("text", "said"), GROUPS, ids=range(len(GROUPS)))
def test_a_study_that_would_show_one_thing_as_another_is_refused(text, said, tmp_path, capsys):
    (tmp_path / "two.toml").write_text(text)
    assert said in told(capsys, "report", tmp_path / "two.toml", "--out", tmp_path)


def test_memory_that_linux_does_not_give_is_told_in_a_line(monkeypatch, capsys):
    def fail(argv: list[str]) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes.")

    monkeypatch.setattr("vaelab.cli.main._answer", fail)
    assert told(capsys, "train").startswith("vaelab: needs 80 bytes of memory at once; ")


def test_a_closed_output_is_no_fault(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["--version"]) == 0
    assert main(["nothing"]) == 2
    sys.stdout.close()
    sys.stderr.close()


def test_fewer_images_than_neighbours_are_refused():
    with pytest.raises(SpecError, match="images = 5 with neighbours = 5; expected more images than neighbours"):
        Fidelity(images=5)


@pytest.mark.parametrize("change", ["protocol", "data"])
def test_a_result_that_lacks_a_field_or_has_one_too_many(change, run, capsys):
    result = json.loads((run / "result.json").read_text())
    if change == "protocol":
        del result["provenance"]["protocol"]
    else:
        result["data"]["foo"] = 5
    (run / "result.json").write_text(json.dumps(result))
    assert "result.json" in told(capsys, "compare", run)


def test_a_log_of_gigabytes_is_not_read(run, capsys):
    with (run / "log.jsonl").open("ab") as file:
        file.truncate(2 * 2**30)
    assert "more than 100 MB" in told(capsys, "figure", run, "curves")


def test_folders_that_lead_to_each_other_end(tmp_path):
    folders = [images(tmp_path / "a" / str(number), 1) for number in range(8)]
    for one in folders:
        for other in folders:
            if one != other:
                (one / f"to-{other.name}").symlink_to(other)
    with pytest.raises(DataError, match="more than 1,000 links to folders"):
        vl.load_data(f"folder:{tmp_path / 'a'}")
    deep = tmp_path / "b" / "/".join("d" * 30)
    images(deep)
    with pytest.raises(DataError, match="more than 20 folders deep"):
        vl.load_data(f"folder:{tmp_path / 'b'}")


def test_a_report_of_the_users_own_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "two.toml").write_text(STUDY)
    assert main(["study", str(tmp_path / "two.toml"), "--out", str(tmp_path)]) == 0
    own = tmp_path / "two" / "report.md"
    own.with_suffix(".html").unlink()
    own.write_text("mine")
    assert "which vaelab did not write" in told(capsys, "report", tmp_path / "two.toml", "--out", tmp_path)
    assert own.read_text() == "mine"
    own.unlink()
    for _ in range(2):  # the second time over our own
        assert main(["report", str(tmp_path / "two.toml"), "--out", str(tmp_path)]) == 0


def test_a_key_of_very_many_parts_is_answered_at_once(tmp_path, capsys):
    (tmp_path / "two.toml").write_text("a." * 60_000 + "b = 1")
    assert "a key of more than a hundred parts" in told(capsys, "study", tmp_path / "two.toml", "--out", tmp_path)


def test_seeds_without_end_are_answered_at_once(tmp_path, capsys):
    (tmp_path / "two.toml").write_text(STUDY)
    assert "at most 10,000" in told(capsys, "study", tmp_path / "two.toml", "--out", tmp_path, "--seeds", 10**9)


def test_a_foreign_name_is_drawn_without_a_warning(run, capsys):
    foreign = run.rename(run.with_name("\N{CJK UNIFIED IDEOGRAPH-65E5}\N{CJK UNIFIED IDEOGRAPH-672C}"))
    assert main(["figure", str(foreign), "curves"]) == 0
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", ["model.safetensors", "per_image.safetensors"])
def test_weights_and_numbers_of_another_run_are_not_taken_for_its_own(name, run, tmp_path, capsys):
    other = vl.train(
        vl.Run(run).spec.model_copy(update={"seed": 1}), tmp_path, "other", compile="never", callback=vl.SILENT
    )
    shutil.copy(other.path / name, run / name)
    assert "written by a run of another Spec" in told(capsys, "evaluate", run, "--metrics", "latents:images=20")
