"""Files are decoded in processes: the same images, errors that name the same files, and no process that stays."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data.conversion import AS_STORED, Conversion, Resize
from vaelab.data.formats import decode
from vaelab.data.formats.decoder import Decoder
from vaelab.system.errors import DataError

ROOT = str(Path(__file__).parents[3])
posix = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="asks /proc")
apart = pytest.mark.thorough(0.5, group="processes that decode")


@pytest.fixture
def many(tmp_path: Path) -> list[str]:
    """The names of images of several kinds in `tmp_path`, 12 x 10."""
    random, names = np.random.default_rng(0), list[str]()
    for number in range(60):
        levels = random.integers(0, 256, (12, 10, 3), np.uint8)
        names.append(f"{number:02}{'.jpg' if number % 2 else '.png'}")
        Image.fromarray(levels if number % 7 else levels[..., 0].copy()).save(tmp_path / names[-1])
    return names


@pytest.fixture
def in_processes(monkeypatch) -> None:
    """All files but the first are decoded in two processes, a few at a time."""
    monkeypatch.setattr(decode, "TRIAL_SECONDS", 0)
    monkeypatch.setattr(decode, "WORTH_SECONDS", 0)
    monkeypatch.setattr(decode, "BLOCK_IMAGES", 7)
    monkeypatch.setattr(decode, "_processors", lambda: 2)


@pytest.fixture
def started(monkeypatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes that are started; in the end none of them is left."""
    found, start = list[subprocess.Popen[bytes]](), subprocess.Popen
    monkeypatch.setattr("subprocess.Popen", lambda *given, **named: found.append(start(*given, **named)) or found[-1])
    yield found
    assert all(process.poll() is not None for process in found)


CONVERSIONS = [Conversion(convert=True), Conversion(Resize(6, 5), grey=True), Conversion(Resize(9, 9, crop=True), True)]


@apart
@pytest.mark.parametrize("conversion", CONVERSIONS, ids=str)
def test_the_images_are_those_of_one_process(tmp_path: Path, many, started, in_processes, monkeypatch, conversion):
    found = decode.decode(tmp_path, many, conversion)
    assert len(started) == 2
    monkeypatch.setattr(decode, "_processors", lambda: 1)
    alone = decode.decode(tmp_path, many, conversion)
    assert len(started) == 2
    np.testing.assert_array_equal(found.images, alone.images, strict=True)
    assert (found.sizes, found.changes) == (alone.sizes, alone.changes)


@apart
def test_all_files_that_cannot_be_read_are_named(tmp_path: Path, many, started, in_processes, refused):
    for name in (many[0], many[20], many[59]):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:60])
    (tmp_path / many[30]).unlink()
    words = "4 of 60 images cannot be read", f"({many[0]}, {many[20]}, {many[59]})", many[30], "FileNotFoundError"
    with refused(DataError, *words):
        decode.decode(tmp_path, many, Conversion(convert=True))
    assert len(started) == 2


@apart
def test_images_of_another_size_are_refused(tmp_path: Path, many, started, in_processes, refused):
    Image.new("RGB", (3, 4)).save(tmp_path / many[40])
    with refused(DataError, f"{many[40]}: 4 x 3 RGB, but {tmp_path / many[0]}: 12 x 10 RGB"):
        decode.decode(tmp_path, many, Conversion(convert=True))


@pytest.mark.parametrize("how", ["at once", "at work", "never start"])
@apart
def test_processes_that_fail_change_nothing_but_the_time(tmp_path, many, started, in_processes, monkeypatch, how: str):
    asked, answers = list[int](), Decoder.decode

    def asked_of(decoder: Decoder, names: list[str]) -> list:
        asked.append(len(names))
        if how == "at once" or len(asked) > 4:
            for process in started:
                process.kill()
        return answers(decoder, names)

    monkeypatch.setattr(Decoder, "decode", asked_of)
    if how == "never start":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    found = decode.decode(tmp_path, many, Conversion(convert=True))
    assert sum(asked) == 59
    monkeypatch.setattr(decode, "_processors", lambda: 1)
    np.testing.assert_array_equal(found.images, decode.decode(tmp_path, many, Conversion(convert=True)).images)


@apart
def test_a_large_image_is_left_to_the_process_that_asks(tmp_path: Path, many, started, monkeypatch):
    """It decodes one of them at a time; several processes would not know of each other."""
    Image.new("RGB", (5001, 5001)).save(tmp_path / "large.png")
    decoder = Decoder(str(tmp_path), AS_STORED)
    first, large, missing, last = decoder.decode([many[1], "large.png", "missing.png", many[2]])
    decoder.close()
    assert first is not None
    assert last is not None
    assert large is missing is None
    assert first.levels.shape == (3, 12, 10)
    assert decoder.decode([many[1]]) == [None]


@apart
def test_an_interrupt_ends_the_processes_at_once(tmp_path: Path, many, started, in_processes, monkeypatch):
    def interrupted(found: decode.Found, index: int, result: object) -> None:
        if index == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(decode.Found, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decode.decode(tmp_path, many, Conversion(convert=True))
    assert [process.returncode for process in started] == [-signal.SIGKILL] * 2
    deadline = time.monotonic() + 10
    while any("ThreadPool" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


PARENT = """
import sys, time
from vaelab.data.conversion import AS_STORED
from vaelab.data.formats.decoder import Decoder
decoder = Decoder(sys.argv[1], AS_STORED)
decoder.decode(sys.argv[2:])
print("decoded", flush=True)
time.sleep(60)
"""


@posix
@apart
def test_no_process_outlives_its_parent(tmp_path: Path, many):
    mark = f"VAELAB_TEST_MARK={tmp_path}".encode()
    environment = {**os.environ, "PYTHONPATH": ROOT, "VAELAB_TEST_MARK": str(tmp_path)}
    words = [sys.executable, "-c", PARENT, str(tmp_path), many[1]]
    parent = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"decoded\n"
    assert len(processes_with(mark)) == 2
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while processes_with(mark):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_with(mark: bytes) -> list[str]:
    """Those that have this in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            pass
    return found


@apart
def test_a_process_imports_no_torch_and_no_file_of_the_current_folder(tmp_path: Path, many, monkeypatch):
    for name in ("types", "json", "numpy", "PIL", "torch", "sitecustomize", "vaelab"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit(1)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ROOT)
    decoder = Decoder(".", AS_STORED)
    (found,) = decoder.decode([many[1]])
    assert found is not None
    assert decoder._process is not None
    if (maps := Path(f"/proc/{decoder._process.pid}/maps")).exists():
        assert "torch" not in maps.read_text()
    decoder.close()
    assert not Path("ran").exists()
