"""Studies: a TOML file becomes runs, and they can be stopped and gone on with."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vaelab.runs.claim import claim
from vaelab.runs.directory import Run
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.runs.vmapped import described, vmapped_groups
from vaelab.studies import known_studies
from vaelab.studies.run import Options, carry_out
from vaelab.studies.study import open_study
from vaelab.system.errors import RunError, SpecError
from vaelab.training.callback import Callback

TINY = """
title = "Tiny"
about = "For a test."
[base]
data = "digits"
epochs = 1
nll_samples = 2
network = "mlp:hidden=8"
[quick]
epochs = 0.5
[[group]]
name = "one"
title = "One"
spec = {}
grid = { latent = [2, 3] }
[[group]]
name = "two"
title = "Two"
spec = { likelihood = "gaussian", protocol = "8bit" }
quick = { nll_samples = 1 }
grid = { latent = [2] }
"""


SILENT = Callback(say=lambda line: None, show=lambda status: None)


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    return str(tmp_path / "tiny.toml")


def test_grids_seeds_and_quick(tiny, tmp_path):
    study = open_study(tiny, tmp_path)
    assert [m.label for m in study.members] == ["one z=2", "one z=3", "two z=2"]
    assert [m.spec.epochs for m in study.members] == [1, 1, 1]
    quick = open_study(tiny, tmp_path, quick=True, seeds=2)
    assert [m.label for m in quick.members][:4] == [
        "one z=2 seed=0",
        "one z=2 seed=1",
        "one z=3 seed=0",
        "one z=3 seed=1",
    ]
    assert {m.spec.epochs for m in quick.members} == {0.5}
    assert [m.spec.nll_samples for m in quick.members] == [2, 2, 2, 2, 1, 1]
    assert study.folder != quick.folder


def test_runs_with_one_seed_are_the_first_of_several(tiny, tmp_path):
    """So that a study of three seeds trains two more, where one was trained before."""
    one, three = open_study(tiny, tmp_path), open_study(tiny, tmp_path, seeds=3)
    paths = {member.label: member.run.path for member in three.members}
    assert [paths[f"{member.label} seed=0"] for member in one.members] == [m.run.path for m in one.members]
    assert len(set(paths.values())) == len(three.members)


def test_a_run_is_named_by_all_that_its_grid_varies_in_one_directory(tmp_path):
    (tmp_path / "named.toml").write_text(
        TINY.replace("grid = { latent = [2, 3] }", 'grid = { objective = ["elbo", "beta:beta=4"], data = ["digits"] }')
        .replace("spec = {}", "spec = { latent = 2 }")
        .replace("grid = { latent = [2] }", "grid = {}")
    )
    members = open_study(str(tmp_path / "named.toml"), tmp_path).members
    labels = ["one objective=elbo data=digits", "one objective=beta:beta=4 data=digits", "two"]
    assert [member.label for member in members] == labels
    assert len({member.run.path for member in members}) == 3
    assert not any(":" in member.run.path.name for member in members)  # which scp takes for a machine's name
    text = TINY.replace(
        "grid = { latent = [2, 3] }",
        f'grid = {{ protocol = ["grey"], data = ["folder:{tmp_path}/a", "folder:{tmp_path}/b"] }}',
    )
    (tmp_path / "data.toml").write_text(text)
    runs = [member.run.path for member in open_study(str(tmp_path / "data.toml"), tmp_path).members]
    assert {path.parent for path in runs} == {tmp_path / "data"}


def test_a_study_taken_for_a_run_says_where_its_runs_are(tmp_path):
    (tmp_path / "study" / "one").mkdir(parents=True)
    (tmp_path / "study" / "one" / "spec.json").write_text("{}")
    with pytest.raises(RunError, match=r"name those in it: .*/study/\*"):
        Run(tmp_path / "study")
    with pytest.raises(RunError, match="check the path"):
        Run(tmp_path / "nowhere")


def test_carried_out_in_part_and_then_whole(tiny, tmp_path):
    study = open_study(tiny, tmp_path)
    said: list[str] = []
    carry_out(study, Options(only="two*"), SILENT)
    assert [m.run.done for m in study.members] == [False, False, True]
    stamp = (study.members[2].run.path / "result.json").stat().st_mtime_ns
    carry_out(study, Options(), Callback(said.append, SILENT.show))
    assert all(m.run.done for m in study.members)
    assert (study.members[2].run.path / "result.json").stat().st_mtime_ns == stamp
    assert "Tiny: 3 runs, 1 done before" in said
    runs = [line for line in said if line.startswith("[")]
    assert [re.sub(r"about \d+:\d\d", "about 0:00", line) for line in runs] == [
        "[1/2] one z=2, about 0:00 left for the study",
        "[2/2] one z=3, about 0:00 left for the study",
    ]


@pytest.mark.thorough(0.25, group="processes of a study")
def test_in_processes_of_their_own_the_runs_are_the_same(tiny, tmp_path):
    alone, vmapped = open_study(tiny, tmp_path / "alone"), open_study(tiny, tmp_path / "together")
    carry_out(alone, Options(), SILENT)
    carry_out(vmapped, Options(jobs=2), SILENT)
    for one, two in zip(alone.members, vmapped.members, strict=True):
        values = [[m.value for m in member.run.metrics] for member in (one, two)]
        assert values[0] == pytest.approx(values[1])
        assert one.run.spec == two.run.spec


@pytest.mark.thorough(0.25, group="processes of a study")
def test_killed_and_started_again_it_gives_the_same_numbers(tiny, tmp_path):
    """SIGKILL, which nothing can catch, once the second run has begun; then the same command again."""
    words = [sys.executable, "-m", "vaelab", "study", tiny, "--out", str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    study = open_study(tiny, tmp_path / "killed")
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as process:
        while not (study.members[1].run.path / "spec.json").exists():
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    assert study.members[0].run.done
    assert not study.members[2].run.done
    stamp = (study.members[0].run.path / "result.json").stat().st_mtime_ns
    again = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert re.search(r"^open in a browser: .*report\.html$", again.stdout, re.MULTILINE)
    assert again.stdout.splitlines()[-1].startswith("next: `vaelab study ")
    assert "3 runs, 1 done before" in again.stdout or "3 runs, 2 done before" in again.stdout
    assert (study.members[0].run.path / "result.json").stat().st_mtime_ns == stamp
    whole = open_study(tiny, tmp_path / "whole")
    carry_out(whole, Options(), SILENT)
    for one, two in zip(study.members, whole.members, strict=True):
        values = [[m.value for m in member.run.metrics] for member in (one, two)]
        assert values[0] == pytest.approx(values[1])


@pytest.mark.thorough(0.25, group="processes of a study")
def test_a_run_that_fails_in_a_process_is_named(tiny, tmp_path):
    study = open_study(tiny, tmp_path)
    claim(study.members[0].run, study.members[0].spec)
    (study.members[0].run.path / "checkpoint.safetensors").write_bytes(b"rubbish")
    with pytest.raises(RunError, match=r"1 of 3 runs failed: one z=2: .*checkpoint.safetensors is damaged"):
        carry_out(study, Options(jobs=2), SILENT)
    assert [m.run.done for m in study.members] == [False, True, True]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("title", "titel"), "tiny.toml: "),
        (("latent = [2, 3]", "latent = ["), r"toml is damaged"),
        (('network = "mlp:hidden=8"', 'network = "nlp"'), "unknown network 'nlp'"),
        (("epochs = 1", "epoch = 1"), "unknown field 'epoch'"),
        (("latent = [2]", "latent = [0]"), "latent = 0"),
    ],
)
def test_mistakes_in_a_study_file(tiny, tmp_path, change, words):
    (tmp_path / "tiny.toml").write_text(TINY.replace(*change))
    with pytest.raises(SpecError, match=words) as caught:
        open_study(tiny, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", known_studies())
def test_figures_show_runs_that_the_study_has(name, tmp_path):
    study = open_study(name, tmp_path)
    have = {(m.group, m.latent) for m in study.members}
    assert {(p.group, p.latent) for f in study.figures for p in f.panels} <= have
    assert {p.show for f in study.figures for p in f.panels} <= {"data", "reconstructions", "samples", "manifold"}


def test_the_article_has_its_whole_grid(tmp_path):
    study = open_study("article", tmp_path)
    grid = {
        (m.spec.data, m.spec.network.split(":")[0], m.spec.likelihood.split(":")[0], m.latent) for m in study.members
    }
    svhn = [("mlp", "bernoulli"), ("article-conv", "bernoulli"), ("article-conv", "gaussian")]
    expected = {("mnist", "mlp", "bernoulli", z) for z in (2, 5, 10, 20)}
    expected |= {("svhn", network, likelihood, z) for network, likelihood in svhn for z in (2, 5, 20, 50, 100)}
    assert grid == expected
    letters = {figure.number: "".join(p.letter for p in figure.panels if not p.ours) for figure in study.figures}
    assert letters == {"1": "abcde", "2": "abcd", "3": "abcde", "4": "abcde", "5": "abcde"}


def test_runs_that_differ_in_numbers_are_one_program_and_are_the_same(tiny, tmp_path):
    alone, vmapped = (open_study(tiny, tmp_path / name, seeds=3) for name in ("alone", "together"))
    said: list[str] = []
    carry_out(vmapped, Options(vmapped=3), Callback(said.append, SILENT.show))
    assert "[1-3/9] one z=2 seed=0: 3 runs as one program, seed 0 to 2" in said
    (second,) = [line for line in said if line.startswith("[4-6/9]")]
    assert re.fullmatch(
        r"\[4-6/9\] one z=3 seed=0: 3 runs as one program, seed 0 to 2, about \d+:\d\d left for the study", second
    )
    assert not [line for line in said if "done before:" in line]
    carry_out(alone, Options(), SILENT)
    for one, two in zip(alone.members, vmapped.members, strict=True):
        values = [[m.value for m in member.run.metrics] for member in (one, two)]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-4)
        assert one.run.spec == two.run.spec
        assert sorted(p.name for p in one.run.path.iterdir()) == sorted(p.name for p in two.run.path.iterdir())
        assert (one.run.result["vmapped"], two.run.result["vmapped"]) == (1, 3)


def test_a_pack_is_of_runs_alike_and_equally_far(tiny, tmp_path, monkeypatch):
    study = open_study(tiny, tmp_path, seeds=3)
    for member in study.members:
        claim(member.run, member.spec)
    runs = [member.run for member in study.members]
    assert vmapped_groups(runs, 8) == [runs[:3], runs[3:6], runs[6:]]
    assert vmapped_groups(runs[:3], 2) == [runs[:2], runs[2:3]]
    checkpoint = "checkpoint.safetensors"
    with monkeypatch.context() as patched:
        patched.setattr("vaelab.runs.vmapped.step_of", lambda path: 7 if path == runs[1].path / checkpoint else 0)
        assert vmapped_groups(runs[:3], 8) == [[runs[0], runs[2]], [runs[1]]]
    (runs[0].path / checkpoint).write_bytes(b"rubbish")
    train(study.members[4].spec, runs[4].path.parent, runs[4].path.name)
    assert vmapped_groups(runs[:6], 8) == [[runs[0]], runs[1:3], [runs[3], runs[5]], [runs[4]]]
    with pytest.raises(RunError, match=r"1 of 8 runs failed: one z=2 seed=0: .*checkpoint.safetensors is damaged"):
        carry_out(study, Options(vmapped=8), SILENT)
    assert [m.run.done for m in study.members] == [False] + [True] * 8


def test_what_the_runs_of_a_pack_differ_in():
    specs = [Spec(seed=seed, learning_rate=rate) for seed in (0, 1, 2) for rate in (1e-3, 2e-3)]
    assert described(specs) == "seed 0 to 2, learning_rate 0.001, 0.002"
    assert described([Spec(seed=seed) for seed in (1, 5, 3)]) == "seed 1, 3, 5"


def test_together_in_processes_is_refused(tiny, tmp_path):
    with pytest.raises(SpecError, match="both --jobs 2 and --vmapped 4"):
        carry_out(open_study(tiny, tmp_path), Options(jobs=2, vmapped=4), SILENT)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("claims =", "clams =", "unknown field of .*: 'clams'; .* did you mean 'claims'"),
        ('title = "One"', 'titel = "One"', "unknown field of .*: 'group.0.titel'; .* did you mean 'group.0.title'"),
        ('letter = "a"', 'leter = "a"', "'figure.0.panels.0.leter'; .* did you mean 'figure.0.panels.0.letter'"),
        ('title = "One"', "", "group.0.title: field required"),
    ],
)
def test_a_slip_in_a_study_file_is_told_with_a_guess(old, new, says, tmp_path):
    text = """
title = "A study"
about = "Of one model."
claims = []
[[group]]
name = "one"
title = "One"
grid = { latent = [2] }
[[figure]]
number = "1"
title = "Samples"
panels = [{ letter = "a", show = "samples", group = "one", latent = 2 }]
"""
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new))
    with pytest.raises(SpecError, match=says):
        open_study(str(tmp_path / "mine.toml"))
