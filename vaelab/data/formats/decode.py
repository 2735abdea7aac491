"""Decode many image files into one array. All files that cannot be read are named in one error.

Files of a folder are decoded in several processes if that saves time (`decode`). What reads files out of another one
adds each of them to `Found`.
"""

import math
import os
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import numpy as np

from vaelab.data.conversion import CHANGES, FILTER, Conversion, Converted
from vaelab.data.formats.decoder import Decoder
from vaelab.data.formats.picture import decoded, size, without_warnings
from vaelab.data.formats.tree import listed
from vaelab.system.errors import DataError
from vaelab.system.memory import check_free

MOST_PROCESSES = 8
TRIAL_SECONDS = 0.2  # for so long files are decoded here: this says how long all others will take
WORTH_SECONDS = 1.0  # what takes less is decoded here too, because other processes take time to start
BLOCK_IMAGES, BLOCK_BYTES = 64, 4_000_000  # what a process decodes at a time: at most so many, and so much
Results = Future[list["Converted | DataError"]]
NAMED = 10  # number of files that an error names
SIZES_NAMED = 6  # number of sizes that a line names


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

    def said(self, source: str, conversion: Conversion) -> tuple[str, ...]:
        """What was converted in `source`, in one line for the sizes and one for the rest; nothing if nothing was."""
        said = list[str]()
        if conversion.resize:
            target = conversion.resize.height, conversion.resize.width
            by_count = sorted(self.sizes.items(), key=lambda item: (-item[1], item[0]))
            sizes = listed([f"{height} x {width}: {number:,}" for (height, width), number in by_count], SIZES_NAMED)
            count = len(self.images)
            resized = count - self.sizes.get(target, 0)
            crop = "cropped around the centre to that shape and " * conversion.resize.crop
            said.append(
                f"sizes in {source}: {sizes}; {resized:,} of {count:,} images are {crop}resized to "
                f"{target[0]} x {target[1]} by Pillow's filter {FILTER}"
            )
        if changes := "; ".join(f"{self.changes[key]:,} {CHANGES[key]}" for key in CHANGES if key in self.changes):
            said.append(f"converted in {source}: {changes}")
        return tuple(said)


def decode(folder: Path, names: Sequence[str], conversion: Conversion) -> Decoded:
    """Decode the files `names` in `folder`, one or more. The number of processes changes the time and nothing else.

    Raises:
        DataError: files cannot be read, or the images differ in size or colour after the conversion.
    """
    found = Found(folder, names, conversion)
    with without_warnings(), closing(_results(folder, names, conversion)) as results:
        for index, result in enumerate(results):
            found.add(index, result)
    return found.decoded()


@dataclass(eq=False)
class Found:
    """What was decoded so far.

    Arguments:
        where: the folder, archive or table of the files.
        names: of the files in it, one or more.
        conversion: of each image.
        mark: what is between `where` and a name in an error.
    """

    where: Path
    names: Sequence[str]
    conversion: Conversion
    mark: str = "/"
    images: np.ndarray | None = None
    like: int = 0  # the index of the first image that was added
    grey: int = 0  # number of grey images
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, DataError]] = field(default_factory=list)
    unlike: list[tuple[str, np.ndarray]] = field(default_factory=list)  # files of another shape; only the first image

    def __post_init__(self) -> None:
        if target := self.conversion.resize:  # otherwise the first image says how large all are
            self._check(f"{target} pixels", len(self.names) * target.height * target.width)

    def shown(self, index: int) -> str:
        """The name of a file in errors."""
        return f"{self.where}{self.mark}{self.names[index]}"

    def read(self, index: int, content: bytes) -> None:
        """Decode the content of a file and add its image. Call it in `without_warnings`."""
        try:
            result = decoded(self.shown(index), self.conversion, content)
        except DataError as error:
            result = _alone(error)
        self.add(index, result)

    def add(self, index: int, result: Converted | DataError) -> None:
        """Add the image of a file, or why it cannot be read."""
        if isinstance(result, DataError):
            self.failures.append((self.names[index], result))
            return
        levels = result.levels
        self.sizes[result.size] += 1
        if result.changes:
            self.changes.update(result.changes)
        self.grey += len(levels) == 1
        if self.images is None:
            self._allocate(levels)
            self.images, self.like = np.empty((len(self.names), *levels.shape), np.uint8), index
        if self.conversion.convert and levels.shape == (3, *self.images.shape[2:]) and self.images.shape[1] == 1:
            self._allocate(levels)
            self.images = np.repeat(self.images, 3, axis=1)
        shape = self.images.shape[1:]
        if levels.shape == shape or (self.conversion.convert and (3, *levels.shape[1:]) == shape):
            self.images[index] = levels  # grey levels are copied to the three channels
        else:
            self.unlike.append((self.shown(index), levels if not self.unlike else levels[:0]))

    def _allocate(self, like: np.ndarray) -> None:
        self._check(size(like), len(self.names) * like.nbytes)

    def _check(self, of: str, needed_bytes: int) -> None:
        do = "make them smaller with --resize, or write them as images.npy, which is read in parts"
        check_free(f"{self.where}: {len(self.names):,} images of {of}", needed_bytes, do)

    def decoded(self) -> Decoded:
        """All images, after each of them was added.

        Raises:
            DataError: a file could not be read, or an image is unlike the first.
        """
        if self.failures:
            raise self._unreadable()
        assert self.images is not None
        if self.unlike:
            raise self._unlike(self.images[self.like])
        if self.images.shape[1] == 3 and self.grey:
            self.changes["colour"] = self.grey
        return Decoded(self.images, dict(sorted(self.sizes.items())), dict(sorted(self.changes.items())))

    def _unlike(self, first: np.ndarray) -> DataError:
        shown, other = self.unlike[0]
        height, width = first.shape[1:]
        resized = f"--resize {height}x{width} or --resize crop:{height}x{width}, "
        same = other.shape[1:] == first.shape[1:]
        more = f" ({len(self.unlike):,} of {len(self.names):,} images differ from it)" if len(self.unlike) > 1 else ""
        return DataError(
            found=f"{shown}: {size(other)}, but {self.shown(self.like)}: {size(first)}{more}",
            expected="images of one size, all grey or all RGB",
            do=f"use {'--grey, or --convert, which makes them RGB, ' if same else resized}"
            "or put each kind into its own folder or file",
        )

    def _unreadable(self) -> DataError:
        """One error for all files that cannot be read; it names the first of them, by reason."""
        failures = self.failures
        if len(failures) == 1:
            return failures[0][1]
        reasons = dict[str, list[str]]()
        for name, error in failures[:NAMED]:
            reasons.setdefault(error.found.removeprefix(f"{self.where}{self.mark}{name}: "), []).append(name)
        said = ", ".join(f"{reason} ({', '.join(names)})" for reason, names in reasons.items())
        more = f", and {len(failures) - NAMED:,} more files" if len(failures) > NAMED else ""
        return DataError(
            found=f"{self.where}: {len(failures):,} of {len(self.names):,} images cannot be read: {said}{more}",
            expected=" and ".join(dict.fromkeys(error.expected for _, error in failures)),
            do=", or ".join(dict.fromkeys(error.do for _, error in failures)),
        )


def _results(
    folder: Path, names: Sequence[str], conversion: Conversion
) -> Generator[Converted | DataError, None, None]:
    """Decode the files, in their order. Only a few blocks of images are in memory at a time."""
    began, done, largest = time.monotonic(), 0, 0
    while done < len(names) and (done == 0 or time.monotonic() - began < TRIAL_SECONDS):
        result = _result(folder, names[done], conversion)
        yield result
        largest = max(largest, result.levels.nbytes if isinstance(result, Converted) else 0)
        done += 1
    rest, each_s = names[done:], (time.monotonic() - began) / done
    count = max(1, min(BLOCK_IMAGES, BLOCK_BYTES // (largest or BLOCK_BYTES)))
    processes = min(MOST_PROCESSES, _processors(), math.ceil(len(rest) / count))
    if processes > 1 and each_s * len(rest) > WORTH_SECONDS:
        blocks = [rest[start : start + count] for start in range(0, len(rest), count)]
        yield from _in_processes(folder, blocks, conversion, processes)
    else:
        yield from (_result(folder, name, conversion) for name in rest)


def _in_processes(
    folder: Path, blocks: Sequence[Sequence[str]], conversion: Conversion, processes: int
) -> Iterator[Converted | DataError]:
    """Decode blocks of files in several processes, each of which has a thread here that waits for it."""
    pool, ahead, idle, stop = ThreadPoolExecutor(processes), deque[Results](), SimpleQueue[Decoder](), Event()
    with ExitStack() as stack:
        for _ in range(processes):
            decoder = Decoder(str(folder), conversion)
            stack.callback(decoder.close)
            idle.put(decoder)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)  # before the processes end
        stack.callback(stop.set)
        for block in blocks:
            ahead.append(pool.submit(_block, folder, block, conversion, idle, stop))
            if len(ahead) > 2 * processes:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def _block(
    folder: Path, names: Sequence[str], conversion: Conversion, idle: "SimpleQueue[Decoder]", stop: Event
) -> list[Converted | DataError]:
    """Decode files in a process that is idle, and here what it leaves. After `stop` the results are incomplete."""
    decoder = idle.get()
    try:
        found = decoder.decode(names)
    finally:
        idle.put(decoder)
    results = list[Converted | DataError]()
    for name, result in zip(names, found, strict=True):
        if stop.is_set():
            break
        results.append(_result(folder, name, conversion) if result is None else result)
    return results


def _result(folder: Path, name: str, conversion: Conversion) -> Converted | DataError:
    try:
        return decoded(f"{folder}/{name}", conversion)
    except DataError as error:
        return _alone(error)


def _alone(error: DataError) -> DataError:
    """The error without its tracebacks, with which the bytes of the file would stay in memory."""
    error.__cause__ = None
    return error.with_traceback(None)


def _processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
