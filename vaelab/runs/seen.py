"""Whether a run was trained on images that its model is used with: their scores would be too good."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.data.dataset import Dataset
from vaelab.data.formats.folder import split_of
from vaelab.data.formats.options import path_of
from vaelab.data.places import taken_from
from vaelab.data.sources import ARRAY, SOURCES
from vaelab.serving.source import EVERY
from vaelab.system.errors import VaelabError
from vaelab.system.files import expanded

if TYPE_CHECKING:
    from vaelab.runs.directory import Run

NOTE = (
    "images that the run was trained on are among these: their scores and p-values are too good; "
    "use new images, or the run's test images (--split test)"
)


def seen_note(run: Run, images: Any, split: str, data: Dataset) -> str:
    """`NOTE` if the model was trained on some of these images, as far as the run knows; "" otherwise.

    It knows the place of its training images, the digest of all of them, and some of its validation images: whoever has
    many of these and more images has the training images too. Single training images at another place are not noticed.

    Arguments:
        images, split: as in `vaelab.runs.images.images_of`.
        data: the images themselves.
    """
    whole = split in (EVERY, "train")
    named = [images] if isinstance(images, str | Path) else images if isinstance(images, list | tuple) else []
    paths = [str(path) for path in named if isinstance(path, str | Path)]
    if images is None:
        seen = whole
    else:
        seen = any(_overlap(text, place, whole) for text in paths for place in _places(run)) or _same(run, data)
    return NOTE if seen else ""


def _places(run: Run) -> list[str]:
    """Where the run's images were at training: a source, an absolute path or several."""
    there = run.result.get("source", {})
    places = {run.spec.data, there.get("absolute", "")}
    if from_run := there.get("from_run"):
        places.add(taken_from(from_run, run.path))
    return [place for place in places if place and not place.startswith(f"{ARRAY}:")]


def _overlap(text: str, place: str, whole: bool) -> bool:
    """Whether a source or path has images of the training source `place`, other than those of its test split.

    Arguments:
        whole: whether all splits of `text` are used, or its training split.
    """
    if text == place:
        return whole
    here, there = _path(text), _path(place)
    if here is None or there is None:
        return False
    if here == there or here in there.parents:
        return whole
    if there not in here.parents:
        return False
    first = here.relative_to(there).parts[0]
    return whole and split_of(first) in (None, "train")


def _path(source: str) -> Path | None:
    """The path in NAME:PATH:option=value, or in a path alone; None if there is no such file or folder."""
    if source in SOURCES:  # a data set, although a folder may have its name
        return None
    for text in (source, source.partition(":")[2]):
        path = Path(os.path.abspath(expanded(path_of(text)))) if text else None
        if path is not None and path.exists():
            return path
    return None


def _same(run: Run, data: Dataset) -> bool:
    """Whether these are the training images, or most of the validation images that the run keeps, and more."""
    known = run.result["data"]
    if len(data) == known["train"]["images"] and data.sha256 == known["train"]["sha256"]:
        return True
    if len(data) <= known.get("validation", {"images": len(data)})["images"]:
        return False
    try:
        kept = run.examples("validation")
    except VaelabError:  # it keeps none
        return False
    return bool(np.isin(kept.digests.view("S16"), data.digests.view("S16")).mean() > 0.5)
