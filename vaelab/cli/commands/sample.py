"""`vaelab sample`."""

from pathlib import Path
from typing import Annotated

import tyro

from vaelab.cli.commands.flags import Device, Overwrite, RunPath, Scale, Seed, Threads, Trust, optional, use_threads


def sample(
    run: RunPath,
    out: Annotated[
        Path,
        tyro.conf.arg(
            metavar="DIR|FILE.png|FILE.npz",
            help="a new folder with a picture of each sample (DIR), one picture of all (.png), or arrays (.npz)",
        ),
    ],
    count: Annotated[int, tyro.conf.arg(help="number of images")] = 64,
    labels: Annotated[
        tuple[str, ...],
        optional(
            "labels or names of classes for a conditional model: one for all images, or one for each",
            "drawn with their frequencies in the training images",
            metavar="LABEL",
        ),
    ] = (),
    draw: Annotated[bool, optional("draw pixels from p(x|z) instead of taking its mean", "off")] = False,
    temperature: Annotated[
        float, tyro.conf.arg(help="factor of the standard deviation of p(z), for a normal prior; 1: p(z) itself")
    ] = 1.0,
    scale: Scale = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    device: Device = "auto",
    threads: Threads = 0,
    trust: Trust = (),
) -> None:
    """Write new images: draw z from p(z) and decode it."""
    from vaelab.cli import terminal
    from vaelab.cli.serving import labels_in, model_of
    from vaelab.serving import pictures, sample

    use_threads(threads)
    pictures.check_pictures(out, overwrite, scale)
    with terminal.working(terminal.console(), "sampling"):
        made = sample.sample(model_of(run, device, trust), count, labels_in(labels), temperature, draw, seed)
        made.save(out, overwrite, scale)
    terminal.print_facts(
        "",
        {
            "images": f"{count:,}, {'draws from' if draw else 'means of'} p(x|z)",
            "z": f"{'p(z)' if temperature == 1 else f'p(z) at temperature {temperature:g}'}, seed {seed}",
        },
    )
    terminal.say(out)
