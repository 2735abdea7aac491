"""Images that stay on disk and are read when they are indexed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np

from vaelab.system.errors import DataError

BLOCK = 2**20  # bytes read at a time in a pass over all images


def _as_stored(levels: np.ndarray) -> np.ndarray:
    return levels


class Rows(Protocol):
    """All images of a file: a call with indices [B] reads them into new memory, as uint8 [B, C, H, W]."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, C, H, W]."""
        ...

    def __call__(self, places: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Stored:
    """Images in a file, like an array [N, C, H, W]. Indexing reads only the images that it names, each time again.

    Arguments:
        path: the file.
        size: its length in bytes.
        rows: reads images of the file.
        places: int64 [N], the indices of these images in the file, in their order here.
        prepare: levels uint8 [B, C, H, W] -> levels of the same shape; applied to all images that are read.
    """

    path: Path
    size: int
    rows: Rows
    places: np.ndarray
    prepare: Callable[[np.ndarray], np.ndarray] = _as_stored

    dtype, ndim = np.dtype(np.uint8), 4

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.rows.shape[1:])

    @property
    def nbytes(self) -> int:
        return prod(self.shape)

    def __getitem__(self, at: np.ndarray | slice) -> np.ndarray:
        """Read the images at these indices into memory.

        Raises:
            DataError: the file is gone, or its length has changed. Reading a map beyond the end of its file kills the
                process, so the length is checked first. Or `rows` cannot read them.
        """
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise _lost(self.path, error.strerror or "unreadable") from error
        if size != self.size:
            raise _lost(self.path, f"{size:,} bytes now and not {self.size:,}")
        return self.prepare(self.rows(self.places[at]))

    @property
    def unprepared(self) -> bool:
        """Whether the images are read without preparation."""
        return self.prepare is _as_stored

    def without_preparation(self) -> "Stored":
        """The same images, read without preparation."""
        return replace(self, prepare=_as_stored)

    def take(self, indices: np.ndarray) -> "Stored":
        """The images at `indices`, in that order; reads nothing."""
        return replace(self, places=self.places[indices])

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        """All images, in memory."""
        whole, place = np.empty(self.shape, np.uint8), 0
        for block in blocks(self):  # in pieces: what is read may take more memory than the levels
            whole[place : place + len(block)] = block
            place += len(block)
        return whole


Images = np.ndarray | Stored  # uint8 [N, C, H, W]


def blocks(images: Images) -> Iterator[np.ndarray]:
    """Yield the images block by block, [<= n, C, H, W], each in memory."""
    size = max(1, BLOCK * len(images) // images.nbytes)
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _lost(path: Path, why: str) -> DataError:
    return DataError(
        found=f"{path}: {why}, while its images were in use",
        expected="an unchanged file: its images are read while the command runs",
        do="restore the file, rerun the command, and do not change the file until the command ends",
    )
