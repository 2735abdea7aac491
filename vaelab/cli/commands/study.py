"""`vaelab study`."""

import tomllib
from pathlib import Path
from typing import Annotated

import tyro

from vaelab.cli.commands.flags import Compiled, KeepCheckpoint, KeepExamples, Out, Root, StudyName, Trust, optional
from vaelab.cli.commands.report import Seeds, named_study, write_report
from vaelab.studies import known_studies
from vaelab.system.errors import SpecError


def study(
    name: StudyName,
    out: Out = Path("runs"),
    only: Annotated[
        str,
        optional("train only the runs whose label matches, such as 'svhn-conv*z=20'", "all", "PATTERN"),
    ] = "*",
    jobs: Annotated[int, tyro.conf.arg(help="number of runs at a time, each in its own process")] = 1,
    vmapped: Annotated[
        int,
        tyro.conf.arg(
            help="number of runs that are trained as one program, if they differ only in numbers such as seeds. "
            "Results match separate runs up to rounding; each run has its own directory and resumes separately"
        ),
    ] = 1,
    quick: Annotated[bool, optional("train briefly, for minutes; the report has the same sections", "off")] = False,
    seeds: Seeds = 1,
    root: Root = None,
    compile: Compiled = "auto",
    trust: Trust = (),
    keep_checkpoint: KeepCheckpoint = "no",
    keep_examples: KeepExamples = "yes",
) -> None:
    """Train every run of a study and write its report.

    Finished runs are skipped: rerun the command to resume.
    """
    from vaelab.cli import terminal
    from vaelab.runs.keep import Keep
    from vaelab.studies.run import Options, carry_out

    for flag, number in (("jobs", jobs), ("vmapped", vmapped)):
        if number < 1:
            raise SpecError(found=f"--{flag} {number}", expected="at least 1", do="raise it")
    opened = named_study(name, out, quick, seeds, trust)
    console = terminal.console()
    with terminal.watching(console) as callback:
        keep = Keep(keep_checkpoint, keep_examples == "yes")
        carry_out(opened, Options(only, jobs, root, compile, vmapped, keep), callback)
        callback.say("writing the report")
    write_report(opened, root)
    terminal.say(next_step(opened.command, seeds))


def next_step(command: str, seeds: int) -> str:
    """A line about what to do after a study."""
    if seeds == 1:
        return f"next: `{command} --seeds 3` says how much chance decides; the finished runs are kept"
    return "next: `vaelab figure RUN latents --format pdf --width 3.3in` draws a run for a paper"


def known_lines() -> list[str]:
    """The names and titles of the studies that come with vaelab, for `vaelab help study`."""
    titles = {name: tomllib.loads(path.read_text("utf-8"))["title"] for name, path in known_studies().items()}
    return ["Studies that come with vaelab:", *(f"  {name:<11} {title}" for name, title in titles.items())]
