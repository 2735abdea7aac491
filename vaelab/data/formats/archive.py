"""Read a zip or tar archive of image files without unpacking it. The names of its members are the folders."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Protocol

from vaelab.data.dataset import Contents
from vaelab.data.formats import folder as folders
from vaelab.data.formats.decode import Decoded, Found
from vaelab.data.formats.picture import SUFFIXES, without_warnings
from vaelab.data.formats.tree import Stamp, Tree
from vaelab.data.reading import AS_FOUND, Reading
from vaelab.system.errors import DataError
from vaelab.system.files import expanded, plain
from vaelab.system.memory import check_free

MOST_EXPANDED = 1_000  # times the size of the archive; image files are compressed already
# The members of a tar archive that are texts about the next one.
TEXTS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
LONGEST_TEXT = 2**20  # bytes of a long name, or of other texts in a header
# What zipfile and tarfile raise for a damaged archive.
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class Member:
    """A member of an archive: its name and its declared size in bytes.

    Arguments:
        odd: what it is if it is not a file; it is left out.
        refused: why it cannot be read; "" if it can.
    """

    name: str
    bytes: int
    odd: str = ""
    refused: str = ""


class Archive(Protocol):
    """An open archive."""

    def members(self) -> Iterator[Member]:
        """Every member except folders, as its header says, in the archive's order."""
        ...

    def contents(self, names: set[str]) -> Iterator[tuple[str, bytes]]:
        """The content of these members, in the archive's order."""
        ...


def zipped(where: str, reading: Reading = AS_FOUND) -> Contents:
    """Read the images of a zip archive; the rules are those of `formats.folder.read`.

    A CSV file of labels with a relative path is looked for in the current folder, then in that of the archive.

    Raises:
        DataError: the archive is missing, damaged or encrypted; a member has a path that leaves the archive; the sizes
            that it declares are larger than memory, or than images could be; or as `formats.folder.read`.
    """
    path = expanded(where)
    with _opened(path, "zip"), zipfile.ZipFile(path) as file:
        return _read(f"zip:{where}", path, Zip(file), reading)


def tarred(where: str, reading: Reading = AS_FOUND) -> Contents:
    """Read the images of a tar archive, which may be compressed (.tar.gz, .tar.bz2, .tar.xz), as `zipped`.

    Links in the archive are not followed.

    Raises:
        DataError: as `zipped`.
    """
    path = expanded(where)
    with _opened(path, "tar"), tarfile.open(path, tarinfo=Header) as file:
        return _read(f"tar:{where}", path, Tar(file), reading)


@dataclass(frozen=True)
class Zip:
    """A zip archive."""

    file: zipfile.ZipFile

    def members(self) -> Iterator[Member]:
        for one in self.file.infolist():
            if not one.is_dir():
                refused = "encrypted" if one.flag_bits & 1 else ""
                if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    refused = "compressed in another way than by deflate"
                yield Member(one.filename, one.file_size, refused=refused)

    def contents(self, names: set[str]) -> Iterator[tuple[str, bytes]]:
        for one in self.file.infolist():
            if one.filename in names:
                with self.file.open(one) as content:
                    yield one.filename, content.read(one.file_size)  # no more than is declared


class Header(tarfile.TarInfo):
    """A header of a tar archive, whose texts are not larger than texts are: tarfile reads them into memory."""

    def _proc_member(self, tarfile_: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size > LONGEST_TEXT and self.type in TEXTS:
            raise tarfile.ReadError("a header that is too long")
        return super()._proc_member(tarfile_)  # pyright: ignore[reportAttributeAccessIssue] to be overridden


@dataclass(frozen=True)
class Tar:
    """A tar archive."""

    file: tarfile.TarFile

    def members(self) -> Iterator[Member]:
        for one in self.file:
            if not one.isdir():
                odd = "link" if one.islnk() or one.issym() else "" if one.isreg() else "device"
                yield Member(one.name, one.size, odd, "stored as a sparse file" if one.issparse() else "")
        opened = self.file.fileobj  # tarfile takes a damaged header for the end
        assert opened is not None
        opened.seek(self.file.offset)
        if opened.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end of the archive")

    def contents(self, names: set[str]) -> Iterator[tuple[str, bytes]]:
        for one in self.file:
            if one.isreg() and one.name in names:
                content = self.file.extractfile(one)
                assert content is not None
                yield one.name, content.read()


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[None]:
    """A context in which errors of reading become a DataError."""
    try:
        plain(path).open("rb").close()
        yield
    except DAMAGED as error:
        raise DataError(
            found=f"{path}: damaged, cut short, encrypted or not a {kind} archive ({type(error).__name__})",
            expected=f"a complete {kind} archive of images",
            do="copy or write it again",
        ) from error
    except OSError as error:
        raise DataError(
            found=f"{path}: cannot be read ({error.strerror or type(error).__name__})",
            expected=f"a complete {kind} archive",
            do="check the path, or copy it again",
        ) from error


def _read(source: str, path: Path, archive: Archive, reading: Reading) -> Contents:
    tree, members = _tree(path, archive)
    names = list(tree.images)
    if not names:
        found = f"{path}: no images" + (f", but {said}" if (said := tree.left_out()) else "")
        raise DataError(found=found, expected=f"members named {', '.join(SUFFIXES)}", do="check the archive")
    return folders.of_tree(source, tree, reading, lambda: (_decoded(path, archive, members, names, reading), ()))


def _tree(path: Path, archive: Archive) -> tuple[Tree, dict[str, str]]:
    """The members as files of a folder, in the order of `formats.folder.read`, and the path of each member.

    Raises:
        DataError: a member has a path that leaves the archive, or too large a size; or two have one name.
    """
    tree, images = Tree(path), dict[str, Stamp]()
    members, seen, total, own = dict[str, str](), set[str](), 0, path.stat().st_size
    for member in archive.members():
        total += member.bytes
        if total > MOST_EXPANDED * own:
            raise DataError(
                found=f"{path}: members of {total:,} bytes or more, in an archive of {own:,}",
                expected=f"image files, which are at most {MOST_EXPANDED:,} times smaller in an archive",
                do="do not use this archive, or unpack it with care",
            )
        if member.refused:
            raise DataError(
                found=f"{path}: {member.name} is {member.refused}",
                expected="files as zip and tar programs write them",
                do="write the archive again",
            )
        check_free(f"{path}, {member.name}", 2 * member.bytes, "remove it from the archive")
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or "\\" in member.name or ":" in member.name.partition("/")[0]:
            raise DataError(
                found=f"{path}: a member with the path {member.name!r}, which may leave the folder",
                expected="paths below the archive's own folder",
                do="do not use this archive, or write it again",
            )
        at = str(name)
        if at in seen:
            raise DataError(
                found=f"{path}: two members named {member.name}", expected="one of them", do="write the archive again"
            )
        seen.add(at)
        hidden = next((part for part in name.parts if part.startswith(".") or part == "__MACOSX"), "")
        if hidden:
            tree.hidden.append(f"hidden {'file' if hidden == name.name else 'folder'}")
        elif member.odd:
            tree.others.append((at, member.odd))
        elif name.suffix.lower() in SUFFIXES:
            members[member.name], images[at] = at, Stamp(member.bytes, 0, 0)
        else:
            tree.others.append((at, name.suffix.lower() or "extensionless file"))
    tree.images.update(sorted(images.items(), key=lambda item: item[0].split("/")))
    return tree, members


def _decoded(path: Path, archive: Archive, members: dict[str, str], names: list[str], reading: Reading) -> Decoded:
    """All images, in their order; the archive is read once, in its own order."""
    place = {at: index for index, at in enumerate(names)}
    found = Found(path, names, reading.conversion)
    with without_warnings():
        for name, content in archive.contents(set(members)):
            found.read(place[members[name]], content)
    return found.decoded()
