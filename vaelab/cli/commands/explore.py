"""`vaelab explore`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from vaelab.cli.commands.flags import Root, Trust, optional


def explore(
    runs: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN [RUN ...]", help="1 to 4 run directories", help_behavior_hint="(required)"),
    ],
    save: Annotated[
        Path | None, optional("the page to write", "explorer.html in the first run", metavar="FILE")
    ] = None,
    serve: Annotated[
        bool,
        optional("write no page, but serve it on this computer: Python runs the models. For models too large", "off"),
    ] = False,
    open: Annotated[
        Literal["auto", "yes", "no"], tyro.conf.arg(help="open the page in the browser. auto: in a terminal")
    ] = "auto",
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Write a page in which trained models run, to explore them.

    Walk through the latent space, draw images of your own, and put up to four models side by side.
    The page is one file. It needs no network and no Python: it can be sent by e-mail. It has 100 test images of each
    run, and the codes of up to 5,000.

    A model may be too large for a page, or have parts of your own that a page cannot run. Then use --serve.
    """
    import sys
    import webbrowser
    from threading import Thread

    from vaelab.cli import terminal
    from vaelab.explorer import page
    from vaelab.explorer import serve as serving
    from vaelab.runs.directory import Run
    from vaelab.system.errors import SpecError

    if serve and save is not None:
        found = f"--save {save} with --serve, which writes no page"
        raise SpecError(found=found, expected="one of them", do="leave out one")
    show = open == "yes" or (open == "auto" and sys.stdout.isatty())
    opened, lines = [Run(run, trust) for run in runs], list[str]()
    with terminal.working(terminal.console(), "making the page") as progress:
        if serve:
            made = serving.service_of(opened, root, progress, lines.append)
        else:
            made = page.explore(opened, save, root, progress, lines.append)
    if isinstance(made, Path):
        terminal.say(*lines, f"{made}  {made.stat().st_size:,} bytes")
        if show:
            webbrowser.open(made.resolve().as_uri())
        return

    def ready(address: str) -> None:
        what = f"until Ctrl-C, or until no request came for {serving.IDLE_MINUTES} minutes"
        terminal.say(*lines, address, what, now=True)
        if show:  # beside the server: a browser in the terminal returns when it is left
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    terminal.say(serving.serve(made, ready))
