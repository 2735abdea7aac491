"""The parser of flags: its help within 80 columns, its errors in one line."""

import io
import os
import re
import sys

import pytest

from tests.told import told
from vaelab.cli.commands import COMMANDS
from vaelab.cli.commands.figure import KINDS
from vaelab.cli.main import main
from vaelab.cli.overview import sentence
from vaelab.data.fetch import PUBLISHED
from vaelab.data.sources import SOURCES
from vaelab.figures import FIGURES
from vaelab.runs.spec import Spec
from vaelab.studies import known_studies


def page(capsys, name: str) -> str:
    assert main(["help", *name.split()]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_reads_at_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = page(capsys, name)
    assert shown.split("\n\n")[1] == sentence(name)
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.search(r"\{None\}|default: \)|default: '\*'|--no-|│ +│\n│ +-|\n\n\n", shown)


def test_a_wide_terminal_gives_one_column_of_100(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    assert 80 < max(map(len, page(capsys, "train").splitlines())) <= 100


def test_the_terminal_is_as_wide_as_before(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    page(capsys, "data list")
    told(capsys, "data", "list", "--latnt")
    assert "COLUMNS" not in os.environ


def test_every_field_of_a_spec_is_a_flag(capsys):
    shown = page(capsys, "train")
    flags = [*Spec.model_fields, "preset", "spec", "trust"]
    assert all(re.search(rf"^\W+--{flag.replace('_', '-')} ", shown, re.MULTILINE) for flag in flags)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("study", known_studies()),
        ("report", known_studies()),
        ("figure", {*FIGURES, "curves"}),
        ("data check", SOURCES),
        ("data fetch", PUBLISHED),
    ],
)
def test_the_help_names_all_that_there_are(name, names, capsys):
    assert {*names} <= {*re.findall(r"[\w-]+", page(capsys, name))}


def test_no_figure_is_named_that_there_is_not():
    assert {*KINDS} == {*FIGURES, "curves"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train --latnt 5", "unknown flag --latnt; expected a flag of `vaelab train`; did you mean --latent?"),
        ("train --latnt=5", "unknown flag --latnt=5; expected a flag of `vaelab train`; did you mean --latent?"),
        ("train --preest vae", "unknown flag --preest; expected a flag of `vaelab train`; did you mean --preset?"),
        ("train --qqqq 5", "unknown flag --qqqq; expected a flag of `vaelab train`; see `vaelab help train`"),
        ("evaluate --sead 1", "unknown flag --sead; expected a flag of `vaelab evaluate`; did you mean --seed?"),
        ("evaluate -x 1", "unknown flag -x; expected a flag of `vaelab evaluate`; see `vaelab help evaluate`"),
        (
            "study digits --no-quick",
            "unknown flag --no-quick; expected a flag of `vaelab study`; did you mean --quick?",
        ),
        ("train -x 1", "unknown flag -x; expected a flag of `vaelab train`; see `vaelab help train`"),
        ("train extra", "'extra' without a flag; expected a flag before each value; see `vaelab help train`"),
        ("train --latent 1 2", "'2' without a flag; expected a flag before each value; see `vaelab help train`"),
        ("train --latent", "--latent without a value; expected a value after it; see `vaelab help train`"),
        ("train --name --latent 3", "--name without a value; expected a value after it; see `vaelab help train`"),
        ("train --latent a", "--latent 'a'; expected a whole number; change it"),
        ("train --nll-samples 1.5", "--nll-samples '1.5'; expected a whole number; change it"),
        ("train --epochs=abc", "--epochs 'abc'; expected a number; change it"),
        ("evaluate x --samples 1.5", "--samples '1.5'; expected a whole number; change it"),
        ("score x --out s.csv --alarm 5%", "--alarm '5%'; expected a number; change it"),
        ("encode x --out", "--out without a value; expected a value after it; see `vaelab help encode`"),
        (
            "score x",
            "no --out; expected file to write: .csv, .npz or .parquet; add --out FILE",
        ),
        ("resume x", "no --epochs; expected epochs of the longer run, counted from the beginning; add --epochs FLOAT"),
        ("train --device gpu", "--device 'gpu'; expected one of auto, cpu, cuda; choose one of these"),
        ("evaluate", "no RUN; expected a run directory; name it: `vaelab evaluate RUN`"),
        ("data fetch", "no NAME; expected mnist or svhn; name it: `vaelab data fetch NAME`"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_mistake_in_the_flags_is_one_line(words, expected, encoding, capsys, monkeypatch):
    """Also where tyro draws its boxes in ASCII."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    assert told(capsys, *words.split()) == f"vaelab: {expected}"


def test_a_long_value_is_told_whole(capsys):
    value = "g" * 500
    assert f"--device '{value}'; expected one of auto" in told(capsys, "train", "--device", value)


def test_an_error_of_a_command_is_no_error_of_its_flags(capsys, monkeypatch):
    def fail(root: str | None = None) -> None:
        """Fail."""
        raise SystemExit(7)

    monkeypatch.setattr("vaelab.cli.commands.data.data_list", fail)
    with pytest.raises(SystemExit) as exited:
        main(["data", "list"])
    assert exited.value.code == 7
