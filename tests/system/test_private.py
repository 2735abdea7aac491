import os
from pathlib import Path

import pytest

from vaelab.system.errors import RunError
from vaelab.system.private import make_trusted, open_to_others

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX's owners")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a cache, made where nothing is."""
    made = tmp_path / "home" / ".cache" / "vaelab" / "programs"
    make_trusted(made)
    return made


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_what_is_made_is_closed_to_others_whatever_the_umask(umask: int, tmp_path: Path):
    before = os.umask(umask)
    try:
        make_trusted(tmp_path / "cache" / "vaelab" / "programs")
    finally:
        os.umask(before)
    for made in ("cache", "cache/vaelab", "cache/vaelab/programs"):
        assert (tmp_path / made).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("above", "mode", "closed"),
    [
        (0, 0o700, True), (0, 0o710, False), (0, 0o755, False), (0, 0o770, False), (0, 0o702, False),
        (1, 0o755, True), (1, 0o775, False), (1, 0o1777, False),
        (2, 0o755, True), (2, 0o775, False), (2, 0o707, False), (2, 0o1777, True), (3, 0o777, False),
    ],
)  # fmt: skip
def test_a_folder_through_which_others_can_change_it_is_found_and_stays_as_it_is(folder, above, mode, closed):
    at = [folder, *folder.parents][above]
    at.chmod(mode)
    assert open_to_others(folder) == (None if closed else at)
    if not closed:
        with pytest.raises(RunError, match="move it away" if above < 2 else "chmod go-w"):
            make_trusted(folder)
    assert at.stat().st_mode & 0o7777 == mode


def test_where_a_link_leads_is_looked_at_too(folder, tmp_path: Path):
    shared = tmp_path / "shared"
    shared.mkdir()
    folder.parent.rename(shared / "vaelab")
    folder.parent.parent.rmdir()
    folder.parent.parent.symlink_to(shared)
    assert open_to_others(folder) is None
    shared.chmod(0o777)
    assert open_to_others(folder) == folder.parent.parent


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("above", [0, 1])
def test_a_folder_of_another_user_is_open(folder, above):
    at = [folder, *folder.parents][above]
    os.chown(at, 65534, 65534)
    assert open_to_others(folder) == at
