"""A zip or tar archive is read as its folder would be; a dangerous archive is refused before it is unpacked."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data import load_data
from vaelab.data.formats import archive
from vaelab.data.reading import parse_reading
from vaelab.system.errors import DataError


def png(number: int, side: int = 6) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (side, 5, 3), np.uint8)).save(content, "PNG")
    return content.getvalue()


PETS = {
    f"{split}/{name}/{number}.png": png(number + 10 * len(split))
    for split, count in (("train", 6), ("test", 3))
    for name in ("dog", "cat")
    for number in range(count)
}
MORE = {"readme.txt": b"about", "__MACOSX/a.png": b"-", "train/.hidden.png": b"-"}


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def tarred(path: Path, files: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:  # pyright: ignore[reportCallIssue, reportArgumentType]
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            file.addfile(header, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_is_read_as_its_folder(tmp_path: Path, kind: str):
    files = dict(reversed((PETS | MORE).items()))
    path = zipped(tmp_path / "a.zip", files) if kind == "zip" else tarred(tmp_path / "a.tar", files, kind)
    for name, content in files.items():
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(content)
    there = load_data(f"{'zip' if kind == 'zip' else 'tar'}:{path}", validation=0)
    here = load_data(f"folder:{tmp_path / 'pets'}", validation=0)
    for one, other in ((there.train, here.train), (there.test, here.test)):
        assert (one.sha256, one.class_names) == (other.sha256, other.class_names)
    assert there.said[1].startswith(f"left out of {there.train.name}: 1 .txt, ")


def mixed(folder: Path) -> dict[str, bytes]:
    """Images of several sizes and modes, with a CSV file of labels; the folder has the same files."""
    images = {
        "train/dog/2_a.png": Image.fromarray(np.full((6, 9, 3), (9, 200, 30), np.uint8)),
        "train/cat/1_b.png": Image.fromarray(np.full((4, 4), 100, np.uint8)),
        "test/cat/1_c.png": Image.new("LA", (5, 7), (100, 51)),
        "test/dog/2_d.tif": Image.new("CMYK", (5, 6), (1, 2, 3, 4)),
    }
    files = {"labels.csv": b"file,label\n" + b"".join(f"{name},{name[-5]}\n".encode() for name in images)}
    for name, image in images.items():
        content = io.BytesIO()
        image.save(content, "TIFF" if name.endswith("tif") else "PNG")
        files[name] = content.getvalue()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return files


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("flags", "classes"),
    [
        ({"resize": "crop:5x4"}, {"cat", "dog"}),
        ({"resize": "5x4", "grey": True, "labels": r"name:(\d)_"}, {"1", "2"}),
        ({"resize": "5x4", "labels": "csv:labels.csv"}, {"a", "b", "c", "d"}),
    ],
)
def test_an_archive_is_converted_and_labelled_as_its_folder(tmp_path: Path, kind: str, flags, classes: set[str]):
    files = dict(reversed(mixed(tmp_path / "own").items()))
    path = zipped(tmp_path / "a.zip", files) if kind == "zip" else tarred(tmp_path / "a.tar", files)
    (tmp_path / "labels.csv").write_bytes(files["labels.csv"])  # beside the archive
    reading = parse_reading(convert=True, **flags)
    there = load_data(f"{kind}:{path}", validation=0, reading=reading)
    here = load_data(f"folder:{tmp_path / 'own'}", validation=0, reading=reading)
    for one, other in ((there.train, here.train), (there.test, here.test)):
        assert (one.sha256, one.class_names) == (other.sha256, other.class_names)
    assert {*there.train.class_names.values()} == classes
    own = [line.replace(f"folder:{tmp_path / 'own'}", there.train.name) for line in here.said]
    assert [line for line in there.said if "converted in" in line or "sizes in" in line] == own[1:3]


def test_an_archive_with_images_to_convert_says_which_flag_does_it(tmp_path: Path, refused):
    path = zipped(tmp_path / "a.zip", mixed(tmp_path / "own"))
    with refused(DataError, f"{path}: 2 of 4 images cannot be read", "test/cat/1_c.png", "use --convert"):
        archive.zipped(str(path))
    with refused(DataError, path, "images of one size", "--resize"):
        archive.zipped(str(path), parse_reading(convert=True))
    with refused(DataError, f"{path}: 4 of 4 names give no label", "change --labels"):
        archive.zipped(str(path), parse_reading(labels="name:(x)"))


def test_images_in_no_folder_have_no_labels(tmp_path: Path):
    read = archive.zipped(str(zipped(tmp_path / "a.zip", {"b.png": png(1), "a.png": png(0)})))
    assert read.train.labels is None
    first = np.asarray(Image.open(io.BytesIO(png(0)))).transpose(2, 0, 1)
    np.testing.assert_array_equal(read.train.images[0], first)


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "x/../../a.png", "C:/a.png", "x\\..\\a.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, refused, name: str, kind: str):
    files = {"b.png": png(0), name: png(1)}
    path = zipped(tmp_path / "a", files) if kind == "zip" else tarred(tmp_path / "a", files)
    with refused(DataError, path, "which may leave the folder", "do not use this archive"):
        (archive.zipped if kind == "zip" else archive.tarred)(str(path))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_bomb_is_refused_by_the_sizes_that_it_declares(tmp_path: Path, refused, kind: str):
    files = {"a.png": png(0), "b.bmp": bytes(40_000_000)}
    path = zipped(tmp_path / "a", files) if kind == "zip" else tarred(tmp_path / "a", files, "w:xz")
    assert path.stat().st_size < 40_000
    with refused(DataError, path, "40,000,140 bytes" if len(png(0)) == 140 else "bytes or more", "1,000 times"):
        (archive.zipped if kind == "zip" else archive.tarred)(str(path))


def test_a_member_larger_than_memory_is_refused(tmp_path: Path, refused, monkeypatch):
    path = tarred(tmp_path / "a.tar", {"a.bmp": bytes(50_000)}, "w")
    monkeypatch.setattr("vaelab.system.memory.free_bytes", lambda: 90_000)
    with refused(DataError, path, "a.bmp: needs 0.1 MB of memory"):
        archive.tarred(str(path))


def test_a_member_that_is_longer_than_it_declares_is_not_read_further(tmp_path: Path, refused):
    path = zipped(tmp_path / "a.zip", {"a.bmp": bytes(3_000_000)})
    content = bytearray(path.read_bytes())
    for place in (content.index(b"PK\x01\x02") + 24, content.index(b"PK\x03\x04") + 22):
        content[place : place + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    with refused(DataError, path):
        archive.zipped(str(path))


def test_a_long_text_in_a_header_is_not_read(tmp_path: Path, refused):
    """A name of 40 MB, in an archive of a few thousand bytes."""
    with tarfile.open(tmp_path / "a.tar", "w:gz", format=tarfile.GNU_FORMAT) as file:
        header = tarfile.TarInfo("a" * 40_000_000)
        file.addfile(header, io.BytesIO())
    with refused(DataError, tmp_path / "a.tar", "damaged"):
        archive.tarred(str(tmp_path / "a.tar"))


def test_links_are_left_out(tmp_path: Path):
    path = tarred(tmp_path / "a.tar", {"a.png": png(0)}, "w")
    with tarfile.open(path, "a") as file:
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    read = archive.tarred(str(path))
    assert len(read.train.images) == 1
    assert read.left_out == "1 link"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ("no images",)),
        ({"a.txt": b"-"}, ("no images, but 1 .txt",)),
        ({"a.png": b"-"}, ("a.png: not a PNG",)),
        ({"a.png": png(0), "b.png": png(0, 7)}, ("b.png: 7 x 5 RGB, but", "a.png: 6 x 5 RGB", "images of one size")),
        ({"a.png": png(0), "x/b.png": png(1)}, ("both in sub-folders and next to them",)),
        ({"test/a.png": png(0)}, ("test without training images",)),
        ({"train/a.png": png(0), "cat/a.png": png(0)}, ("folders of splits (train) next to cat",)),
    ],
)
def test_members_that_are_not_a_data_set_are_refused(tmp_path: Path, refused, files, words: tuple[str, ...]):
    path = zipped(tmp_path / "a.zip", files)
    with refused(DataError, path, *words):
        archive.zipped(str(path))


def test_a_name_that_is_twice_in_an_archive_is_refused(tmp_path: Path, refused):
    path = tarred(tmp_path / "a.tar", {"a.png": png(0)}, "w")
    with tarfile.open(path, "a") as file:
        header = tarfile.TarInfo("./a.png")
        file.addfile(header, io.BytesIO())
    with refused(DataError, path, "two members named ./a.png"):
        archive.tarred(str(path))


def test_damaged_and_encrypted_archives_are_refused(tmp_path: Path, refused):
    whole = {"zip": zipped(tmp_path / "a.zip", PETS).read_bytes(), "tar": tarred(tmp_path / "a", PETS).read_bytes()}
    plain = tarred(tmp_path / "a.tar", PETS, "w").read_bytes()
    header = bytearray(plain)
    header[1024 : 1024 + 600] = bytes([7]) * 600  # tarfile takes a damaged header for the end
    encrypted = bytearray(whole["zip"])
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    cases = {
        "zip": [b"", b"no archive" * 99, whole["zip"][:-30], whole["zip"][:300], bytes(encrypted), plain],
        "tar": [
            b"",
            b"no archive" * 99,
            whole["tar"][:-30],
            plain[:3000],
            plain[:-10_240],
            bytes(header),
            whole["zip"],
        ],
    }
    for kind, contents in cases.items():
        for number, content in enumerate(contents):
            path = tmp_path / f"{number}.{kind}"
            path.write_bytes(content)
            with refused(DataError, path):
                (archive.zipped if kind == "zip" else archive.tarred)(str(path))
    with refused(DataError, "nowhere.zip", "No such file"):
        archive.zipped("nowhere.zip")
    with refused(DataError, tmp_path):
        archive.tarred(str(tmp_path))
