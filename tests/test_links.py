"""Links and names lead nowhere: what vaelab writes stays in the folders that the user named."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vaelab as vl
from tests.built import completed
from vaelab.cli.main import main
from vaelab.reports import write_report
from vaelab.runs.claim import check_claim, claim
from vaelab.runs.train import default_name
from vaelab.studies.run import Options, carry_out
from vaelab.studies.study import open_study
from vaelab.system import files
from vaelab.system.errors import RunError, SpecError
from vaelab.system.files import check_name, only_writer, write_atomically
from vaelab.training.callback import Log

TINY = vl.Spec(data="digits", latent=2, network="mlp:hidden=4", epochs=0.1, nll_samples=2)
PRECIOUS = "precious"
ROW = {"step": 1, "epoch": 0.5, "train": {"elbo": -3.0, "rate": 1.0, "distortion": 2.0}}


@pytest.fixture
def target(tmp_path):
    """A file of the user's, outside the run, that links of a copied run lead to."""
    path = tmp_path / "target"
    path.write_text(PRECIOUS)
    yield path
    assert path.read_text() == PRECIOUS


def trained(folder: Path, name: str = "run") -> vl.Run:
    return vl.train(TINY, folder, name, compile="never", callback=vl.SILENT)


@pytest.mark.parametrize("name", [".lock", "log.jsonl", "checkpoint.safetensors", "model.safetensors", "result.json"])
def test_a_link_in_a_run_that_is_trained_is_not_followed(name, tmp_path, target):
    claim(vl.Run(tmp_path / "run", must_exist=False), completed(TINY))
    (tmp_path / "run" / name).unlink(missing_ok=True)
    (tmp_path / "run" / name).symlink_to(target)
    if name in (".lock", "log.jsonl"):
        with pytest.raises(RunError, match=f"{re.escape(name)} is a symbolic link"):
            trained(tmp_path)
    elif name == "checkpoint.safetensors":
        with pytest.raises(RunError, match=r"checkpoint\.safetensors is damaged"):
            trained(tmp_path)
    elif name == "result.json":
        with pytest.raises(RunError):
            trained(tmp_path).result  # noqa: B018
    else:
        assert not (trained(tmp_path).path / name).is_symlink()


@pytest.mark.parametrize("name", [".lock", "per_image.safetensors", "result.json"])
def test_a_link_in_a_run_that_is_measured_is_not_followed(name, tmp_path, target):
    run = trained(tmp_path)
    content = (run.path / name).read_bytes()
    (run.path / name).unlink()
    copy = tmp_path / "copy"
    copy.write_bytes(content)
    (run.path / name).symlink_to(target if name == ".lock" else copy)
    if name == ".lock":
        with pytest.raises(RunError, match=r"\.lock is a symbolic link"):
            vl.evaluate(run, "latents:images=100")
    else:
        vl.evaluate(run, "latents:images=100")
        assert copy.read_bytes() == content
        assert not (run.path / name).is_symlink()


def test_a_link_among_figures_is_replaced_and_a_folder_of_them_refused(tmp_path, target):
    run = trained(tmp_path)
    (run.path / "figures").mkdir()
    (run.path / "figures" / "samples.png").symlink_to(target)
    vl.figure(run, "samples")
    assert not (run.path / "figures" / "samples.png").is_symlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in (run.path / "figures").iterdir():
        path.unlink()
    (run.path / "figures").rmdir()
    (run.path / "figures").symlink_to(elsewhere)
    with pytest.raises(RunError, match="figures is a symbolic link"):
        vl.figure(run, "samples")
    assert not list(elsewhere.iterdir())


def test_a_lock_leaves_the_content_of_its_file(tmp_path):
    (tmp_path / ".lock").write_text(PRECIOUS)
    with only_writer(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == PRECIOUS


def test_what_a_holder_of_a_lock_raises_is_its_own(tmp_path):
    with pytest.raises(BlockingIOError), only_writer(tmp_path):
        raise BlockingIOError
    with only_writer(tmp_path):
        pass


def test_temporary_files_cannot_be_foreseen_and_are_made_anew(tmp_path, target, monkeypatch):
    seen: list[str] = []
    replace = os.replace

    def watched(temporary, path):
        seen.append(Path(temporary).name)
        assert oct(Path(temporary).stat().st_mode)[-3:] == oct(0o666 & ~umask)[-3:]
        replace(temporary, path)

    umask = os.umask(0)
    os.umask(umask)
    monkeypatch.setattr(files.os, "replace", watched)
    for content in (b"a", b"b"):
        write_atomically(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"b"
    assert len(set(seen)) == 2
    assert all(len(name) > len(".file..tmp") + 15 for name in seen)
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "known")
    (tmp_path / ".file.known.tmp").symlink_to(target)
    with pytest.raises(RunError, match="exists"):
        write_atomically(tmp_path / "file", b"c")


WRITER = """
import sys, time
from pathlib import Path
from vaelab.system import files
files.os.fsync = lambda _: (print("writing", flush=True), time.sleep(60))
files.write_atomically(Path(sys.argv[1]), b"x" * 1000)
"""


def test_leftovers_of_killed_writes_are_removed_and_no_others(tmp_path):
    (tmp_path / ".other.0000000000000123.tmp").write_text("not of this file")
    (tmp_path / ".file.0000000000000123.tmp").write_text("of an earlier version's")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "file")], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        (alive,) = set(tmp_path.iterdir()) - {tmp_path / ".other.0000000000000123.tmp"}
        write_atomically(tmp_path / "file", b"meanwhile")
        assert alive.exists()  # its writer may still end
    finally:
        writer.kill()
        writer.communicate()
    assert alive.exists()
    write_atomically(tmp_path / "file", b"then")
    assert {path.name for path in tmp_path.iterdir()} == {"file", ".other.0000000000000123.tmp"}


BAD = ["", " ", ".", "..", ".hidden", "a/b", "../../esc", "a\\b", "a\0b", "a\nb", "a\x1b[0m", "x" * 101, "\xe9" * 51]


@pytest.mark.parametrize("name", BAD)
def test_names_that_lead_elsewhere_are_refused(name, tmp_path, capsys):
    with pytest.raises(SpecError) as caught:
        check_name("a name", name)
    assert "\n" not in str(caught.value)
    with pytest.raises(SpecError, match="--name"):
        vl.train(TINY, tmp_path / "runs", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a", "a b", "mnist-z2", "a:b", "été", "x" * 100])
def test_plain_names_are_not(name):
    assert check_name("a name", name) == name


STUDY = """
title = "t"
about = "a"
base = {{ data = "digits", latent = 2, network = "mlp:hidden=4", epochs = 0.1, nll_samples = 2 }}
[[group]]
name = "{group}"
title = "one"
grid = {{ seed = [0] }}
[[figure]]
number = "{number}"
title = "a figure"
panels = [{{ letter = "{letter}", show = "samples", group = "one", latent = 2 }}]
"""


@pytest.mark.parametrize("field", ["group", "number", "letter"])
@pytest.mark.parametrize("name", ["mlp/bernoulli", "../../../esc", "x" * 101, "a\\\\b", "a\\u0000b"])
def test_a_study_with_such_a_name_is_refused_before_any_training(field, name, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(STUDY.format(**{"group": "one", "number": "1", "letter": "a", field: name}))
    with pytest.raises(SpecError, match=r"group\.0\.name|figure\.0\.(number|panels\.0\.letter)") as caught:
        open_study(str(path), tmp_path / "runs")
    assert "\n" not in str(caught.value)


def test_a_study_file_with_such_a_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "...toml"
    path.write_text(STUDY.format(group="one", number="1", letter="a"))
    with pytest.raises(SpecError, match="with a dot before it"):
        open_study("...toml")


def test_the_name_of_a_run_of_long_options_is_no_longer_than_a_name_may_be(tmp_path):
    grid = 'grid = { network = ["mlp:hidden=' + ",".join(["500"] * 60) + '", "mlp:hidden=4"] }'
    path = tmp_path / "mine.toml"
    path.write_text(STUDY.format(group="one", number="1", letter="a").replace("grid = { seed = [0] }", grid))
    members = open_study(str(path), tmp_path).members
    assert len({member.run.path for member in members}) == 2
    assert all(len(member.run.path.name.encode()) <= 100 for member in members)


def test_a_log_that_lost_lines_is_gone_on_with(tmp_path):
    said: list[str] = []
    log = Log(tmp_path / "log.jsonl", 0, said.append)
    for step in (1, 2, 3):
        length = log.append(ROW | {"step": step})
    whole = (tmp_path / "log.jsonl").read_bytes()
    for damaged, kept in (
        (b"", 0),
        (whole[:-3], 2),
        (whole.replace(b'"step": 2', b"\xff\0nonsens"), 2),
        (b"[" * 100_000 + b"\n", 0),
        (whole + b"and more", 3),
    ):
        said.clear()
        (tmp_path / "log.jsonl").write_bytes(damaged)
        log = Log(tmp_path / "log.jsonl", length, said.append)
        assert len((tmp_path / "log.jsonl").read_bytes().splitlines()) == kept
        assert (f"{kept} are left" in " ".join(said)) == (kept < 3)
        log.append(ROW | {"step": 9})
        assert Log(tmp_path / "log.jsonl", log.length, print).last == ROW | {"step": 9}


@pytest.mark.parametrize("name", ["run", "default"])
def test_a_run_that_is_a_link_is_not_trained_in(name, tmp_path, target):
    (tmp_path / "victim").mkdir()
    for file in ("log.jsonl", "model.safetensors"):
        (tmp_path / "victim" / file).write_text(PRECIOUS)
    path = tmp_path / (name if name == "run" else default_name(completed(TINY)))
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(RunError, match="is a symbolic link"):
        vl.train(TINY, tmp_path, None if name == "default" else name, compile="never", callback=vl.SILENT)
    assert {file.read_text() for file in (tmp_path / "victim").iterdir()} == {PRECIOUS}


def test_a_study_that_is_a_link_is_neither_trained_in_nor_reported_into(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "victim")
    (tmp_path / "mine.toml").write_text(STUDY.format(group="one", number="1", letter="a"))
    study = open_study(str(tmp_path / "mine.toml"), tmp_path)
    for act in (lambda: carry_out(study, Options(), vl.SILENT), lambda: write_report(study, study.folder)):
        with pytest.raises(RunError, match="mine is a symbolic link"):
            act()
    assert not list((tmp_path / "victim").iterdir())


def test_a_folder_of_features_that_is_a_link_is_not_written_to(tmp_path):
    run = trained(tmp_path)
    (tmp_path / "victim").mkdir()
    (tmp_path / ".features").symlink_to(tmp_path / "victim")
    with pytest.raises(RunError, match=r"\.features is a symbolic link"):
        vl.evaluate(run, "fidelity:features=classifier:images=100")
    assert not list((tmp_path / "victim").iterdir())


def test_a_log_with_a_second_name_is_left_alone_under_that_name(tmp_path, target):
    run = tmp_path / "run"
    claim(vl.Run(run, must_exist=False), completed(TINY))
    os.link(target, run / "log.jsonl")
    assert trained(tmp_path).log


def test_a_folder_of_other_files_is_not_made_a_run(tmp_path, target):
    (tmp_path / "run").mkdir()
    for name in ("log.jsonl", "model.safetensors"):
        (tmp_path / "run" / name).write_text(PRECIOUS)
    with pytest.raises(RunError, match=r"run contains log\.jsonl but no spec\.json"):
        trained(tmp_path)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["log.jsonl", "model.safetensors"]


def test_a_result_belongs_to_its_spec_whatever_spec_json_says(tmp_path):
    run = trained(tmp_path)
    other = TINY.model_copy(update={"seed": 5})
    (run.path / "spec.json").write_text(completed(other).canonical_json())
    for spec in (TINY, other):
        with pytest.raises(RunError, match=r"was written by another Spec \(seed = "):
            vl.train(spec, tmp_path, "run", compile="never", callback=vl.SILENT)
    (run.path / "spec.json").unlink()
    with pytest.raises(RunError, match=r"was written by another Spec \(seed = 0 there, 5 now"):
        vl.train(other, tmp_path, "run", compile="never", callback=vl.SILENT)


def test_of_two_specs_that_come_at_once_one_has_the_directory(tmp_path, monkeypatch):
    spec, other = completed(TINY), completed(TINY.model_copy(update={"seed": 5}))
    run = vl.Run(tmp_path / "run", must_exist=False)
    check, first = check_claim, [True]

    def then_another_comes(run: vl.Run, spec: vl.Spec) -> None:
        check(run, spec)
        if first.pop() if first else False:
            claim(run, other)

    monkeypatch.setattr("vaelab.runs.claim.check_claim", then_another_comes)
    with pytest.raises(RunError, match=r"was written by another Spec \(seed = 5 there, 0 now"):
        claim(run, spec)


def test_a_command_says_so_in_a_line(tmp_path, capsys):
    assert main(["train", "--data", "digits", "--name", "../out", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("vaelab: --name '../out', with a slash")
    assert said.count("\n") == 1
