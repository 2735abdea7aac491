"""`vaelab figure`."""

from typing import Annotated

import tyro

from vaelab.cli.commands.flags import MovedData, Root, RunPath, Trust, optional

# The names in vaelab.figures, whose import takes seconds
KINDS = ("manifold", "samples", "reconstructions", "traversal", "interpolation", "latents", "curves")


def figure(
    run: RunPath,
    kinds: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        optional(", ".join(KINDS), "all that this run allows", metavar="[KIND ...]"),
    ] = (),
    seed: Annotated[int, tyro.conf.arg(help="seed that chooses the images and samples to show")] = 0,
    data: MovedData = None,
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Draw figures of a run into its directory.

    The files are RUN/figures/KIND.png. `curves`, `manifold` and `samples` do not need the data.
    """
    from vaelab.cli import terminal
    from vaelab.runs import figure as pictures
    from vaelab.runs.directory import Run

    opened = Run(run, trust)
    with terminal.watching(terminal.console()) as callback:
        paths = pictures.figure(opened, kinds, seed, root, data, callback)
    for path in paths:
        terminal.say(path)
