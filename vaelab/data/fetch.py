"""Download the published files and verify them by their published hashes. A rerun resumes a download."""

import hashlib
import http.client
import os
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vaelab.data.formats import idx
from vaelab.data.sources import roots
from vaelab.system.errors import DataError, SpecError, shortened
from vaelab.system.files import hold, opened
from vaelab.system.private import make_private, user_cache

# (file name, bytes received, total bytes or 0 if the server does not report them)
Progress = Callable[[str, int, int], None]

SLOWEST = 20_000  # bytes/s, on average
PATIENCE_SECONDS = 60.0  # added to the time that SLOWEST allows


@dataclass(frozen=True)
class PublishedFile:
    """Where the files of a source are published, and the MD5 and size of each file as the server sends it."""

    mirrors: tuple[str, ...]
    md5: dict[str, str]
    size_bytes: dict[str, int]


PUBLISHED = {
    "mnist": PublishedFile(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        {
            "train-images-idx3-ubyte.gz": 9_912_422,
            "train-labels-idx1-ubyte.gz": 28_881,
            "t10k-images-idx3-ubyte.gz": 1_648_877,
            "t10k-labels-idx1-ubyte.gz": 4_542,
        },
    ),
    "svhn": PublishedFile(
        ("http://ufldl.stanford.edu/housenumbers/",),
        {
            "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        },
        {"train_32x32.mat": 182_040_794, "test_32x32.mat": 64_275_384},
    ),
}

# MNIST decompressed: a file that was compressed again has another MD5 but the same content.
UNPACKED_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def official(path: Path) -> bool:
    """Whether a file has the published content. MNIST's files may be plain or compressed in any way."""
    md5 = {**UNPACKED_MD5, **PUBLISHED["svhn"].md5}[path.name.removesuffix(".gz")]
    found = hashlib.md5(usedforsecurity=False)
    try:
        with idx.reading(path) as file:
            while block := file.read(2**20):
                found.update(block)
    except DataError:
        return False
    return found.hexdigest() == md5


def fetch(
    name: str,
    root: Path | str | None = None,
    mirrors: Sequence[str] | None = None,
    progress: Progress = lambda file, done, total: None,
) -> list[Path]:
    """Download the published files of a source that are missing, and return the paths of all of them.

    An interrupted download leaves FILE.part next to its target; the next call resumes it.

    Arguments:
        name: "mnist" or "svhn".
        root: files go to root/name; None for $VAELAB_DATA, or the user's cache if that is not set.
        mirrors: URLs of folders, tried in turn; None for the published ones.
        progress: called with (file, bytes received, total bytes or 0 if unknown) as blocks arrive.

    Raises:
        SpecError: the source is not published for download.
        DataError: no mirror gave the published content, or there is another file of that name. No file is replaced.
    """
    if name not in PUBLISHED:
        raise SpecError(
            found=f"a download of {name!r}",
            expected=f"one of {', '.join(PUBLISHED)}",
            do="choose one of these, or read other data from your own files",
        )
    folder = roots(root)[0] / name
    try:
        if folder.parent == user_cache():
            make_private(folder.parent)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            found=f"{folder}: cannot be created ({error.strerror})",
            expected="a folder for the download",
            do="choose another folder with --data-root",
        ) from error
    urls = PUBLISHED[name].mirrors if mirrors is None else mirrors
    published = PUBLISHED[name]
    return [
        _fetch_file(folder, file, md5, published.size_bytes[file], urls, progress)
        for file, md5 in published.md5.items()
    ]


def _fetch_file(folder: Path, file: str, md5: str, size: int, mirrors: Sequence[str], progress: Progress) -> Path:
    for present in (folder / file, folder / file.removesuffix(".gz")):
        if present.is_file() and official(present):
            return present
        if present.is_file():
            raise DataError(
                found=f"{present}: its content is not the published content",
                expected="the published file, or no file of that name",
                do="move it away and fetch again",
            )

    import pooch

    pooch.get_logger().setLevel("WARNING")  # `progress` reports the rest
    failures: dict[str, str] = {}
    # Each mirror is tried twice: the second try resumes an interrupted download, or starts again if the hash was wrong.
    for mirror in (*mirrors, *mirrors):
        url = f"{mirror.rstrip('/')}/{file}"
        download = partial(_download, folder / f"{file}.part", size, progress)
        try:
            # pooch annotates `downloader` with the signature of its processors; so pyright must ignore it.
            pooch.retrieve(url, f"md5:{md5}", file, folder, downloader=download)  # pyright: ignore[reportArgumentType]
            return folder / file
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures[mirror] = str(error).partition(". ")[0] or type(error).__name__
    raise DataError(
        found=f"{file} could not be downloaded ({', '.join(f'{mirror}: {why}' for mirror, why in failures.items())})",
        expected=f"content with MD5 {md5}",
        do="check the connection and fetch again; the download resumes",
    )


class WebOnly(urllib.request.HTTPRedirectHandler):
    """A handler that follows redirects only to http and https; urllib's own also follows them to ftp."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise OSError(f"redirected to {shortened(newurl)}, which is neither http nor https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _leave_shared(part: Path) -> None:
    """Remove the name `part` of a file with other names (hard links): it may be a user's, and keeps its content."""
    with suppress(FileNotFoundError):
        found = part.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            part.unlink()


def _hold(file: int, part: Path) -> None:
    """Lock the file `part`.

    OSError if another process downloads to it, or finished it or gave it another name after it was opened here.
    """
    try:
        hold(file)
    except BlockingIOError as error:
        raise OSError("another process downloads this file") from error
    if not (part.exists() and os.path.samestat(os.fstat(file), part.stat())):
        raise OSError("another process has finished this file; fetch again")
    if os.fstat(file).st_nlink > 1:
        raise OSError(f"{part} has a second name; fetch again")


def _download(part: Path, size: int, progress: Progress, url: str, output_file: str, _pooch: object) -> None:
    """Download a file for pooch: bytes go to `part`, which becomes `output_file` once it is complete.

    OSError if the server sends more than the published `size` in bytes, or sends slower than `SLOWEST` bytes/s.
    """
    _leave_shared(part)
    start = part.stat().st_size if part.exists() else 0
    ends = time.monotonic() + PATIENCE_SECONDS + size / SLOWEST
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.build_opener(WebOnly).open(request, timeout=30) as response:
            start = start if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            length = int(response.headers.get("Content-Length", 0))
            total = start + length if length else 0
            with os.fdopen(opened(part, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as file:
                _hold(file.fileno(), part)
                file.truncate(start)
                while block := response.read1(2**16):  # returns what has arrived; a full block may never come
                    if file.tell() + len(block) > size:
                        file.truncate(0)
                        raise OSError(f"more than the published {size:,} bytes")
                    if time.monotonic() > ends:
                        raise OSError(f"slower than {SLOWEST:,} bytes/s, at {file.tell():,} of {size:,} bytes")
                    file.write(block)
                    progress(part.stem, file.tell(), total)
                done = file.tell()
    except urllib.error.HTTPError as error:
        with error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise OSError(f"HTTP {error.code}") from error
        done = total = start  # the file is complete: pooch compares the hash
    if done < total:
        raise OSError(f"cut short at {done:,} of {total:,} bytes")
    os.replace(part, output_file)
