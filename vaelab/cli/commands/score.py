"""`vaelab score`."""

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
    optional,
    use_threads,
)

SHOWN = 10  # flagged images


def score(
    run: RunPath,
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", help="file to write: .csv, .npz or .parquet")],
    by: Annotated[
        str,
        tyro.conf.arg(
            metavar="SCORE",
            help="score that the p-value is computed from: nll, elbo, distortion, rate, complexity-corrected or regret",
        ),
    ] = "nll",
    alarm: Annotated[
        float | None,
        optional(
            "flag images with a p-value of at most RATE, which is the rate of false alarms", "no flags", metavar="RATE"
        ),
    ] = None,
    normal: Annotated[
        tuple[str, ...],
        optional(
            "labels of the normal images. Then the command also prints how well each score "
            "ranks the other images above them",
            "no ranking",
            metavar="LABEL",
        ),
    ] = (),
    samples: Annotated[int, tyro.conf.arg(metavar="K", help="draws of z for each image")] = 100,
    regret: Annotated[bool, optional("compute the likelihood regret too, which is slow", "off")] = False,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    device: Device = "auto",
    threads: Threads = 0,
    trust: Trust = (),
    images: tyro.conf.OmitArgPrefixes[ImageFlags] = OWN_IMAGES,
) -> None:
    """Score how unusual each image is, and flag unusual ones.

    The file has a row for each image: its name, its scores, and a p-value. This is the proportion of the validation
    images of the run that are at least as unusual. docs/scores.md says what each score means and when it fails.
    """
    from vaelab.cli import terminal
    from vaelab.cli.serving import opened
    from vaelab.runs.directory import Run
    from vaelab.runs.score import score_images
    from vaelab.runs.seen import seen_note
    from vaelab.serving import ranking, table
    from vaelab.serving.conformal import check_alarm
    from vaelab.serving.scores import FORMATS, UNUSUAL

    use_threads(threads)
    table.check_output(out, FORMATS, overwrite)
    if alarm is not None:
        check_alarm(alarm)
    with terminal.working(terminal.console(), "scoring") as progress:
        model, found = opened(run, out, images, device, trust)
        unusual = ranking.abnormal(found.data, normal) if normal else None
        of_each = score_images(Run(run, trust), model, found.data, samples, seed, regret, by, alarm, progress)
    scores = found.named(of_each)
    scores.save(out, overwrite, alarm)
    if note := seen_note(Run(run, trust), list(images.images) or None, images.split, found.data):
        terminal.warn(note)
    terminal.say(*str(scores).split("\n"), "")
    if unusual is not None:
        there = [name for name in UNUSUAL if getattr(scores, name) is not None]
        ranks = ranking.table({name: ranking.rank(scores.unusual(name), unusual) for name in there})
        terminal.say(*str(ranks).split("\n"), "")
    if alarm is not None and (p := scores.p_value) is not None:
        flagged = sorted(scores.flagged(alarm).nonzero()[0].tolist(), key=lambda i: p[i])
        terminal.say(alarm_line(len(flagged), len(found), alarm))
        for i in flagged[:SHOWN]:
            terminal.say(f"  {p[i]:<8.4g} {found.names[i]}")
        if len(flagged) > SHOWN:
            terminal.say(f"  and {len(flagged) - SHOWN:,} more, in {out}")
        terminal.say()
    terminal.say(out)


def alarm_line(flagged: int, images: int, alarm: float) -> str:
    """Say how many images have a p-value of at most `alarm`; a colon follows if they are listed below."""
    noun = "image" if images == 1 else "images"
    has = "has" if flagged == 1 else "have"
    return f"{flagged:,} of {images:,} {noun} {has} a p-value of at most {alarm:g}{':' * bool(flagged)}"
