"""The commands, a function each. Flags are made from the signatures and, for training, from the Spec."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from vaelab.runs.spec import Spec
from vaelab.studies import known_studies
from vaelab.system.errors import RunError, SpecError

if TYPE_CHECKING:
    from vaelab.studies.study import Study

Out = Annotated[Path, tyro.conf.arg(help="directory below which runs are kept")]
Root = Annotated[
    str | None, tyro.conf.arg(name="data-root", help="data directory; without it $VAELAB_DATA, then the cache")
]
RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run's directory")]
Elsewhere = Annotated[
    str | None,
    tyro.conf.arg(help="where the run's images are now, such as folder:DIR, if they were moved; they must be the same"),
]
Trust = Annotated[
    tuple[str, ...],
    tyro.conf.arg(metavar="MODULE", help="modules of your own that the files may name; their code runs"),
]
StudyName = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="NAME|FILE.toml", help=f"{' | '.join(known_studies())} | a file"),
]
Compiled = Annotated[Literal["auto", "always", "never"], tyro.conf.arg(help="compile the training step")]


Threads = Annotated[int, tyro.conf.arg(help="processor threads to use; 0: all")]

PLAIN = Spec()
MOST_THREADS = 4096


def train(
    spec: tyro.conf.OmitArgPrefixes[Spec] = PLAIN,
    out: Out = Path("runs"),
    name: Annotated[
        str | None, tyro.conf.arg(help="the run's directory below --out; made from the Spec by default")
    ] = None,
    root: Root = None,
    compile: Compiled = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="where to train")] = "auto",
    threads: Threads = 0,
) -> None:
    """Train, evaluate and picture one model.

    `--preset NAME` starts from a model of the literature (`vaelab presets`), and `--spec FILE.json` from a Spec in a
    file; the other flags change what they say. `--trust MODULE` lets that file name parts of your own in that module.
    """
    from vaelab.cli import terminal
    from vaelab.runs import train as trainer

    _use(threads)
    console = terminal.console()
    with terminal.watching(console) as callback:
        done = trainer.train(spec, out, name, root, compile, device, callback)
        from vaelab.runs import figure as pictures

        callback.say("drawing")
        pictures.figure(done, root=root, callback=callback)
    result = done.result
    terminal.print_metrics(str(done.path), result["metrics"])
    kl = sorted(done.metric("rate")["parts"], reverse=True)
    shown = "  ".join(f"{value:.2f}" for value in kl[:10]) + (f"  and {len(kl) - 10} more" if len(kl) > 10 else "")
    terminal.print_facts(
        "",
        {
            "KL of each dimension": f"{shown}  nats, largest first" if kl else "",
            "parameters": f"{result['parameters']:,}",
            "training": f"{result['seconds']['training']:.1f} s, {result['steps']:,} steps, "
            f"weights of step {result['best_step']:,}",
            "weights chosen by": result["criterion"]
            + ("" if result["best_loss"] is None else f", {result['best_loss']:.2f} nats"),
            **terminal.provenance_facts(result),
        },
    )


def evaluate(
    run: RunPath,
    metrics: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="NAME",
            help="what to measure, such as likelihood:samples=5000 latents; see `vaelab parts`. If none is given: "
            "likelihood, latents and reconstruction",
        ),
    ] = (),
    samples: Annotated[int | None, tyro.conf.arg(help="the same as --metrics likelihood:samples=K")] = None,
    split: Annotated[str, tyro.conf.arg(help="test | validation | train")] = "test",
    seed: Annotated[int, tyro.conf.arg(help="of the draws; runs are compared on one seed")] = 0,
    again: Annotated[bool, tyro.conf.arg(help="also measure what was measured before")] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="where to measure")] = "auto",
    threads: Threads = 0,
    data: Elsewhere = None,
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Measure a finished run, print the numbers, and keep them in its result.json."""
    from vaelab.cli import terminal
    from vaelab.runs.directory import Run
    from vaelab.runs.evaluate import evaluate

    _use(threads)
    if samples is not None and metrics:
        found = f"--samples {samples} beside --metrics"
        raise SpecError(found=found, expected="one of them", do=f"write --metrics likelihood:samples={samples}")
    if samples is not None and samples < 1:
        raise SpecError(found=f"--samples {samples}", expected="at least 1 draw of z", do="raise it")
    opened = Run(run, trust)
    if samples is not None:
        metrics = (f"likelihood:samples={samples}",)
    with terminal.watching(terminal.console()) as callback:
        rows = evaluate(opened, metrics, root, split, seed, again, device, callback, data)
    terminal.print_metrics(str(run), rows)
    terminal.print_facts("", terminal.provenance_facts(opened.result))


def compare(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="runs' directories")],
    metric: Annotated[str, tyro.conf.arg(help="by which they are ranked")] = "nll",
) -> None:
    """Rank finished runs by a metric, apart where their numbers are not comparable."""
    from vaelab.cli import terminal
    from vaelab.runs import compare as comparison

    found = comparison.compare(list(runs), metric)
    terminal.print_rankings(metric, found)
    if len(found) > 1:
        print(f"{len(found)} rankings: numbers of different ones are not comparable.")


def _use(threads: int) -> None:
    import torch

    if not 0 <= threads <= MOST_THREADS:
        expected = f"0 for all, or how many, at most {MOST_THREADS:,}"
        raise SpecError(found=f"--threads {threads}", expected=expected, do="change it")
    if threads:
        torch.set_num_threads(threads)


def figure(
    run: RunPath,
    kinds: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="KIND",
            help="manifold | samples | reconstructions | traversal | interpolation | latents | curves, or "
            "package.module:Name; all of vaelab's that apply if none is given",
        ),
    ] = (),
    seed: Annotated[int, tyro.conf.arg(help="of which images and samples are shown")] = 0,
    data: Elsewhere = None,
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Draw pictures of a run into RUN/figures.

    `curves`, `manifold` and `samples` do not need the data.
    """
    from vaelab.cli import terminal
    from vaelab.runs import figure as pictures
    from vaelab.runs.directory import Run

    opened = Run(run, trust)
    with terminal.watching(terminal.console()) as callback:
        paths = pictures.figure(opened, kinds, seed, root, data, callback)
    for path in paths:
        print(path)


def replay(run: RunPath, data: Elsewhere = None, root: Root = None, trust: Trust = ()) -> None:
    """Take the step again at which a run met a number that is not finite, and show where."""
    from vaelab.cli import terminal
    from vaelab.runs.directory import Run
    from vaelab.runs.replay import replay as take_again

    terminal.print_post_mortem(str(run), take_again(Run(run, trust), root, data))


def study(
    name: StudyName,
    out: Out = Path("runs"),
    only: Annotated[str, tyro.conf.arg(help="run only what this pattern matches, such as 'svhn-conv*z=20'")] = "*",
    jobs: Annotated[int, tyro.conf.arg(help="runs at a time")] = 1,
    vmapped: Annotated[
        int, tyro.conf.arg(help="runs that are trained as one program, where only seeds, learning rates, ... differ")
    ] = 1,
    quick: Annotated[bool, tyro.conf.arg(help="a small budget: minutes, and the same shape of report")] = False,
    seeds: Annotated[int, tyro.conf.arg(help="runs of each point of the grid, with seeds 0, 1, ...")] = 1,
    root: Root = None,
    compile: Compiled = "auto",
    trust: Trust = (),
) -> None:
    """Train what a study lists, skipping what is done, and write its report."""
    from vaelab.cli import terminal
    from vaelab.studies.study import Options, carry_out

    for flag, number in (("jobs", jobs), ("vmapped", vmapped)):
        if number < 1:
            raise SpecError(found=f"--{flag} {number}", expected="at least 1", do="raise it")
    opened = study_of(name, out, quick, seeds, trust)
    console = terminal.console()
    with terminal.watching(console) as callback:
        carry_out(opened, Options(only, jobs, root, compile, vmapped), callback)
        callback.say("writing the report")
    _write_report(opened, root)


def report(
    name: StudyName,
    out: Out = Path("runs"),
    quick: Annotated[bool, tyro.conf.arg(help="of the quick study")] = False,
    seeds: Annotated[int, tyro.conf.arg(help="as the study was given it")] = 1,
    check: Annotated[bool, tyro.conf.arg(help="also look for panels, cells and verdicts that are missing")] = False,
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Write a study's report again from the runs that are done."""
    from vaelab.reports import check_report

    opened = study_of(name, out, quick, seeds, trust)
    page = _write_report(opened, root)
    if check:
        if missing := check_report(opened, page):
            found = f"{page} lacks {len(missing)} things: {'; '.join(missing[:5])}"
            raise RunError(found=found, expected="a whole report", do=f"give `{opened.command}` to run what is missing")
        print(f"whole: {len(opened.members)} runs, every panel, cell and verdict is there")


def _write_report(opened: "Study", root: str | None) -> Path:
    from vaelab.cli import terminal
    from vaelab.evaluation.measure import FEW_EFFECTIVE, FEW_MARK
    from vaelab.reports import published_numbers
    from vaelab.reports.write import report

    page, text = report(opened, root)
    published = published_numbers(opened)
    for title, records in published:
        terminal.print_records(title, records)
    if any(FEW_MARK in cell for _, records in published for record in records for cell in record.values()):
        print(f"{FEW_MARK} {FEW_EFFECTIVE}")
    print(text)
    print(page)
    return page


def study_of(name: str, out: Path, quick: bool, seeds: int, trust: tuple[str, ...]) -> "Study":
    """The study that the flags name."""
    from vaelab.studies.study import open_study

    if seeds < 1:
        raise SpecError(found=f"--seeds {seeds}", expected="at least 1", do="raise it")
    return open_study(name, out, quick, seeds, trust)


def data_list(root: Root = None) -> None:
    """The data sets that vaelab knows, and whether they are here."""
    from vaelab.cli import terminal
    from vaelab.data.check import listing

    here = {True: "yes", False: "no", None: ""}
    rows = [
        {"data": row.usage, "what it is": row.summary, "protocol": row.protocol, "here": here[row.present]}
        for row in listing(root)
    ]
    terminal.print_records("data sets", rows)
    for row in listing(root):
        if row.where:
            print(f"{row.usage}: {'in' if row.present else 'belongs in'} {row.where}")


def data_check(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE", help="mnist, svhn, npz:FILE, ...")],
    root: Root = None,
) -> None:
    """Read a data set and print its splits: counts, classes, shape, hashes and protocol."""
    from vaelab.cli import terminal
    from vaelab.data.check import check

    rows, said = check(source, root)
    for line in said:
        terminal.console().print(line, highlight=False, soft_wrap=True)
    for row in rows:
        terminal.print_facts(
            f"{row.source}, {row.split} images",
            {
                "images": f"{row.count:,}",
                "shape (C, H, W)": " x ".join(map(str, row.shape)),
                "sha256": row.sha256,
                "protocol": row.protocol,
                "published content": {True: "yes", False: "no: not the official files", None: ""}[row.official],
                "labels": "  ".join(f"{label}: {count:,}" for label, count in (row.labels or {}).items()) or "none",
                "also in training": "" if row.seen is None else f"{row.seen:,} of {row.count:,}, by equal pixels",
                "note": row.note,
            },
        )


def data_fetch(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME", help="mnist | svhn")],
    root: Root = None,
) -> None:
    """Download a data set, checking its published hashes; goes on where it was cut off."""
    from vaelab.cli import terminal
    from vaelab.data.fetch import fetch

    with terminal.downloading(terminal.console()) as progress:
        paths = fetch(name, root, progress=progress)
    for path in paths:
        print(path)


def presets() -> None:
    """The models of the literature that `vaelab train --preset NAME` trains."""
    from vaelab.cli import terminal
    from vaelab.runs.presets import PRESETS

    rows = [
        {
            "preset": name,
            "parts": "  ".join(f"{k}={v}" for k, v in entry.fields.items()) or "as they are",
            "source": entry.source,
        }
        for name, entry in PRESETS.items()
    ]
    terminal.print_records("models of the literature", rows)


def parts() -> None:
    """The parts that a Spec can name, and the metrics that can be measured, with their options."""
    from vaelab.cli import terminal
    from vaelab.evaluation.measures import METRICS
    from vaelab.parts.names import describe
    from vaelab.runs.blueprint import TABLES

    for kind, table in {**TABLES, "metric": METRICS}.items():
        terminal.print_records(kind, describe(kind, table))
