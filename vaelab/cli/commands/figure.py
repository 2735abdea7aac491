"""`vaelab figure`."""

from typing import Annotated, Literal

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
    format: Annotated[
        Literal["png", "pdf", "svg"],
        tyro.conf.arg(help="of the files; in pdf and svg, texts and lines are not made of dots"),
    ] = "png",
    width: Annotated[
        str,
        optional(
            "width of the figures, such as 3.3in, 84mm or 8.4cm. All fonts are then 7 pt", "of each figure", "WIDTH"
        ),
    ] = "",
    dpi: Annotated[
        float,
        tyro.conf.arg(
            help="dots per inch, at least. A grid of images takes up to twice as many, "
            "so that each pixel of an image is a whole number of dots"
        ),
    ] = 150,
    data: MovedData = None,
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Draw figures of a run into its directory.

    The files are RUN/figures/KIND.png, or .pdf or .svg. `curves`, `manifold` and `samples` do not need the data.
    """
    from vaelab.cli import terminal
    from vaelab.runs import figure as pictures
    from vaelab.runs.directory import Run

    opened = Run(run, trust)
    with terminal.watching(terminal.console()) as callback:
        paths = pictures.figure(opened, kinds, seed, root, data, callback, format, width or None, dpi)
    for path in paths:
        terminal.say(path)
