"""`vaelab train`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from vaelab.cli.commands.flags import (
    Compiled,
    Device,
    KeepCheckpoint,
    KeepExamples,
    Out,
    Reduce,
    Root,
    Threads,
    optional,
    use_threads,
)
from vaelab.runs.presets import preset as preset_named
from vaelab.runs.spec import Spec
from vaelab.system.errors import SpecError

if TYPE_CHECKING:
    from vaelab.runs.directory import Run
    from vaelab.training.callback import Callback

PLAIN = Spec()
STARTS = ("--preset", "--spec")


def train(
    spec: tyro.conf.OmitArgPrefixes[Spec] = PLAIN,
    preset: Annotated[
        str | None,
        optional("start from a model of the literature; `vaelab presets` lists them", "none", metavar="NAME"),
    ] = None,
    spec_file: Annotated[
        str | None,
        optional("start from a Spec in a file, such as RUN/spec.json", "none", metavar="FILE.json", name="spec"),
    ] = None,
    trust: Annotated[
        tuple[str, ...],
        optional("your own modules that the file of --spec may import. Their code runs", "none", metavar="MODULE"),
    ] = (),
    out: Out = Path("runs"),
    name: Annotated[
        str | None, optional("name of the run directory in --out", "made from the Spec", metavar="NAME")
    ] = None,
    root: Root = None,
    compile: Compiled = "auto",
    device: Device = "auto",
    threads: Threads = 0,
    keep_checkpoint: KeepCheckpoint = "auto",
    keep_examples: KeepExamples = "yes",
    reduce: Reduce = "ordered",
) -> None:
    """Train one model, evaluate it and draw its figures.

    If the run was interrupted, rerun the command to resume. `--preset` or `--spec` gives the starting values;
    the other flags change them.
    """
    # `preset`, `spec_file` and `trust` are in `spec` by now: `starting_values` reads them before the other flags
    from vaelab.cli import terminal
    from vaelab.runs import train as trainer

    use_threads(threads)
    console = terminal.console()
    with terminal.watching(console) as callback:
        done = trainer.train(
            spec, out, name, root, compile, device, callback, None, keep_checkpoint, keep_examples == "yes", reduce
        )
        draw(done, root, None, callback)
    print_run(done)


def draw(done: "Run", root: str | None, source: str | None, callback: "Callback") -> None:
    """Draw the figures of a finished run; of several workers, the one that leads does this."""
    from vaelab.runs import figure as pictures
    from vaelab.system.world import apart, world

    if world().leads:
        with apart():
            callback.say("drawing")
            pictures.figure(done, root=root, source=source, callback=callback)


def print_run(done: "Run") -> None:
    """Print the numbers of a finished run, and how it was trained; of several workers, the one that leads does this."""
    from vaelab.cli import terminal
    from vaelab.system.files import as_argument
    from vaelab.system.world import world

    if not world().leads:
        return
    result = done.result
    terminal.print_metrics(str(done.path), done.metrics)
    kl = sorted(done.metric("rate").parts, reverse=True)
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
    terminal.say(f"pictures: {done.path / 'figures'}")
    terminal.say(f"next: `vaelab sample {as_argument(done.path)}`, or `vaelab compare` with other runs")


def starting_values(flags: Sequence[str]) -> dict[str, Spec]:
    """The values from which the other flags start: `spec`, by `starting_spec`."""
    return {"spec": starting_spec(flags)}


def starting_spec(flags: Sequence[str]) -> Spec:
    """The Spec that the other flags of `vaelab train` change: the one of `--preset` or `--spec`, or the plain one.

    Raises:
        SpecError: both, one of them twice, no such preset, or a file with a module that `--trust` does not name.
        RunError: the file is missing or damaged.
    """
    words = [
        word
        for flag in flags
        for word in (flag.split("=", 1) if flag.split("=")[0] in (*STARTS, "--trust") else [flag])
    ]
    given = [number for number, word in enumerate(words) if word in STARTS]
    if not given:
        return PLAIN
    values = words[given[0] + 1 : given[0] + 2]
    if len(given) > 1 or not values or values[0].startswith("--"):
        found = " and ".join(words[number] for number in given) + (" without a value" if len(given) == 1 else "")
        raise SpecError(
            found=found, expected="one --preset NAME, or one --spec FILE.json", do="see `vaelab help train`"
        )
    if words[given[0]] == "--preset":
        return preset_named(values[0]).spec
    begin = words.index("--trust") + 1 if "--trust" in words else len(words)
    end = next((number for number in range(begin, len(words)) if words[number].startswith("-")), len(words))
    return Spec.read(Path(values[0]), words[begin:end])
