"""The cache of decoded folders: two files for each folder and conversion, which can be deleted at any time.

KEY.npy has the images, and KEY.json their digest and what was converted. The key is a digest of the folder's path, the
name and stamp of each file, and the conversion. A damaged entry is made again. Other files in the folder of the cache
are the user's own: they are neither counted nor deleted.
"""

import hashlib
import io
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from vaelab.data.conversion import Conversion
from vaelab.data.formats.decode import Decoded
from vaelab.data.formats.tree import Stamp
from vaelab.system.errors import VaelabError
from vaelab.system.files import check_no_link, opened, remove_leftovers, small, write_atomically
from vaelab.system.memory import check_free
from vaelab.system.private import is_private, make_trusted, open_to_others, user_cache

VERSION = 2  # of the rules of conversion and of these files
LARGEST_BYTES = 5_000_000_000  # of all entries together; those that were not used for longest are deleted first
WORTH_SECONDS = 0.5  # images that are decoded in less time are not kept
SETTLED_SECONDS = 2  # a file that changed so recently may change again without another time in its stamp
IMAGES = re.compile("[0-9a-f]{32}[.]npy")  # the names of the files with images; see `_key`
# The names of the other files: descriptions, and temporary files
BESIDE = re.compile("[0-9a-f]{32}[.]json|[.]([0-9a-f]{32}[.](?:npy|json))[.][0-9a-f]{16}[.]tmp")


class Description(BaseModel):
    """The content of KEY.json.

    Arguments:
        folder: the folder of the images.
        shape: [N, C, H, W].
        sha256: the digest of the images.
        sizes: height, width and number of files of each size.
        changes: as in `Decoded`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    folder: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    sha256: str
    sizes: list[tuple[PositiveInt, PositiveInt, PositiveInt]]
    changes: dict[str, int]


@dataclass(frozen=True)
class Entry:
    """One entry of the cache.

    Arguments:
        path: the file of its images.
        description: None if its file is damaged.
        size: bytes of its files.
        used: when it was used last, in seconds since the epoch.
    """

    path: Path
    description: Description | None
    size: int
    used: float


def decoded_once(
    folder: Path,
    files: Mapping[str, Stamp],
    conversion: Conversion,
    make: Callable[[], Decoded],
    unchanged: Callable[[], bool],
) -> tuple[Decoded, tuple[str, ...]]:
    """The images of a folder: from the cache, or made and put into the cache. They are the same, bit for bit.

    Arguments:
        files: all image files of the folder, with their stamps.
        make: decodes the folder.
        unchanged: whether the files still have these stamps.

    Returns:
        The images, and what to tell the user: that they could not be kept.

    Raises:
        DataError: there is not enough memory for them; or as `make`.
    """
    settled = max(stamp.changed_ns for stamp in files.values()) / 1e9 < time.time() - SETTLED_SECONDS
    path = place() / f"{_key(folder, files, conversion)}.npy"
    if settled and (known := _read(path)) is not None:
        check_free(f"{folder}: {len(files):,} images", known.images.nbytes, "make them smaller with --resize")
        return known, ()
    began = time.monotonic()
    decoded = make()
    if not settled or time.monotonic() - began < WORTH_SECONDS or not unchanged():
        return decoded, ()
    try:
        _keep(path, folder, decoded)
    except (VaelabError, OSError) as error:
        return decoded, (f"decoded again next time, because the images of {folder} cannot be kept: {error}",)
    return decoded, ()


def place() -> Path:
    """The folder of the cache."""
    return user_cache() / "decoded"


def entries() -> list[Entry]:
    """The entries of the cache, those that were used last first; none if its folder is a link."""
    found = list[Entry]()
    ours = [] if place().is_symlink() else [path for path in place().glob("*.npy") if IMAGES.fullmatch(path.name)]
    for path in ours:
        with suppress(OSError):  # deleted by another process
            images, beside = path.lstat(), path.with_suffix(".json")
            size = images.st_size + (beside.lstat().st_size if beside.is_file() else 0)
            found.append(Entry(path, _description(beside), size, images.st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> list[Entry]:
    """Delete all entries and what killed processes left, and return the entries.

    A process that uses one at the moment is not disturbed.

    Raises:
        RunError: the folder of the cache is a symbolic link.
    """
    check_no_link(place())
    gone = entries()
    for entry in gone:
        _delete(entry)
    _sweep()
    return gone


def _sweep() -> None:
    """Delete what killed processes left: descriptions without images, and files that were not written completely."""
    for path in list(place().glob("*")):
        if not (found := BESIDE.fullmatch(path.name)):
            continue
        if found[1]:
            remove_leftovers(path.with_name(found[1]))
        elif not path.with_suffix(".npy").exists():
            with suppress(OSError):
                path.unlink()


def _key(folder: Path, files: Mapping[str, Stamp], conversion: Conversion) -> str:
    import PIL

    words = [VERSION, PIL.__version__, os.path.realpath(folder), conversion]
    key = hashlib.sha256("\0".join(map(str, words)).encode(errors="surrogateescape"))
    for name, (size, modified, changed, device, inode) in sorted(files.items()):
        key.update(f"\0{name}\0{size} {modified} {changed} {device} {inode}".encode())
    return key.hexdigest()[:32]


def _read(path: Path) -> Decoded | None:
    """The images of an entry, mapped from the file; None if there is no such entry, or it is damaged."""
    try:
        description = _description(path.with_suffix(".json"))
        if description is None or open_to_others(path.parent):
            return None
        with open(opened(path, os.O_RDONLY), "rb") as file:
            status = os.fstat(file.fileno())
            header = _header(description.shape)
            size = len(header) + math.prod(description.shape)
            if not is_private(path) or status.st_size != size or file.read(len(header)) != header:
                return None
            images = np.asarray(np.memmap(file, np.uint8, "c", len(header), description.shape))
        if _digest(images) != description.sha256:
            return None
        os.utime(path)
    except (OSError, ValueError):
        return None
    sizes = {(height, width): count for height, width, count in description.sizes}
    return Decoded(images, sizes, description.changes)


def _description(path: Path) -> Description | None:
    try:
        return Description.model_validate_json(small(path).read_bytes()) if is_private(path) else None
    except (OSError, ValidationError):
        return None


def _keep(path: Path, folder: Path, decoded: Decoded) -> None:
    """Write an entry, after those that were not used for longest were deleted to make room.

    Raises:
        OSError, RunError: the cache cannot be written to, its folder is a symbolic link, or it is open to others.
    """
    check_no_link(path.parent)
    images = decoded.images
    count, channels, height, width = images.shape
    if images.nbytes > LARGEST_BYTES:
        return
    make_trusted(path.parent)
    room = LARGEST_BYTES - images.nbytes
    for entry in entries():
        room -= entry.size
        if room < 0:
            _delete(entry)
    description = Description(
        folder=os.path.realpath(folder),
        shape=(count, channels, height, width),
        sha256=_digest(images),
        sizes=[(*size, number) for size, number in decoded.sizes.items()],
        changes=dict(decoded.changes),
    )
    # A file that others may write to is not read again, and the umask may let them
    write_atomically(path, _header(images.shape), images.data, mode=0o600)
    write_atomically(path.with_suffix(".json"), description.model_dump_json(indent=1).encode(), mode=0o600)


def _header(shape: tuple[int, ...]) -> bytes:
    """The header of an .npy file of uint8 images of this shape."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _digest(images: np.ndarray) -> str:
    found = hashlib.sha256()
    for start in range(0, len(images), 1000):
        found.update(images[start : start + 1000].data)
    return found.hexdigest()


def _delete(entry: Entry) -> None:
    for path in (entry.path.with_suffix(".json"), entry.path):
        with suppress(OSError):
            path.unlink()
