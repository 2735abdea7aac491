"""The commands, a function each. Flags are made from the signatures and, for training, from the Spec."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from vaelab.errors import RunError, SpecError
from vaelab.spec import Spec

if TYPE_CHECKING:
    from vaelab.study import Study

Out = Annotated[Path, tyro.conf.arg(help="directory below which runs are kept")]
Root = Annotated[str | None, tyro.conf.arg(name="data-root", help="where data lie, before $VAELAB_DATA and the cache")]
RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run's directory")]
Compiled = Annotated[Literal["auto", "always", "never"], tyro.conf.arg(help="compile the training step")]


PLAIN = Spec()


def train(
    spec: tyro.conf.OmitArgPrefixes[Spec] = PLAIN,
    out: Out = Path("runs"),
    name: Annotated[
        str | None, tyro.conf.arg(help="the run's directory below --out; made from the Spec by default")
    ] = None,
    root: Root = None,
    compile: Compiled = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="where to train")] = "auto",
    threads: Annotated[int, tyro.conf.arg(help="processor threads to use; 0: all")] = 0,
) -> None:
    """Train, evaluate and picture one model. `--spec FILE.json` in first place starts from a Spec in a file."""
    import torch

    from vaelab import run, terminal
    from vaelab.draw import draw

    if threads:
        torch.set_num_threads(threads)
    console = terminal.console()
    with terminal.watching(console) as watch:
        done = run.train(spec, out, name, root, compile, device, watch)
        watch.say("drawing")
        draw(done, (), 0, root)
    result = done.result
    terminal.print_metrics(str(done.path), result["metrics"])
    kl = sorted(result["kl_per_dimension"] or [], reverse=True)
    shown = "  ".join(f"{value:.2f}" for value in kl[:10]) + (f"  and {len(kl) - 10} more" if len(kl) > 10 else "")
    terminal.print_facts(
        "",
        {
            "KL of each dimension": f"{shown}  nats, largest first" if kl else "",
            "parameters": f"{result['parameters']:,}",
            "training": f"{result['seconds']['training']:.1f} s, {result['steps']:,} steps, "
            f"weights of step {result['best_step']:,}",
        },
    )


def evaluate(
    run: RunPath,
    samples: Annotated[int, tyro.conf.arg(help="K, importance samples of each image; 0: as the Spec says")] = 0,
    root: Root = None,
) -> None:
    """Likelihood bounds and other metrics of a run's test images."""
    from vaelab import terminal
    from vaelab.run import Run, evaluate_test

    if samples < 0:
        raise SpecError(found=f"--samples {samples}", expected="at least 1 importance sample", do="raise it")
    opened = Run(run)
    data = opened.data(root)
    rows, _ = evaluate_test(opened.spec, opened.model(), data.test, samples or opened.spec.nll_samples)
    terminal.print_metrics(str(run), [row.as_dict() for row in rows])


def figure(
    run: RunPath,
    kinds: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="KIND",
            help="manifold | samples | reconstructions | traversal | interpolation | latents | curves; all that apply "
            "if none is given",
        ),
    ] = (),
    seed: Annotated[int, tyro.conf.arg(help="of which images and samples are shown")] = 0,
    root: Root = None,
) -> None:
    """Draw pictures of a run into RUN/figures."""
    from vaelab.draw import draw
    from vaelab.run import Run

    for path in draw(Run(run), kinds, seed, root):
        print(path)


def study(
    name: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE.toml", help="article | digits | a file")
    ],
    out: Out = Path("runs"),
    only: Annotated[str, tyro.conf.arg(help="run only what this pattern matches, such as 'svhn-conv*z=20'")] = "*",
    jobs: Annotated[int, tyro.conf.arg(help="runs at a time")] = 1,
    quick: Annotated[bool, tyro.conf.arg(help="a small budget: minutes, and the same shape of report")] = False,
    seeds: Annotated[int, tyro.conf.arg(help="runs of each point of the grid, with seeds 0, 1, ...")] = 1,
    root: Root = None,
    compile: Compiled = "auto",
) -> None:
    """Train what a study lists, skipping what is done, and write its report."""
    from vaelab import terminal
    from vaelab.study import Options, carry_out

    if jobs < 1:
        raise SpecError(found=f"--jobs {jobs}", expected="at least 1", do="raise it")
    opened = study_of(name, out, quick, seeds)
    console = terminal.console()
    with terminal.watching(console) as watch:
        carry_out(opened, Options(only, jobs, root, compile), watch)
        watch.say("writing the report")
    _write_report(name, out, quick, seeds, root)


def report(
    name: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE.toml", help="article | digits | a file")
    ],
    out: Out = Path("runs"),
    quick: Annotated[bool, tyro.conf.arg(help="of the quick study")] = False,
    seeds: Annotated[int, tyro.conf.arg(help="as the study was given it")] = 1,
    check: Annotated[bool, tyro.conf.arg(help="also look for panels, cells and verdicts that are missing")] = False,
    root: Root = None,
) -> None:
    """Write a study's report again from the runs that are done."""
    from vaelab.report import check_report

    page = _write_report(name, out, quick, seeds, root)
    if check:
        opened = study_of(name, out, quick, seeds)
        if missing := check_report(opened, page):
            found = f"{page} lacks {len(missing)} things: {'; '.join(missing[:5])}"
            raise RunError(found=found, expected="a whole report", do=f"give `{opened.command}` to run what is missing")
        print(f"whole: {len(opened.members)} runs, every panel, cell and verdict is there")


def _write_report(name: str, out: Path, quick: bool, seeds: int, root: str | None) -> Path:
    from vaelab.report import write_report

    opened = study_of(name, out, quick, seeds)
    page, text = write_report(opened, opened.folder, root)
    print(text)
    print(page)
    return page


def study_of(name: str, out: Path, quick: bool, seeds: int) -> "Study":
    """The study that the flags name."""
    from vaelab.study import open_study

    if seeds < 1:
        raise SpecError(found=f"--seeds {seeds}", expected="at least 1", do="raise it")
    return open_study(name, out, quick, seeds)


def data_list(root: Root = None) -> None:
    """The data sets that vaelab knows, and whether they are here."""
    from vaelab import terminal
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
    """Read a data set and print its counts, shape, hashes and protocol."""
    from vaelab import terminal
    from vaelab.data.check import check

    for row in check(source, root):
        terminal.print_facts(
            f"{row.source}, {row.split} images",
            {
                "images": f"{row.count:,}",
                "shape (C, H, W)": " x ".join(map(str, row.shape)),
                "sha256": row.sha256,
                "protocol": row.protocol,
                "published content": {True: "yes", False: "no: not the official files", None: ""}[row.official],
                "labels": "  ".join(f"{label}: {count:,}" for label, count in (row.labels or {}).items()) or "none",
                "note": row.note,
            },
        )


def data_fetch(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME", help="mnist | svhn")],
    root: Root = None,
) -> None:
    """Download a data set, checking its published hashes; goes on where it was cut off."""
    from vaelab import terminal
    from vaelab.data.fetch import fetch

    with terminal.downloading(terminal.console()) as progress:
        paths = fetch(name, root, progress=progress)
    for path in paths:
        print(path)


def parts() -> None:
    """The parts that a Spec can name, with their options."""
    from vaelab import terminal
    from vaelab.assemble import TABLES
    from vaelab.parts import describe

    for kind, table in TABLES.items():
        terminal.print_records(kind, describe(kind, table))
