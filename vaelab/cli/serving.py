"""What the commands that use a trained model have in common."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from vaelab.cli.commands.flags import ImageFlags
from vaelab.data.reading import parse_reading
from vaelab.models import VAE
from vaelab.runs.directory import Run
from vaelab.runs.images import images_of
from vaelab.serving.source import NamedImages
from vaelab.system.device import Device, find_device
from vaelab.system.errors import SpecError
from vaelab.system.files import expanded


def model_of(path: Path, device: Device, trust: Sequence[str]) -> VAE:
    """The model of the run at `path`, on its device; RunError if the run is not finished."""
    return Run(path, trust).served.to(find_device(device))


def opened(path: Path, out: Path, given: ImageFlags, device: Device, trust: Sequence[str]) -> tuple[VAE, NamedImages]:
    """The model of the run at `path`, and the images that the flags name.

    Arguments:
        out: where the output will be: images that it would replace are refused.
    """
    run = Run(path, trust)
    reading = parse_reading(given.resize, given.grey, given.convert, given.labels)
    _refuse_input(out, given.images or map(str, run.result.get("source", {}).values()))
    model = run.served.to(find_device(device))
    named = None if not given.images else given.images[0] if len(given.images) == 1 else list(given.images)
    return model, images_of(run, model, named, None, given.split, given.root, reading)


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
