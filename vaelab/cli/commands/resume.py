"""`vaelab resume`."""

from pathlib import Path
from typing import Annotated

import tyro

from vaelab.cli.commands.flags import (
    Compiled,
    Device,
    KeepCheckpoint,
    KeepExamples,
    MovedData,
    Root,
    RunPath,
    Threads,
    Trust,
    optional,
    use_threads,
)
from vaelab.cli.commands.train import draw, print_run


def resume(
    run: RunPath,
    epochs: Annotated[float, tyro.conf.arg(help="epochs of the longer run, counted from the beginning")],
    out: Annotated[
        Path | None, optional("directory in which the longer run's directory is made", "that of RUN", metavar="DIR")
    ] = None,
    name: Annotated[
        str | None, optional("name of the longer run's directory", "made from the Spec", metavar="NAME")
    ] = None,
    data: MovedData = None,
    root: Root = None,
    compile: Compiled = "auto",
    device: Device = "auto",
    threads: Threads = 0,
    keep_checkpoint: KeepCheckpoint = "auto",
    keep_examples: KeepExamples = "yes",
    trust: Trust = (),
) -> None:
    """Go on with a finished run: train it for more epochs.

    The longer run has a directory of its own, and RUN does not change. It is the run that a training of all its
    epochs gives, bit for bit. Where that is not possible, the command says why and stops: for example, a cosine
    schedule depends on the number of epochs. A run that was interrupted is not finished: rerun its own command.
    """
    from vaelab.cli import terminal
    from vaelab.runs import resume as resumer
    from vaelab.runs.directory import Run

    use_threads(threads)
    opened, examples = Run(run, trust), keep_examples == "yes"
    with terminal.watching(terminal.console()) as callback:
        done = resumer.resume(
            opened, epochs, out, name, root, compile, device, callback, data, keep_checkpoint, examples
        )
        draw(done, root, data, callback)
    print_run(done)
