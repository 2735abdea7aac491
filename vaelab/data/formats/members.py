"""Image files that are inside another file: a member of an archive, or a value of a table."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vaelab.data.formats.picture import picture
from vaelab.system.errors import DataError

Decode = Callable[[bytes, Path], np.ndarray]


@contextmanager
def decoder() -> Iterator[Decode]:
    """A function (content of an image file, its name in errors) -> uint8 [C, H, W].

    One temporary file holds one image at a time, because `picture` reads files.

    Raises:
        DataError: as `picture`.
    """
    with tempfile.TemporaryDirectory(prefix="vaelab-") as folder:
        place = Path(folder) / "image"

        def decode(content: bytes, name: Path) -> np.ndarray:
            place.write_bytes(content)
            try:
                return picture(place)
            except DataError as error:
                found = error.found.replace(str(place), str(name))
                raise DataError(found=found, expected=error.expected, do=error.do) from error

        yield decode
