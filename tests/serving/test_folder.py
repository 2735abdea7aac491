"""A folder appears as a whole or not at all, and what killed writes left is removed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vaelab.serving.folder import new_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from vaelab.serving.folder import new_folder
rename, renamed = os.rename, 0
def killing(*names):
    global renamed
    renamed += 1
    if renamed == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(*names)
os.rename = killing
with new_folder(Path(sys.argv[1]), Path(sys.argv[1]).exists()) as folder:
    (folder / "file").write_text("new")
"""


def killed_at(rename: int, path: Path) -> None:
    """Write a folder in a process that kills itself at this renaming."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(rename)], cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL


def write(path: Path, text: str) -> None:
    with new_folder(path, path.exists()) as folder:
        (folder / "file").write_text(text)


@pytest.mark.skipif(os.name == "nt", reason="Windows locks no folders")
def test_folders_of_killed_writes_are_removed_and_no_others(tmp_path: Path):
    path, other = tmp_path / "out", tmp_path / ".other.0123456789abcdef.tmp"
    mine = tmp_path / ".out.mine.tmp"
    for folder in (other, mine):
        folder.mkdir()
    (tmp_path / ".out.0123456789abcdef.tmp").symlink_to(other)
    killed_at(1, path)
    assert len(list(tmp_path.glob(".out.*"))) == 3
    with new_folder(path) as alive:
        write(tmp_path / "out", "another's")  # at the same time: the folder of a living write is not removed
        assert alive.exists()
        (path / "file").unlink()
        path.rmdir()
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "out", other.name, mine.name, ".out.0123456789abcdef.tmp",
    }  # fmt: skip
    assert other.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows locks no folders")
def test_the_only_folder_is_kept_until_there_is_another(tmp_path: Path):
    """A write is killed after it moved the old folder away, and before it moved the new one to its place."""
    path = tmp_path / "out"
    write(path, "old")
    killed_at(2, path)
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), new_folder(path):
        raise ZeroDivisionError
    (left,) = tmp_path.iterdir()
    assert (left / "file").read_text() == "old"
    write(path, "newer")
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "file").read_text() == "newer"
