"""`vaelab encode`."""

from pathlib import Path
from typing import Annotated

import tyro

from vaelab.cli.commands.flags import (
    OWN_IMAGES,
    Device,
    ImageFlags,
    Overwrite,
    RunPath,
    Seed,
    Threads,
    Trust,
    use_threads,
)


def encode(
    run: RunPath,
    out: Annotated[
        Path, tyro.conf.arg(metavar="FILE", help="file to write: .npz, .npy (the means only), .csv or .parquet")
    ],
    draws: Annotated[int, tyro.conf.arg(help="draws of z for each image, in addition to the mean and scale")] = 0,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    device: Device = "auto",
    threads: Threads = 0,
    trust: Trust = (),
    images: tyro.conf.OmitArgPrefixes[ImageFlags] = OWN_IMAGES,
) -> None:
    """Write the latents of images to a file.

    They are the mean and the scale of q(z|x), and the codes if the model has them. Each row also has the name of the
    image and, if there is one, the name of its class.
    """
    from vaelab.cli import terminal
    from vaelab.cli.serving import opened
    from vaelab.serving import latents, table

    use_threads(threads)
    table.check_output(out, latents.FORMATS, overwrite)
    with terminal.working(terminal.console(), "encoding") as progress:
        model, found = opened(run, out, images, device, trust)
        made = found.named(latents.encode(model, found.data, draws, seed, progress))
    made.save(out, overwrite)
    said = {"images": f"{len(found):,}", **{name: str(list(of.shape)) for name, of in made.arrays().items()}}
    if len(made.groups) > 1:
        said["groups of z"] = ", ".join(map(str, made.groups)) + " dimensions, from the top"
    if made.estimated:
        said["note"] = f"mean or scale from {latents.ESTIMATED_FROM} draws: q(z|x) has no closed form"
    terminal.print_facts("", said)
    terminal.say(out)
