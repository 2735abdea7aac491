"""`vaelab reconstruct`."""

from pathlib import Path
from typing import Annotated

import tyro

from vaelab.cli.commands.flags import (
    Convert,
    Device,
    Grey,
    Images,
    Overwrite,
    Resize,
    Root,
    RunPath,
    Seed,
    Split,
    Threads,
    Trust,
    use_threads,
)


def reconstruct(
    run: RunPath,
    out: Annotated[Path, tyro.conf.arg(metavar="DIR", help="new folder for the pictures and images.csv")],
    draws: Annotated[int, tyro.conf.arg(help="number of draws of z over which a reconstruction is averaged")] = 16,
    images: Images = (),
    split: Split = "all",
    resize: Resize = "",
    grey: Grey = False,
    convert: Convert = False,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    device: Device = "auto",
    threads: Threads = 0,
    root: Root = None,
    trust: Trust = (),
) -> None:
    """Reconstruct images, and write the error of each.

    DIR/NAME.png has an image on the left and its reconstruction on the right. DIR/images.csv has the squared
    error of each image: the mean over its pixels, for pixels in [0, 1].
    """
    from vaelab.cli import terminal
    from vaelab.cli.serving import conversion_of, opened, row_names
    from vaelab.serving import pictures, reconstruct

    use_threads(threads)
    conversion = conversion_of(resize, grey, convert)
    pictures.check_folder(out, overwrite)
    with terminal.working(terminal.console(), "reconstructing") as progress:
        model, found = opened(run, images, split, root, device, trust, conversion)
        made = reconstruct.reconstruct(model, found.data, draws, seed, progress)
        levels = reconstruct.levels_of_pixels(made.images, found.data.protocol)
        pairs = pictures.beside(found.data.in_memory, levels)
        pictures.write_each(out, pairs, row_names(found) | {"squared_error": made.squared_error})
    terminal.print_facts(
        "", {"images": f"{len(found):,}", "squared error": f"{made.squared_error.mean():.4g} per pixel"}
    )
    print(out)
