"""What the commands that use a trained model have in common."""

from collections.abc import Sequence
from pathlib import Path

from vaelab.data.conversion import AS_STORED, Conversion, parse_resize
from vaelab.models import VAE
from vaelab.runs.directory import Run
from vaelab.serving.source import NamedImages, of_splits, open_images
from vaelab.system.device import Device, find_device
from vaelab.system.errors import SpecError


def model_of(path: Path, device: Device, trust: Sequence[str]) -> VAE:
    """The model of the run at `path`, on its device; RunError if the run is not finished."""
    return Run(path, trust).served.to(find_device(device))


def opened(
    path: Path,
    images: Sequence[str],
    split: str,
    root: str | None,
    device: Device,
    trust: Sequence[str],
    conversion: Conversion = AS_STORED,
) -> tuple[VAE, NamedImages]:
    """The model of the run at `path`, and the images that the user named; without a name, those of the run.

    Image files are converted as the training images were, unless `conversion` says how.
    """
    run = Run(path, trust)
    model = run.served.to(find_device(device))
    asked = conversion != AS_STORED
    if not images:
        if asked:
            raise SpecError(
                found="--resize, --grey or --convert without images",
                expected="image files to convert: the run's own images are converted as they were in training",
                do="name a folder or files, or leave the flags out",
            )
        return model, of_splits(run.data(root), split)
    used = conversion if asked else run.blueprint.reading.conversion
    named = images[0] if len(images) == 1 else list(images)
    return model, open_images(model, named, split=split, root=root, conversion=used, asked=asked)


def row_names(found: NamedImages) -> dict[str, Sequence[str]]:
    """The first columns of a table of images: the name of each and, if there is one, of its class."""
    labels = found.label_names()
    return {"name": found.names, **({"label": labels} if labels else {})}


def labels_in(words: Sequence[str]) -> list[int] | list[str] | None:
    """Labels as typed: whole numbers if all are, otherwise names of classes; None for none."""
    if not words:
        return None
    return [int(word) for word in words] if all(word.lstrip("-").isdecimal() for word in words) else list(words)


def conversion_of(resize: str, grey: bool, convert: bool) -> Conversion:
    """The Conversion that the flags describe; SpecError if the size cannot be read."""
    return Conversion(parse_resize(resize), grey, convert)
