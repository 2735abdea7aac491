"""The flags that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vaelab.studies import known_studies
from vaelab.system.errors import SpecError

MOST_THREADS = 4096


def optional(help: str, default: str, metavar: str | None = None, name: str | None = None) -> object:
    """The text of a flag whose default is better said in words than shown."""
    return tyro.conf.arg(name=name, metavar=metavar, help=help, help_behavior_hint=f"(default: {default})")


Out = Annotated[Path, tyro.conf.arg(metavar="DIR", help="directory that holds the run directories")]
Root = Annotated[
    str | None,
    optional(
        "directory of named data sets such as mnist",
        "$VAELAB_DATA, then the user's cache",
        metavar="DIR",
        name="data-root",
    ),
]
RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run directory")]
MovedData = Annotated[
    str | None,
    optional("where the run's images are now, such as folder:DIR", "where they were at training", metavar="SOURCE"),
]
Trust = Annotated[
    tuple[str, ...],
    optional(
        "your own modules that the run or study may import. Their code runs",
        "only vaelab's own code runs",
        metavar="MODULE",
    ),
]
StudyName = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="STUDY", help=f"{', '.join(known_studies())}, or a file such as mine.toml"),
]
Compiled = Annotated[
    Literal["auto", "always", "never"],
    tyro.conf.arg(help="compile the training step. auto: only if that saves time in this run"),
]
Reduce = Annotated[
    Literal["ordered", "fast"],
    tyro.conf.arg(
        help="how several workers add the gradients of their shards. ordered: the same bits for any number of workers; "
        "fast: equal up to rounding"
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="device that computes. auto: cuda if there is one")
]
Threads = Annotated[int, tyro.conf.arg(help="number of processor threads. 0: as many as torch chooses")]

Seed = Annotated[int, tyro.conf.arg(help="seed of the noise of pixels and of z")]
Scale = Annotated[
    int | None,
    optional(
        "enlarge pictures by a whole factor: each pixel becomes a square",
        "in a folder 1; in one picture of all, until an image has 64 pixels",
        metavar="N",
    ),
]
Overwrite = Annotated[bool, optional("replace the output if it exists", "off")]


KeepCheckpoint = Annotated[
    Literal["auto", "yes", "no"],
    tyro.conf.arg(
        help="keep the last state of the finished run, so that `vaelab resume` can go on with it. "
        "auto: if it takes at most 100 MB"
    ),
]
KeepExamples = Annotated[
    Literal["yes", "no"],
    tyro.conf.arg(
        help="keep up to 1,000 validation and 100 test images in the run, so that it can be used without the data"
    ),
]


@dataclass(frozen=True)
class ImageFlags:
    """Which images a command reads, and how image files are read."""

    images: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        optional(
            "a folder, image files, a file of arrays, or a data source such as mnist",
            "the run's own images",
            metavar="[IMAGES ...]",
        ),
    ] = ()
    split: Annotated[
        str, tyro.conf.arg(metavar="SPLIT", help="which split of the images: train, validation, test or all")
    ] = "all"
    resize: Annotated[
        str,
        optional(
            "resize image files; crop:HxW first cuts them to that shape. Each of --resize, --grey, --convert and "
            "--labels replaces what the training had for it; the others stay as in training",
            "as the training images were",
            metavar="HxW|crop:HxW",
        ),
    ] = ""
    grey: Annotated[bool, optional("make image files grey", "as the training images were")] = False
    convert: Annotated[
        bool,
        optional("convert transparent, CMYK, 16-bit and animated image files", "as the training images were"),
    ] = False
    labels: Annotated[
        str,
        optional(
            "labels of image files: csv:FILE[:file=COLUMN:label=COLUMN], or name:REGEX, whose first group is the class",
            "as in training, if that fits these images; otherwise the sub-folders are the classes",
            metavar="csv:FILE|name:REGEX",
        ),
    ] = ""
    root: Root = None


OWN_IMAGES = ImageFlags()


def use_threads(threads: int) -> None:
    """Let torch use this many processor threads. SpecError if there cannot be so many."""
    import torch

    if not 0 <= threads <= MOST_THREADS:
        expected = f"a number from 0 (torch chooses) to {MOST_THREADS:,}"
        raise SpecError(found=f"--threads {threads}", expected=expected, do="change it")
    if threads:
        torch.set_num_threads(threads)
