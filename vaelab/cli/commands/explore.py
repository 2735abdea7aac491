"""`vaelab explore`."""

from pathlib import Path
from typing import Annotated

import tyro

from vaelab.cli.commands.flags import Root, Trust, optional


def explore(
    runs: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]", help="1 to 4 run directories")
    ],
    save: Annotated[
        Path | None, optional("the page to write", "explorer.html in the first run", metavar="FILE")
    ] = None,
    open: Annotated[bool, optional("open the page in the browser", "on in a terminal")] = True,
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Write a page in which trained models run, to explore them.

    Walk through the latent space, draw images of your own, and put up to four models side by side.
    The page is one file. It needs no network and no Python: it can be sent by e-mail. It has 100 test images of each
    run, and the codes of up to 5,000.
    """
    import sys
    import webbrowser

    from vaelab.cli import terminal
    from vaelab.explorer import page
    from vaelab.runs.directory import Run

    lines = list[str]()
    with terminal.working(terminal.console(), "making the page") as progress:
        path = page.explore([Run(run, trust) for run in runs], save, root, progress, lines.append)
    print(*lines, f"{path}  {path.stat().st_size:,} bytes", sep="\n")
    if open and sys.stdout.isatty():
        webbrowser.open(path.resolve().as_uri())
