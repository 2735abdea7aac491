"""Decode many image files in threads into one array. All files that cannot be read are named in one error."""

import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vaelab.data.conversion import Conversion, Converted
from vaelab.data.formats.picture import decoded, size, without_warnings
from vaelab.system.errors import DataError
from vaelab.system.memory import check_free

MOST_THREADS = 8
BLOCK_IMAGES, BLOCK_BYTES = 64, 4_000_000  # what a thread decodes at a time: at most so many, and so much
NAMED = 10  # number of files that an error names


@dataclass(frozen=True, eq=False)
class Decoded:
    """The images of several files after their conversion.

    Arguments:
        images: uint8 [N, C, H, W], in the order of the files.
        sizes: the number of files of each (height, width), before the conversion.
        changes: the number of files for each key of `vaelab.data.conversion.CHANGES`.
    """

    images: np.ndarray
    sizes: Mapping[tuple[int, int], int]
    changes: Mapping[str, int]


def decode(folder: Path, names: Sequence[str], conversion: Conversion) -> Decoded:
    """Decode the files `names` in `folder`, one or more. The number of threads changes the time and nothing else.

    Raises:
        DataError: files cannot be read, or the images differ in size or colour after the conversion.
    """
    found = _Found(folder, len(names), conversion)
    with without_warnings():
        for index, result in enumerate(_results(folder, names, conversion)):
            found.add(index, names[index], result)
    found.check(names)
    assert found.images is not None
    if found.images.shape[1] == 3 and found.grey:
        found.changes["colour"] = found.grey
    return Decoded(found.images, dict(sorted(found.sizes.items())), dict(sorted(found.changes.items())))


@dataclass(eq=False)
class _Found:
    """What was decoded so far."""

    folder: Path
    count: int
    conversion: Conversion
    images: np.ndarray | None = None
    like: str = ""  # the file of the first image
    grey: int = 0  # number of grey images
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, DataError]] = field(default_factory=list)
    unlike: list[tuple[str, np.ndarray]] = field(default_factory=list)  # files of another shape; only the first image

    def add(self, index: int, name: str, result: Converted | DataError) -> None:
        if isinstance(result, DataError):
            self.failures.append((name, result))
            return
        levels = result.levels
        self.sizes[result.size] += 1
        self.changes.update(result.changes)
        self.grey += len(levels) == 1
        if self.images is None:
            self._allocate(levels)
            self.images, self.like = np.empty((self.count, *levels.shape), np.uint8), name
        if self.conversion.convert and levels.shape == (3, *self.images.shape[2:]) and self.images.shape[1] == 1:
            self._allocate(levels)
            self.images = np.repeat(self.images, 3, axis=1)
        shape = self.images.shape[1:]
        if levels.shape == shape or (self.conversion.convert and (3, *levels.shape[1:]) == shape):
            self.images[index] = levels  # grey levels are copied to the three channels
        else:
            self.unlike.append((name, levels if not self.unlike else levels[:0]))

    def _allocate(self, like: np.ndarray) -> None:
        what = f"{self.folder}: {self.count:,} images of {size(like)}"
        do = "make them smaller with --resize, or write them as images.npy, which is read in parts"
        check_free(what, self.count * like.nbytes, do)

    def check(self, names: Sequence[str]) -> None:
        """Raise a DataError if a file could not be read, or if an image is unlike the first."""
        if self.failures:
            raise _unreadable(self.folder, self.failures, len(names))
        if not self.unlike:
            return
        assert self.images is not None
        (name, other), first = self.unlike[0], self.images[names.index(self.like)]
        height, width = first.shape[1:]
        resized = f"--resize {height}x{width} or --resize crop:{height}x{width}, "
        same = other.shape[1:] == first.shape[1:]
        more = f" ({len(self.unlike):,} of {len(names):,} images differ from it)" if len(self.unlike) > 1 else ""
        raise DataError(
            found=f"{self.folder}/{name}: {size(other)}, but {self.folder}/{self.like}: {size(first)}{more}",
            expected="images of one size, all grey or all RGB",
            do=f"use {'--grey, or --convert, which makes them RGB, ' if same else resized}"
            "or put each kind into its own folder",
        )


def _results(folder: Path, names: Sequence[str], conversion: Conversion) -> Iterator[Converted | DataError]:
    """Decode the files, in their order. Only a few blocks of images are in memory at a time."""
    first = _result(folder, names[0], conversion)
    yield first
    each = first.levels.nbytes if isinstance(first, Converted) else BLOCK_BYTES
    count = max(1, min(BLOCK_IMAGES, BLOCK_BYTES // each))
    threads = min(MOST_THREADS, _processors())
    ahead = deque[Future[list[Converted | DataError]]]()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(1, len(names), count):
            ahead.append(pool.submit(_block, folder, names[start : start + count], conversion))
            if len(ahead) > 2 * threads:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def _block(folder: Path, names: Sequence[str], conversion: Conversion) -> list[Converted | DataError]:
    return [_result(folder, name, conversion) for name in names]


def _result(folder: Path, name: str, conversion: Conversion) -> Converted | DataError:
    try:
        return decoded(f"{folder}/{name}", conversion)
    except DataError as error:
        error.__cause__ = None  # with the tracebacks, the bytes of the file would stay in memory
        return error.with_traceback(None)


def _processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _unreadable(folder: Path, failures: Sequence[tuple[str, DataError]], count: int) -> DataError:
    """One error for all files that cannot be read; it names the first of them, by reason."""
    if len(failures) == 1:
        return failures[0][1]
    reasons = dict[str, list[str]]()
    for name, error in failures[:NAMED]:
        reasons.setdefault(error.found.removeprefix(f"{folder}/{name}: "), []).append(name)
    said = ", ".join(f"{reason} ({', '.join(names)})" for reason, names in reasons.items())
    more = f", and {len(failures) - NAMED:,} more files" if len(failures) > NAMED else ""
    return DataError(
        found=f"{folder}: {len(failures):,} of {count:,} images cannot be read: {said}{more}",
        expected=" and ".join(dict.fromkeys(error.expected for _, error in failures)),
        do=", or ".join(dict.fromkeys(error.do for _, error in failures)),
    )
