"""`vaelab report`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from vaelab.cli.commands.flags import Out, Root, StudyName, Trust, optional
from vaelab.system.errors import RunError, SpecError

if TYPE_CHECKING:
    from vaelab.reports.claims import Claim
    from vaelab.studies.study import Study

Seeds = Annotated[int, tyro.conf.arg(help="number of runs at each point of the grid, with seeds 0, 1, ...")]


def report(
    name: StudyName,
    out: Out = Path("runs"),
    quick: Annotated[bool, optional("use the runs of `vaelab study --quick`", "off")] = False,
    seeds: Seeds = 1,
    check: Annotated[bool, optional("fail if a panel, a table cell or a verdict is missing", "off")] = False,
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Write the report of a study again, from its finished runs."""
    from vaelab.cli import terminal
    from vaelab.reports import check_report

    opened = named_study(name, out, quick, seeds, trust)
    page = write_report(opened, root)
    if check:
        if missing := check_report(opened, page):
            found = f"{page} lacks {len(missing)} things: {'; '.join(missing[:5])}"
            raise RunError(found=found, expected="a complete report", do=f"run `{opened.command}` to train the rest")
        terminal.say(f"complete: {len(opened.members)} runs, with every panel, table cell and verdict")


def named_study(name: str, out: Path, quick: bool, seeds: int, trust: tuple[str, ...]) -> "Study":
    """The study that the flags name."""
    from vaelab.studies.study import open_study

    if seeds < 1:
        raise SpecError(found=f"--seeds {seeds}", expected="at least 1", do="raise it")
    return open_study(name, out, quick, seeds, trust)


def write_report(opened: "Study", root: str | None) -> Path:
    """Write the report; print its comparison with published numbers, its verdicts and its paths.

    Returns:
        The path of the page.
    """
    from vaelab.cli import terminal
    from vaelab.evaluation.measure import FEW_EFFECTIVE, FEW_MARK
    from vaelab.reports import published_numbers
    from vaelab.reports.write import report_of

    written = report_of(opened, root)
    published = published_numbers(opened)
    for title, records in published:
        terminal.print_records(title, records)
    if any(FEW_MARK in cell for _, records in published for record in records for cell in record.values()):
        terminal.say(f"{FEW_MARK} {FEW_EFFECTIVE}")
    print_verdicts([claim for of_source in written.claims.values() for claim in of_source])
    terminal.say(f"as text: {written.text}, with the pictures in {written.text.parent / 'report'}")
    terminal.say(f"open in a browser: {written.page}")
    return written.page


def print_verdicts(claims: Sequence["Claim"]) -> None:
    """Print the verdict on each claim, and how many claims are about other data or a larger budget."""
    from vaelab.cli import terminal

    judged = [claim for claim in claims if claim.was_judged]
    if judged:
        records = [{"verdict": claim.verdict_in_words, "claim": claim.statement.says} for claim in judged]
        terminal.print_records("verdicts", records)
    if others := len(claims) - len(judged):
        terminal.say(f"{others} of {len(claims)} claims are not judged: they are about other data or a larger budget")
