"""The end of `vaelab study` and `vaelab report`: verdicts in short, places, and what to do next."""

from types import SimpleNamespace

import pytest

from vaelab.cli.commands import report as command
from vaelab.cli.commands.study import next_step
from vaelab.cli.main import main


def claim(verdict: str, says: str, judged: bool = True):
    return SimpleNamespace(verdict_in_words=verdict, statement=SimpleNamespace(says=says), was_judged=judged)


@pytest.fixture
def told(capsys):
    """What `print_verdicts` prints for these claims."""

    def tell(*claims) -> str:
        command.print_verdicts(claims)
        return capsys.readouterr().out

    return tell


def test_verdicts_are_told_in_short(told):
    out = told(claim("supported", "More is better."), claim("mixed", "Less is more."), claim("-", "Elsewhere.", False))
    assert [line.split() for line in out.splitlines() if "." in line] == [
        ["supported", "More", "is", "better."],
        ["mixed", "Less", "is", "more."],
    ]
    assert "1 of 3 claims are not judged" in out


def test_a_study_without_claims_tells_no_verdict(told):
    assert told() == ""


def test_what_to_do_next_depends_on_the_seeds():
    assert "`vaelab study digits --seeds 3`" in next_step("vaelab study digits", 1)
    assert "--seeds" not in next_step("vaelab study digits --seeds 3", 3)


def test_a_report_without_a_finished_run_is_one_line_and_no_file(tmp_path, capsys):
    assert main(["report", "digits", "--out", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"vaelab: no finished run in {tmp_path / 'digits'}; expected one or more to report; "
        "train them with `vaelab study digits`\n"
    )
    assert not list(tmp_path.iterdir())
