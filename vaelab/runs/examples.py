"""Images that a run keeps: some of its validation and test images, so that it is enough by itself."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter

from vaelab.data.dataset import Dataset, Splits
from vaelab.runs.result_file import Result
from vaelab.runs.spec import Spec
from vaelab.system.errors import DataError, RunError, SpecError
from vaelab.system.files import plain
from vaelab.system.tensor_file import read_tensors, write_tensors

EXAMPLES = "examples.safetensors"
EXAMPLES_BYTES = 16_000_000  # of the images in that file; labels and names are far smaller
MOST = {"validation": 1000, "test": 100}
OWNER = "spec"  # a key in the header of a file of tensors: the hash of the Spec that the file belongs to
CLASS_NAMES = TypeAdapter(dict[int, str])
ELSEWHERE = "use the data (run.data() in Python), or delete the run and train again with --keep-examples yes"


def example_counts(data: Splits) -> dict[str, int]:
    """The number of images of each split that are kept; a split without any is left out.

    If the images are large, the numbers are lowered in proportion, to at most `EXAMPLES_BYTES`. A test image is kept
    if one fits.
    """
    room = EXAMPLES_BYTES // prod(data.test.shape)
    test = min(len(data.test), MOST["test"], max(1, room * MOST["test"] // sum(MOST.values())), room)
    held = 0 if data.validation is None else len(data.validation)
    counts = {"validation": min(held, MOST["validation"], room - test), "test": test}
    return {split: count for split, count in counts.items() if count}


def write_examples(folder: Path, spec: Spec, data: Splits) -> None:
    """Write some images of `data` into a run: a random choice that does not depend on the order of the data.

    Their levels are those that the protocol prepared. RunError if the disk is full.
    """
    tensors = dict[str, torch.Tensor]()
    for split, count in example_counts(data).items():
        some: Dataset = getattr(data, split).some(count)
        tensors[f"{split}/images"] = torch.from_numpy(np.ascontiguousarray(some.in_memory))
        if some.labels is not None:
            tensors[f"{split}/labels"] = torch.from_numpy(np.ascontiguousarray(some.labels))
    names = {int(label): name for label, name in data.train.class_names.items()}
    write_tensors(folder / EXAMPLES, tensors, {OWNER: spec.hash, "class_names": json.dumps(names)})


def read_examples(folder: Path, spec: Spec, result: Result, split: str) -> Dataset:
    """The images of a split that a finished run keeps; see `vaelab.runs.directory.Run.examples`."""
    path, of = folder / EXAMPLES, result["data"]
    if split not in MOST:
        raise SpecError(found=f"split '{split}'", expected="validation or test", do="choose one of these")
    if split not in of:
        found = f"{folder}, which was trained without {split} images"
        raise RunError(found=found, expected=f"{split} images", do="train a run with --validation 0.1")
    if not path.exists():
        found = f"the run keeps no images (no {path})"
        raise RunError(found=found, expected="images in the run", do=ELSEWHERE)
    _check_size(path)
    tensors, header = read_tensors(path, damaged=ELSEWHERE)
    if header.get(OWNER) != spec.hash:
        found = f"{path} was written by a run of another Spec"
        raise RunError(found=found, expected="this run's own file", do=f"delete it; {ELSEWHERE}")
    if f"{split}/images" not in tensors:
        found = f"{path} without {split} images"
        raise RunError(found=found, expected=f"{split} images in the run", do=ELSEWHERE)
    return _checked(path, spec, result, split, tensors, header)


def _checked(
    path: Path, spec: Spec, result: Result, split: str, tensors: Mapping[str, torch.Tensor], header: dict[str, str]
) -> Dataset:
    then, images, labels = result["data"][split], tensors[f"{split}/images"], tensors.get(f"{split}/labels")
    try:
        if tuple(images.shape[1:]) != tuple(then["shape"]) or not 1 <= len(images) <= then["images"]:
            raise ValueError(f"{split} images of shape {tuple(images.shape)}")

        own = result["note"] if split == "test" else ""
        some = "" if len(images) == then["images"] else f"{len(images):,} of {then['images']:,} {split} images"
        return Dataset(
            spec.data,
            split,
            images.numpy(),
            None if labels is None else labels.numpy(),
            spec.protocol or "",
            "; ".join(note for note in (own, some) if note),
            class_names=CLASS_NAMES.validate_json(header.get("class_names", "{}")),
        )
    except (DataError, ValueError, TypeError) as error:  # pydantic's errors are ValueErrors
        why = error.found if isinstance(error, DataError) else (str(error).splitlines() or [type(error).__name__])[0]
        expected = f"at most {then['images']:,} images of shape {tuple(then['shape'])}, as result.json says"
        raise RunError(found=f"{path} does not fit the run ({why})", expected=expected, do=ELSEWHERE) from error


def _check_size(path: Path) -> None:
    """Raise RunError if the file is larger than any that vaelab writes, before it is read."""
    try:
        size = plain(path).stat().st_size
    except OSError as error:
        found = f"{path} cannot be read ({error.strerror})"
        raise RunError(found=found, expected="a safetensors file", do="check the path and its permissions") from error
    if size > 2 * EXAMPLES_BYTES:
        found = f"{path} of {size / 1e6:,.0f} MB"
        raise RunError(found=found, expected=f"at most {EXAMPLES_BYTES / 1e6:.0f} MB of images", do=ELSEWHERE)
