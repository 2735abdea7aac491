"""Locks of open files, and writes on systems that neither rename nor remove an open file."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from vaelab.cli.commands.train import print_run
from vaelab.data import load_data
from vaelab.runs.directory import Run
from vaelab.runs.resume import resume
from vaelab.system import files
from vaelab.system.errors import DataError, RunError, SpecError
from vaelab.system.files import as_argument, hold, only_writer, opened, write_atomically

PRECIOUS = b"precious"
HOLDER = """
import sys, time
from pathlib import Path
from vaelab.system.files import only_writer
with only_writer(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_lock_ends_with_its_process_however_it_ends(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(RunError, match="another process is at work in"), only_writer(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with only_writer(tmp_path):
        pass


def test_a_lock_changes_nothing_of_its_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PRECIOUS)
    one, other = (opened(path, os.O_RDWR) for _ in range(2))
    try:
        assert hold(one)
        with pytest.raises(BlockingIOError):
            hold(other)
        assert os.read(one, 100) == PRECIOUS
    finally:
        os.close(one)
    try:
        assert hold(other)
    finally:
        os.close(other)
    assert path.read_bytes() == PRECIOUS
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch):
    def fail(file: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(filelock, "lock_descriptor", fail)
    with only_writer(tmp_path), only_writer(tmp_path):
        write_atomically(tmp_path / "file", PRECIOUS)
    assert (tmp_path / "file").read_bytes() == PRECIOUS


def test_windows_renames_and_removes_closed_files(tmp_path, monkeypatch):
    """Simulated: there, an open file can be neither renamed nor removed."""
    unlink, replace = os.unlink, os.replace

    def is_open(path: Path | str) -> bool:
        return any(Path(f"/proc/self/fd/{number}").resolve() == Path(path) for number in os.listdir("/proc/self/fd"))

    def checked(act):
        def on_closed(path: Path | str, *more: Path | str) -> None:
            if is_open(path):
                raise PermissionError(errno.EACCES, "used by another process", str(path))
            act(path, *more)

        return on_closed

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("asks Linux what is open")
    monkeypatch.setattr(files.os, "unlink", checked(unlink))
    monkeypatch.setattr(files.os, "replace", checked(replace))
    left = tmp_path / ".file.0123456789abcdef.tmp"
    left.write_bytes(b"left behind")
    with pytest.raises(RunError):  # the simulation sees an open file
        write_atomically(tmp_path / "file", PRECIOUS)
    monkeypatch.setattr(files, "WINDOWS", True)
    write_atomically(tmp_path / "file", PRECIOUS)
    assert (tmp_path / "file").read_bytes() == PRECIOUS
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("path", "word"),
    [("a/b", "a/b"), ("-x", "./-x"), ("--rm", "./--rm"), ("a b", "'a b'"), ("-$(x)", "'./-$(x)'"), ("/-x", "/-x")],
)
def test_a_path_is_one_word_of_a_command_and_no_option(path, word):
    assert as_argument(path) == as_argument(Path(path)) == word


def test_the_commands_that_are_printed_have_paths_that_are_words(tmp_path, monkeypatch, capsys, run):
    run.rename(tmp_path / "-x y")
    monkeypatch.chdir(tmp_path)
    print_run(Run("-x y"))
    assert "next: `vaelab sample './-x y'`" in capsys.readouterr().out
    with pytest.raises(DataError, match=re.escape("`vaelab data fetch mnist --data-root './-a b'`")):
        load_data("mnist", "-a b")
    with pytest.raises(SpecError, match=re.escape("vaelab train --spec './-x y/spec.json' --epochs 1")):
        resume("-x y", 1)
