"""Named arrays as images: the rules that are the same for every format of arrays, in memory or on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from vaelab.data.dataset import Contents, Raw, raw
from vaelab.data.formats.layout import Layout, layout_of
from vaelab.data.formats.levels import MOST_CHANGED, Kind, as_levels, is_one_hot, kind_of, largest_change, whole
from vaelab.data.formats.names import FACTORS, Choice, choose
from vaelab.data.formats.options import Options
from vaelab.data.stored import BLOCK, Images, Stored
from vaelab.system.errors import DataError
from vaelab.system.memory import check_free

LOOKED_AT = 100  # number of evenly spaced images whose values are checked first, of an array on disk


class OnDisk(Protocol):
    """An array that stays in its file."""

    @property
    def path(self) -> Path: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...

    def take(self, places: np.ndarray, axis: int) -> np.ndarray:
        """Read what is at these indices of one axis, in their order, into new memory."""
        ...


Array = np.ndarray | OnDisk


@dataclass(frozen=True, eq=False)
class Rows:
    """The images of an array on disk: a call with indices reads them as uint8 [B, C, H, W]."""

    where: str
    array: OnDisk
    layout: Layout
    kind: Kind

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, C, H, W]."""
        return (self.array.shape[self.layout.axis], *self.layout.images(_nothing(self.array, self.layout)).shape[1:])

    def __call__(self, places: np.ndarray) -> np.ndarray:
        block = self.layout.images(self.array.take(places, self.layout.axis))
        return np.ascontiguousarray(as_levels(self.where, block, self.kind))


@dataclass(frozen=True)
class _Found:
    """The images of one split, before their values become levels."""

    where: str
    array: Array
    layout: Layout
    kind: Kind

    def among_levels(self) -> "_Found":
        """The same, where the numbers 0 and 1 are levels. Booleans remain black and white."""
        integers = self.kind == "black and white" and self.array.dtype.kind != "b"
        return replace(self, kind="levels") if integers else self


def contents(
    path: Path,
    keys: Sequence[str],
    fetch: Callable[[list[str]], Mapping[str, Array]],
    options: Options,
    *,
    matlab: bool = False,
) -> Contents:
    """Read the images, labels and factors of each split.

    Whole numbers are levels 0 to 255; if all images of the file have only 0 and 1, or are booleans, these are black and
    white. Floats in [0, 1] are rounded to the 256 levels. Labels in one-hot rows are read as classes, and labels that
    are floats in several columns as factors. What is inferred in this way is a line of `said`.

    Arguments:
        keys: the names of all arrays of the file.
        fetch: names -> their arrays.
        matlab: as in `layout_of`.

    Raises:
        DataError: the names, shapes or values are other ones.
    """
    chosen = choose(str(path), keys, options)
    return of_chosen(path, chosen, fetch(chosen.keys), options, matlab=matlab)


def of_chosen(
    path: Path, chosen: Choice, arrays: Mapping[str, Array], options: Options, *, matlab: bool = False
) -> Contents:
    """As `contents`, for arrays that are already chosen and open; a key "" is a file that is one array."""
    found = {
        split: _found(f"{path}, {key}" if (key := part["images"]) else str(path), arrays[key], options, matlab)
        for split, part in chosen.parts.items()
    }
    if any(one.kind == "levels" for one in found.values()):  # then 0 and 1 are two levels among others
        found = {split: one.among_levels() for split, one in found.items()}
    said = [one.layout.said for one in found.values() if one.layout.said]
    for kind in {one.array.dtype.kind == "b" for one in found.values() if one.kind == "black and white"}:
        said.append("False is read as black, True as white" if kind else "0 is read as black, 1 as white")
    labels, factors, lines = _labels_and_factors(path, chosen, arrays, found)
    raws: dict[str, Raw] = {}
    for split, one in found.items():
        images, note = _images(one)
        where = f"{one.where} with {chosen.parts[split]['labels']}" if split in labels else one.where
        names = chosen.factor_names or _published_names(chosen.parts[split].get("factors", ""), factors.get(split))
        raws[split] = raw(where, images, labels.get(split), note, factors.get(split), names)
    others = chosen.others
    left_out = f"array{'s' * (len(others) > 1)} {', '.join(others)}" if others else ""
    train = raws.get("") or raws["train"]
    lines = tuple(dict.fromkeys(f"{path}: {line}" for line in (*said, *lines)))
    return Contents(train, raws.get("validation"), raws.get("test"), left_out=left_out, said=lines)


def _labels_and_factors(
    path: Path, chosen: Choice, arrays: Mapping[str, Array], found: Mapping[str, _Found]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
    """The labels and the factors of each split, and lines about what was inferred."""
    labels, factors, said = dict[str, np.ndarray](), dict[str, np.ndarray](), list[str]()
    for split, part in chosen.parts.items():
        axis = found[split].layout.axis
        if key := part.get("factors"):
            where, numbers = f"{path}, {key}", _numbers(f"{path}, {key}", arrays[key], axis > 0)
            factors[split] = numbers if numbers.dtype.kind == "f" else whole(where, numbers)
        if not (key := part.get("labels")):
            continue
        where, numbers = f"{path}, {key}", _numbers(f"{path}, {key}", arrays[key], axis > 0)
        if is_one_hot(numbers) and len(numbers) == found[split].array.shape[axis]:
            said.append(f"{key}: one-hot rows are read as the classes 0 to {numbers.shape[1] - 1}")
            numbers = numbers.argmax(1)
        if numbers.ndim == 2 and min(numbers.shape) > 1 and numbers.dtype.kind == "f" and "factors" not in part:
            said.append(f"{key}: {numbers.shape[1]} columns of floats are read as factors")
            factors[split] = numbers
        else:
            labels[split] = whole(where, _one_column(where, numbers))
    if any(numbers.dtype.kind == "f" for numbers in factors.values()):
        factors, counts = _ranked(str(path), factors)
        said.append(f"each factor is numbered by the rank of its value ({', '.join(map(str, counts))} values)")
    return labels, factors, said


def _found(where: str, array: Array, options: Options, matlab: bool) -> _Found:
    layout = layout_of(where, array.shape, options, matlab=matlab)
    if 0 in array.shape:
        raise DataError(
            found=f"{where}: no pixels (shape {array.shape})",
            expected="one image or more, of 1 x 1 pixels or more",
            do="check how the file was written",
        )
    if isinstance(array, np.ndarray):
        return _Found(where, array, layout, kind_of(where, array))
    count = array.shape[layout.axis]
    kind = kind_of(where, array.take(np.arange(0, count, -(-count // LOOKED_AT)), layout.axis))
    if kind == "black and white" and array.dtype.kind != "b" and not _all_black_and_white(where, array, layout):
        kind = "levels"
    return _Found(where, array, layout, kind)


def _all_black_and_white(where: str, array: OnDisk, layout: Layout) -> bool:
    """Read all values of an array on disk, until one is neither 0 nor 1."""
    count = array.shape[layout.axis]
    at_once = max(1, BLOCK * count // (int(np.prod(array.shape)) * array.dtype.itemsize))
    starts = range(0, count, at_once)
    blocks = (array.take(np.arange(at, min(at + at_once, count)), layout.axis) for at in starts)
    return all(kind_of(where, block) == "black and white" for block in blocks)


def _nothing(array: Array, layout: Layout) -> np.ndarray:
    """An array of the same shape without images."""
    return np.empty([0 if at == layout.axis else size for at, size in enumerate(array.shape)], np.uint8)


def _images(one: _Found) -> tuple[Images, str]:
    if isinstance(one.array, np.ndarray):
        levels = as_levels(one.where, one.array, one.kind)
        change = f"{largest_change(one.array, levels):.4f}" if one.kind == "floats" else ""
        images = one.layout.images(levels)
    else:
        rows = Rows(one.where, one.array, one.layout, one.kind)
        change = f"at most {MOST_CHANGED:.4f}" if one.kind == "floats" else ""
        images = Stored(one.array.path, one.array.path.stat().st_size, rows, np.arange(rows.shape[0]))
    return images, f"floats quantised to 256 levels, largest change {change}" if change else ""


def _numbers(where: str, array: Array, last: bool) -> np.ndarray:
    """An array of labels or factors, in memory, [N] or [N, F]; `last` if images are the last axis of their array."""
    if not isinstance(array, np.ndarray):
        check_free(where, 2 * int(np.prod(array.shape)) * array.dtype.itemsize, "save the numbers as integers")
        array = array.take(np.arange(array.shape[0]), 0) if array.shape else np.zeros(())
    return array.T if last and array.ndim == 2 else array


def _one_column(where: str, labels: np.ndarray) -> np.ndarray:
    """Labels as [N]. MATLAB writes a vector as a row or a column."""
    if labels.ndim == 2 and 1 in labels.shape:
        return labels.reshape(-1)
    if labels.ndim == 2:
        raise DataError(
            found=f"{where}: labels of shape {labels.shape}",
            expected="one label for each image",
            do="save one number for each image, or name the array as factors, as in factors=KEY",
        )
    return labels


def _published_names(key: str, factors: np.ndarray | None) -> tuple[str, ...]:
    """The names of the factors of a published array; () for another array."""
    names = FACTORS.get(key, ())
    return names if factors is not None and factors.shape[1:] == (len(names),) else ()


def _ranked(path: str, factors: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[int]]:
    """Replace values by their rank among all values of their column, in all splits; also the numbers of values."""
    shapes = {numbers.shape[1:] for numbers in factors.values()}
    if len(shapes) != 1 or shapes == {()} or not all(np.isfinite(numbers).all() for numbers in factors.values()):
        raise DataError(
            found=f"{path}: factors that are not finite, or of shapes {', '.join(map(str, shapes))}",
            expected="finite numbers [N, F], with the same F for all splits",
            do="correct the factors",
        )
    together = np.concatenate(list(factors.values()))
    values = [np.unique(column) for column in together.T]
    ranked = {
        split: np.stack([np.searchsorted(all_of, column) for all_of, column in zip(values, numbers.T, strict=True)], 1)
        for split, numbers in factors.items()
    }
    return ranked, [len(all_of) for all_of in values]
