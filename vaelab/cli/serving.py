"""What the commands that use a trained model have in common."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from vaelab.data.conversion import AS_STORED, Conversion, parse_resize
from vaelab.models import VAE
from vaelab.runs.directory import Run
from vaelab.serving.source import NamedImages, of_splits, open_images
from vaelab.system.device import Device, find_device
from vaelab.system.errors import SpecError
from vaelab.system.files import expanded


def model_of(path: Path, device: Device, trust: Sequence[str]) -> VAE:
    """The model of the run at `path`, on its device; RunError if the run is not finished."""
    return Run(path, trust).served.to(find_device(device))


def opened(
    path: Path,
    out: Path,
    images: Sequence[str],
    split: str,
    root: str | None,
    device: Device,
    trust: Sequence[str],
    conversion: Conversion = AS_STORED,
) -> tuple[VAE, NamedImages]:
    """The model of the run at `path`, and the images that the user named; without a name, those of the run.

    Image files are converted as the training images were, unless `conversion` says how.

    Arguments:
        out: where the output will be: images that it would replace are refused.
    """
    run = Run(path, trust)
    _refuse_input(out, images or map(str, run.result.get("source", {}).values()))
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


def _refuse_input(out: Path, sources: Iterable[str]) -> None:
    """Raise SpecError if the output is, or contains, what one of the sources names."""
    at = out.resolve()
    for source in sources:
        for part in (source, *re.split("[:,]", source)):  # a path, or a source with a path, such as npz:a.npz
            if part and at.exists() and at in ((there := expanded(part).resolve()), *there.parents) and there.exists():
                raise SpecError(
                    found=f"--out {out}, which has the images that are read",
                    expected="another place for the output",
                    do="choose another --out",
                )


def labels_in(words: Sequence[str]) -> list[int] | list[str] | None:
    """Labels as typed: whole numbers if all are, otherwise names of classes; None for none."""
    if not words:
        return None
    return [int(word) for word in words] if all(word.lstrip("-").isdecimal() for word in words) else list(words)


def conversion_of(resize: str, grey: bool, convert: bool) -> Conversion:
    """The Conversion that the flags describe; SpecError if the size cannot be read."""
    return Conversion(parse_resize(resize), grey, convert)
