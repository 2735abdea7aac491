"""Images that stay on disk and are read when they are asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vaelab.system.errors import DataError

BLOCK = 2**20  # bytes read at a time by whoever goes through all images


def _as_stored(levels: np.ndarray) -> np.ndarray:
    return levels


@dataclass(frozen=True, eq=False)
class Stored:
    """The images at some places of a file, in that order: like an array [N, C, H, W], of which only what is asked for
    is read, anew each time.

    Arguments:
        path: the file.
        size: its length in bytes.
        file: uint8 [M, C, H, W], a read-only map of it.
        places: int64 [N], which images of the file these are.
        prepare: levels uint8 [B, C, H, W] -> levels of the same shape; done to whatever is read.
    """

    path: Path
    size: int
    file: np.ndarray
    places: np.ndarray
    prepare: Callable[[np.ndarray], np.ndarray] = _as_stored

    dtype, ndim = np.dtype(np.uint8), 4

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.file.shape[1:])

    @property
    def nbytes(self) -> int:
        return len(self) * self.file[:1].nbytes

    def __getitem__(self, at: np.ndarray | slice) -> np.ndarray:
        """The images at these indices, in memory.

        Raises:
            DataError: the file is no longer there, or not as long as it was. A map of what is not there would end the
                process, so the file is asked first.
        """
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise _lost(self.path, error.strerror or "unreadable") from error
        if size != self.size:
            raise _lost(self.path, f"{size:,} bytes now and not {self.size:,}")
        # Not file[places]: that holds Python's lock while it waits for the disk.
        return self.prepare(np.take(self.file, self.places[at], axis=0))

    @property
    def unprepared(self) -> bool:
        """Whether the images are read as they stand in the file."""
        return self.prepare is _as_stored

    def without_preparation(self) -> "Stored":
        """The same images, read as they stand in the file."""
        return replace(self, prepare=_as_stored)

    def take(self, indices: np.ndarray) -> "Stored":
        """The images at `indices`, in that order, without reading any."""
        return replace(self, places=self.places[indices])

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        """All images, in memory."""
        return self[:]


Images = np.ndarray | Stored  # uint8 [N, C, H, W]


def blocks(images: Images) -> Iterator[np.ndarray]:
    """The images one block after the other, [<= n, C, H, W], each in memory."""
    size = max(1, BLOCK * len(images) // images.nbytes)
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _lost(path: Path, why: str) -> DataError:
    return DataError(
        found=f"{path}: {why}, while its images were in use",
        expected="the file as it was when it was opened: the images stay in it",
        do="put it back and give the same command again, and leave it alone until that ends",
    )
