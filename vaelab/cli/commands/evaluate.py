"""`vaelab evaluate`."""

from typing import Annotated

import tyro

from vaelab.cli.commands.flags import Device, MovedData, Root, RunPath, Threads, Trust, optional, use_threads
from vaelab.system.errors import SpecError


def evaluate(
    run: RunPath,
    metrics: Annotated[
        tuple[str, ...],
        optional(
            "what to measure, such as likelihood:samples=5000 latents; see `vaelab parts`",
            "likelihood, latents and reconstruction",
            metavar="NAME",
        ),
    ] = (),
    samples: Annotated[int | None, optional("short for --metrics likelihood:samples=K", "not set", metavar="K")] = None,
    split: Annotated[str, tyro.conf.arg(metavar="SPLIT", help="test, validation or train")] = "test",
    seed: Annotated[
        int, tyro.conf.arg(help="seed of the draws of z. `vaelab compare` ranks only numbers with the same seed")
    ] = 0,
    again: Annotated[bool, optional("measure again what RUN/result.json already has", "off")] = False,
    device: Device = "auto",
    threads: Threads = 0,
    data: MovedData = None,
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Measure a finished run and print the numbers.

    The numbers are also kept in RUN/result.json.
    """
    from vaelab.cli import terminal
    from vaelab.runs.directory import Run
    from vaelab.runs.evaluate import evaluate
    from vaelab.system.world import world

    use_threads(threads)
    if samples is not None and metrics:
        found = f"--samples {samples} together with --metrics"
        raise SpecError(found=found, expected="one of the two", do=f"write --metrics likelihood:samples={samples}")
    if samples is not None and samples < 1:
        raise SpecError(found=f"--samples {samples}", expected="at least 1 draw of z", do="raise it")
    opened = Run(run, trust)
    if samples is not None:
        metrics = (f"likelihood:samples={samples}",)
    with terminal.watching(terminal.console()) as callback:
        measured = evaluate(opened, metrics, root, split, seed, again, device, callback, data)
    if not world().leads:
        return
    terminal.print_metrics(str(run), measured)
    terminal.print_facts("", terminal.provenance_facts(opened.result))
