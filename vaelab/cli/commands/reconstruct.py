"""`vaelab reconstruct`."""

from pathlib import Path
from typing import Annotated

import tyro

from vaelab.cli.commands.flags import (
    OWN_IMAGES,
    Device,
    ImageFlags,
    Overwrite,
    RunPath,
    Scale,
    Seed,
    Threads,
    Trust,
    use_threads,
)


def reconstruct(
    run: RunPath,
    out: Annotated[
        Path,
        tyro.conf.arg(
            metavar="DIR|FILE.png|FILE.npz",
            help="a new folder for the pictures and images.csv (DIR), one picture of all (.png), or arrays (.npz)",
        ),
    ],
    draws: Annotated[int, tyro.conf.arg(help="number of draws of z over which a reconstruction is averaged")] = 16,
    scale: Scale = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    device: Device = "auto",
    threads: Threads = 0,
    trust: Trust = (),
    images: tyro.conf.OmitArgPrefixes[ImageFlags] = OWN_IMAGES,
) -> None:
    """Reconstruct images, and write the error of each.

    DIR/NAME.png has an image on the left and its reconstruction on the right. DIR/images.csv has the squared
    error of each image: the mean over its pixels, for pixels in [0, 1]. FILE.png has all pairs in one picture.
    """
    from vaelab.cli import terminal
    from vaelab.cli.serving import opened
    from vaelab.serving import pictures, reconstruct

    use_threads(threads)
    pictures.check_pictures(out, overwrite, scale)
    with terminal.working(terminal.console(), "reconstructing") as progress:
        model, found = opened(run, out, images, device, trust)
        made = found.named(reconstruct.reconstruct(model, found.data, draws, seed, progress))
        made.save(out, overwrite, scale)
    terminal.print_facts(
        "", {"images": f"{len(found):,}", "squared error": f"{made.squared_error.mean():.4g} per pixel"}
    )
    terminal.say(out)
