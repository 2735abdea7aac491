"""Open images that a model was not trained on: a data source, a folder, files, or what is in hand."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vaelab.data.dataset import SPLITS, Contents, Dataset, Raw, Splits
from vaelab.data.formats.picture import SUFFIXES, picture, size
from vaelab.data.formats.tree import is_text
from vaelab.data.reading import AS_FOUND, Reading
from vaelab.data.sources import SOURCES, ParsedSource, contents_of, parse
from vaelab.models import VAE
from vaelab.serving.images import as_read, dataset_of, labels_of, names_of
from vaelab.serving.latents import Latents
from vaelab.serving.reconstruct import Reconstructions
from vaelab.serving.scores import Scores
from vaelab.system.errors import DataError, SpecError, VaelabError, unknown
from vaelab.system.files import expanded

EVERY = "all"  # splits

Result = TypeVar("Result", Latents, Reconstructions, Scores)


@dataclass(frozen=True, eq=False)
class NamedImages:
    """Images for a model, each with a name.

    Arguments:
        data: the images, of the model's shape and protocol, with the model's labels if it is conditioned on labels.
        names: for each image, its file, if there is one; otherwise its place in the array, counted from 0.
    """

    data: Dataset
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def label_names(self) -> list[str]:
        """The name of the class of each image; an empty list if there are no labels."""
        return [] if self.data.labels is None else [self.data.class_name(label) for label in self.data.labels]

    def named(self, result: Result) -> Result:
        """The same result of these images, with their names and those of their classes, which its file has too."""
        return replace(result, names=self.names, label_names=self.label_names())


def open_images(
    model: VAE,
    images: Any,
    labels: Any = None,
    split: str = EVERY,
    root: str | None = None,
    reading: Reading = AS_FOUND,
    given: Reading = AS_FOUND,
) -> NamedImages:
    """Open images for `model`.

    Arguments:
        images: a path of a folder, of an image or of a file of arrays; a data source such as "mnist" or
            "npz:new.npz"; a list, an array or a column of paths; a Dataset; or images in hand (see `dataset_of`).
        labels: labels or names of classes, for a conditional model; by default those of the source.
        split: of a source that has several: train, validation, test or all.
        root: the data directory of named sources.
        reading: how image files and PIL images become levels, such as their size, and where their labels are. Labels
            that do not fit these images are left out: then the sub-folders are the classes.
        given: what of `reading` the user asked for, `AS_FOUND` for nothing: its labels must fit, and a source without
            image files is refused. Otherwise the images of such a source are read as they are.

    Raises:
        DataError: the images cannot be read, or have another shape than those of the model.
        SpecError: a label is missing or unknown to the model, or there is no such split.
    """
    paths = _paths(images)
    if paths is None:
        if split != EVERY:
            raise SpecError(
                found=f"split '{split}' of images that are in hand",
                expected="a data source or a folder, which may have splits",
                do="leave the split out",
            )
        data = dataset_of(model, images, labels, reading.conversion)
        return NamedImages(data, _names_in_hand(images) or [str(i) for i in range(len(data))])
    if model.protocol is None:
        raise SpecError(found="a model without a protocol", expected="a trained model", do="use the model of a run")
    if len(paths) == 1 and Path(paths[0]).suffix.lower() not in SUFFIXES:
        data, names = _of_source(paths[0], split, root, reading, given)
    else:
        if split != EVERY:
            raise _no_split(split, "image files", [EVERY])
        data, names = _of_files(paths, model, reading, given)
    _check_shape(model, data)
    if labels is None:
        data = _with_model_labels(model, data)
    else:
        data = replace(data, labels=labels_of(model, labels, len(data)), class_names=names_of(model))
    return NamedImages(as_read(data, model.protocol), names)


def of_splits(splits: Splits, split: str = EVERY) -> NamedImages:
    """The images of splits that are read and prepared already: of one, or of all.

    Raises:
        SpecError: there is no such split.
    """
    held = {data.split: data for data in (splits.train, splits.validation, splits.test) if data is not None}
    if split not in (EVERY, *held):
        raise unknown("split", split, (EVERY, *held))
    if split != EVERY:
        return NamedImages(held[split], [str(i) for i in range(len(held[split]))])
    names = [f"{name}/{i}" for name, data in held.items() for i in range(len(data))]
    labels = [data.labels for data in held.values() if data.labels is not None]
    images = np.concatenate([data.in_memory for data in held.values()])
    return NamedImages(
        replace(
            splits.test,
            images=images,
            labels=np.concatenate(labels) if len(labels) == len(held) else None,
            factors=None,
            factor_names=(),
            originals=None,
        ),
        names,
    )


def _paths(images: Any) -> list[str] | None:
    """The paths or sources that `images` names; None for images in hand."""
    if isinstance(images, str | Path):
        return [str(images)]
    if getattr(images, "ndim", 0) == 1 and hasattr(images, "tolist"):  # a column of a table
        images = images.tolist()
    if isinstance(images, list | tuple) and images and all(isinstance(path, str | Path) for path in images):
        return [str(path) for path in images]
    return None


def _names_in_hand(images: Any) -> list[str]:
    """The file of each image, for PIL images that were opened from files; an empty list for others."""
    each = images if isinstance(images, list | tuple) else [images]
    names = [str(getattr(image, "filename", "")) for image in each]
    return names if all(names) else []


def _of_files(paths: Sequence[str], model: VAE, reading: Reading, given: Reading) -> tuple[Dataset, list[str]]:
    if given.labels is not None:
        raise SpecError(
            found="labels for image files that are named one by one",
            expected="a folder, to whose files the labels belong",
            do="name their folder, or leave the labels out",
        )
    found = list[np.ndarray]()
    for path in map(expanded, paths):
        if not is_text(str(path)):
            raise DataError(found=f"a name that is not UTF-8, {str(path)!r}", expected="names in UTF-8", do="rename it")
        if not path.is_file():
            alone = "name folders and sources one at a time"
            do = alone if path.is_dir() else f"check the path, or {alone}" if len(paths) > 1 else "check the path"
            found = f"{path}: {'not a file' if path.exists() else 'no such file'}"
            raise DataError(found=found, expected="an image file", do=do)
        image = picture(path, reading.conversion)
        if image.shape != model.image_shape:
            raise _wrong_shape(str(path), image.shape, model)
        found.append(image)
    return Dataset("files", "test", np.stack(found), None, "grey"), list(paths)


def _of_source(text: str, split: str, root: str | None, reading: Reading, given: Reading) -> tuple[Dataset, list[str]]:
    if split not in (EVERY, *SPLITS):
        raise unknown("split", split, (EVERY, *SPLITS))
    _check_path(text)
    source = parse(text)
    contents = _contents(source, root, reading, given)
    held = {"train": contents.train, "validation": contents.validation, "test": contents.test}
    there: dict[str, Raw] = {name: raw for name, raw in held.items() if raw is not None}
    if split != EVERY and split not in there:
        raise _no_split(split, text, [*there, EVERY])
    chosen = there if split == EVERY else {split: there[split]}
    several = len(chosen) > 1
    parts = list(chosen.values())
    if len({raw.images.shape[1:] for raw in parts}) > 1:
        raise DataError(
            found=f"{text}: splits of different shapes", expected="one shape", do="choose one split with --split"
        )
    images = parts[0].images if not several else np.concatenate([np.asarray(raw.images) for raw in parts])
    labels = [raw.labels for raw in parts if raw.labels is not None]
    names = [
        f"{name}/{image}" if several else image
        for name, raw in chosen.items()
        for image in (raw.names or map(str, range(len(raw.images))))
    ]
    data = Dataset(
        source.text,
        "test",
        images,
        np.concatenate(labels) if len(labels) == len(parts) else None,
        source.entry.protocol,
        class_names=contents.class_names,
    )
    return data, names


def _contents(source: ParsedSource, root: str | None, reading: Reading, given: Reading) -> Contents:
    """What is in a source, with labels as in training if they fit these images."""
    if source.entry.read_as is None:
        return contents_of(source, root, given)[1]
    if reading.labels is not None and given.labels is None:
        with suppress(VaelabError):  # of another folder than that of the training
            return contents_of(source, root, reading)[1]
        reading = replace(reading, labels=None)
    return contents_of(source, root, reading)[1]


def _no_split(split: str, where: str, there: Sequence[str]) -> SpecError:
    found, expected = f"no {split} split in {where}", f"one of {', '.join(there)}"
    return SpecError(found=found, expected=expected, do="choose one of these")


def _check_path(text: str) -> None:
    """Raise DataError if `text` is a path, and vaelab cannot read what is there."""
    path, name = expanded(text), text.partition(":")[0]
    if name in SOURCES or path.is_dir() or path.suffix.lower()[1:] in SOURCES:
        return
    if path.exists() or "/" in name:
        raise DataError(
            found=f"{path}: {'a file of another format' if path.exists() else 'no such file or folder'}",
            expected="a folder, an image file, or a file of arrays such as .npz",
            do="check the path",
        )


def _check_shape(model: VAE, data: Dataset) -> None:
    if data.shape != tuple(model.image_shape):
        raise _wrong_shape(data.name, data.shape, model)


def _wrong_shape(what: str, shape: tuple[int, ...], model: VAE) -> DataError:
    ours = size(np.empty(model.image_shape, np.uint8))
    return DataError(
        found=f"{what}: {size(np.empty(shape, np.uint8))}",
        expected=f"{ours}, the size of this model's images",
        do="use --resize HxW (and --grey), or train a model for such images",
    )


def _with_model_labels(model: VAE, data: Dataset) -> Dataset:
    """Replace labels by the model's labels of the same class: another folder may number its classes differently."""
    if model.labels is None:
        return data
    if data.labels is None:
        raise SpecError(
            found=f"{data.name} without labels",
            expected="a label for each image, because the model is conditioned on labels",
            do="sort the images into folders with the names of the classes, or give --labels (in Python, labels=)",
        )
    numbers, inverse = np.unique(data.labels, return_inverse=True)
    names = [data.class_name(number) for number in numbers]
    known = model.labels.known(names).cpu().numpy()
    return replace(data, labels=known[inverse], class_names=names_of(model))
