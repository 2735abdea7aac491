import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.cli.main import main
from vaelab.data import decoded_cache, load_data
from vaelab.data.formats import decode, folder, tree
from vaelab.data.reading import AS_FOUND, parse_reading
from vaelab.system.errors import DataError, RunError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 4, 3), np.uint8)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is kept though it is new and small."""
    monkeypatch.setattr(decoded_cache, "SETTLED_SECONDS", -1)
    monkeypatch.setattr(decoded_cache, "WORTH_SECONDS", 0)
    for number, image in enumerate(IMAGES):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "photos"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were decoded, and not read from the cache."""
    done = list[str]()

    def counted(where: Path, *rest: object) -> decode.Decoded:
        done.append(str(where))
        return decode.decode(where, *rest)

    monkeypatch.setattr(folder, "decode", counted)
    return done


def read(photos: Path, **flags: object) -> tuple[np.ndarray, list[int], tuple[str, ...]]:
    contents = folder.read(str(photos), parse_reading(**flags))
    return contents.train.images, contents.train.labels.tolist(), contents.said


def test_a_folder_is_decoded_once_and_is_the_same_from_the_cache(photos: Path, decodings: list[str]):
    for flags in ({}, {"resize": "crop:3x3"}, {"grey": True}, {"resize": "3x3"}):
        first, again = read(photos, **flags), read(photos, **flags)
        np.testing.assert_array_equal(first[0], again[0], strict=True)
        assert first[1:] == again[1:]
    assert len(decodings) == 4
    assert len(decoded_cache.entries()) == 4
    assert load_data(f"folder:{photos}").train.sha256 == load_data(f"folder:{photos}").train.sha256
    again[0][:] = 0  # a copy in memory: the cache stays as it was
    assert read(photos, resize="3x3")[0].any()
    assert len(decodings) == 4


@pytest.mark.parametrize("change", ["content", "time", "added", "removed", "renamed"])
def test_a_folder_that_changed_is_decoded_again(photos: Path, decodings: list[str], change: str):
    read(photos)
    path = photos / "a" / "0.png"
    before = path.stat()
    if change == "content":
        image = Image.open(path).transpose(Image.Transpose.ROTATE_180)
        image.save(path, compress_level=0)
        padded = path.read_bytes()
        path.write_bytes(padded)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a copy with its times would be
    elif change == "time":
        os.utime(path, ns=(0, before.st_mtime_ns + 1))
    elif change == "added":
        Image.fromarray(IMAGES[0]).save(photos / "a" / "new.png")
    elif change == "removed":
        path.unlink()
    else:
        path.rename(photos / "b" / "0.png")
    images, labels, _ = read(photos)
    assert len(decodings) == 2
    assert len(images) == len(labels) == 12 + (change == "added") - (change == "removed")


def test_folders_that_exchange_their_names_are_decoded_again(photos: Path, decodings: list[str], monkeypatch):
    """Only where the files are changes: neither a size nor a time of a file does."""
    stamp = tree.stamp  # the time that no program can set is that of files which were written in one moment
    monkeypatch.setattr(tree, "stamp", lambda status: stamp(status)._replace(changed_ns=0))
    for of_a, of_b in zip(*(sorted((photos / name).iterdir()) for name in "ab"), strict=True):
        of_b.rename(of_b.with_name(of_a.name))
    for path in photos.glob("*/*"):
        path.write_bytes(path.read_bytes().ljust(999, b"\0"))
        os.utime(path, ns=(0, 0))
    first = read(photos)[0]
    for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
        (photos / old).rename(photos / new)
    times = {(path.stat().st_size, path.stat().st_mtime_ns) for path in photos.glob("*/*")}
    assert times == {(999, 0)}
    np.testing.assert_array_equal(read(photos)[0], np.concatenate([first[6:], first[:6]]))
    assert len(decodings) == 2


@pytest.mark.parametrize("damage", ["pixel", "short", "long", "shape", "text", "missing", "writable", "link"])
def test_a_damaged_entry_is_made_again(photos: Path, decodings: list[str], damage: str):
    expected = read(photos)[0]
    (entry,) = decoded_cache.entries()
    content, beside = entry.path.read_bytes(), entry.path.with_suffix(".json")
    if damage == "pixel":
        entry.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage in ("short", "long"):
        entry.path.write_bytes(content[:-1] if damage == "short" else content + b"\0")
    elif damage == "shape":
        beside.write_text(beside.read_text().replace("12", "6"))
    elif damage == "text":
        beside.write_text("{")
    elif damage == "missing":
        beside.unlink()
    elif damage == "writable":
        entry.path.chmod(0o666)
    else:
        entry.path.rename(photos.parent / "elsewhere.npy")
        entry.path.symlink_to(photos.parent / "elsewhere.npy")
    np.testing.assert_array_equal(read(photos)[0], expected)
    assert len(decodings) == 2
    np.testing.assert_array_equal(read(photos)[0], expected)
    assert len(decodings) == 2  # from the cache, which was made again


def test_what_changed_a_moment_ago_or_is_decoded_at_once_is_not_kept(photos: Path, monkeypatch):
    monkeypatch.setattr(decoded_cache, "SETTLED_SECONDS", 2)
    read(photos)
    assert decoded_cache.entries() == []
    monkeypatch.setattr(decoded_cache, "SETTLED_SECONDS", -1)
    monkeypatch.setattr(decoded_cache, "WORTH_SECONDS", 60)
    read(photos)
    assert decoded_cache.entries() == []


def test_a_folder_that_changes_while_it_is_decoded_is_not_kept(photos: Path, monkeypatch):
    def slow(where: Path, names: list[str], *rest: object) -> decode.Decoded:
        found = decode.decode(where, names, *rest)
        os.utime(photos / "a" / "0.png", ns=(0, 0))
        return found

    monkeypatch.setattr(folder, "decode", slow)
    read(photos)
    assert decoded_cache.entries() == []


def test_the_cache_is_bounded_and_forgets_what_was_not_used(photos: Path, monkeypatch):
    for number, resize in enumerate(("", "4x6", "1x24")):
        read(photos, resize=resize)
        shape = (12, 3, *map(int, (resize or "6x4").split("x")))
        (made,) = [entry for entry in decoded_cache.entries() if entry.description.shape == shape]
        os.utime(made.path, (number, number))
    read(photos)  # the oldest is used again
    monkeypatch.setattr(decoded_cache, "LARGEST_BYTES", int(3.5 * decoded_cache.entries()[0].size))
    read(photos, resize="24x1")
    assert {tuple(entry.description.shape[2:]) for entry in decoded_cache.entries()} == {(6, 4), (1, 24), (24, 1)}
    monkeypatch.setattr(decoded_cache, "LARGEST_BYTES", 12 * 3 * 6 * 4 - 1)
    read(photos, resize="12x2")  # larger than all the room
    assert len(decoded_cache.entries()) == 3


def test_a_cache_that_cannot_be_written_to_is_said_and_hinders_nothing(photos: Path, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where the cache should be")
    images, _, said = read(photos)
    assert len(images) == 12
    assert len(said) == 1
    assert "cannot be kept" in said[0]


def test_only_the_user_can_read_the_cache(photos: Path):
    read(photos)
    (entry,) = decoded_cache.entries()
    assert entry.path.parent.stat().st_mode & 0o777 == 0o700
    assert entry.path.parent.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_an_entry_is_read_again_whatever_the_umask(photos: Path, decodings: list[str], capsys, umask: int):
    before = os.umask(umask)
    try:
        assert read(photos)[2] == read(photos)[2] == ()
    finally:
        os.umask(before)
    assert len(decodings) == 1
    assert {path.stat().st_mode & 0o777 for path in decoded_cache.place().iterdir()} == {0o600}
    assert main(["data", "cache"]) == 0
    assert "damaged" not in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX's owners")
@pytest.mark.parametrize("at", [".", ".."])
def test_a_cache_that_others_could_write_to_is_neither_read_nor_written_nor_closed(photos: Path, decodings, at: str):
    read(photos)
    (entry,) = decoded_cache.entries()
    before, opened = entry.path.read_bytes(), entry.path.parent / at
    opened.chmod(0o777)
    assert "open to other users" in read(photos)[2][0]
    assert len(decodings) == 2
    assert entry.path.read_bytes() == before
    assert opened.stat().st_mode & 0o777 == 0o777


def test_the_commands_list_and_clear_the_cache(photos: Path, capsys):
    read(photos)
    assert main(["data", "cache"]) == 0
    said = capsys.readouterr().out
    assert "12 of 6 x 4 RGB" in said
    assert f"1 decoded folder in {decoded_cache.place()}" in said
    assert main(["data", "cache", "--clear"]) == 0
    assert f"deleted 1 decoded folder in {decoded_cache.place()}" in capsys.readouterr().out
    assert list(decoded_cache.place().iterdir()) == []
    assert main(["data", "cache"]) == 0
    assert "0 decoded folders in" in capsys.readouterr().out
    assert len(folder.read(str(photos), AS_FOUND).train.images) == 12


def test_files_of_the_user_in_the_cache_stay(photos: Path, monkeypatch):
    place = decoded_cache.place()
    read(photos)
    mine = {place / name: name.encode() for name in ("my-embeddings.npy", "my-embeddings.json", f"{'A' * 32}.npy")}
    for path, content in mine.items():
        path.write_bytes(content)
    assert len(decoded_cache.entries()) == 1
    monkeypatch.setattr(decoded_cache, "LARGEST_BYTES", IMAGES.nbytes)
    read(photos, resize="4x6")  # makes room
    assert len(decoded_cache.clear()) == 1
    assert {path: path.read_bytes() for path in place.iterdir()} == mine


def test_what_killed_processes_left_is_cleared(photos: Path):
    read(photos)
    (entry,) = decoded_cache.entries()
    key, place = entry.path.stem, decoded_cache.place()
    (place / f".{key}.npy.0123456789abcdef.tmp").write_bytes(b"half")
    (place / f".{key[::-1]}.json.0123456789abcdef.tmp").write_bytes(b"half")
    (place / f"{'0' * 32}.json").write_text("{}")
    (place / ".mine.npy.0123456789abcdef.tmp").write_bytes(b"mine")
    decoded_cache.clear()
    assert [path.name for path in place.iterdir()] == [".mine.npy.0123456789abcdef.tmp"]


def test_a_folder_that_the_cache_is_a_link_to_is_left_alone(photos: Path, tmp_path: Path, refused):
    read(photos)
    decoded_cache.place().rename(tmp_path / "elsewhere")
    decoded_cache.place().symlink_to(tmp_path / "elsewhere")
    there = sorted((tmp_path / "elsewhere").iterdir())
    assert decoded_cache.entries() == []
    with refused(RunError, "decoded is a symbolic link"):
        decoded_cache.clear()
    assert "cannot be kept" in read(photos, resize="4x6")[2][0]
    assert sorted((tmp_path / "elsewhere").iterdir()) == there


def test_a_description_of_someone_else_is_no_entry(photos: Path):
    read(photos)
    (entry,) = decoded_cache.entries()
    path = entry.path.with_suffix(".json")
    for change in ({"shape": [12, 3, 6, -4]}, {"shape": "all"}, {"sizes": [[6]]}, {"more": 1}, {"shape": [2**40] * 4}):
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        assert len(read(photos)[0]) == 12


def test_images_from_the_cache_are_compared_with_the_free_memory(photos: Path, monkeypatch, refused):
    read(photos)
    monkeypatch.setattr("vaelab.system.memory.free_bytes", lambda: 100)
    with refused(DataError, f"{photos}: 12 images", "--resize"):
        read(photos)
