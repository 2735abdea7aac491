"""A benchmark without its data is refused in one line, before anything is installed or measured."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.found import FILES, require
from benchmarks.workloads import workloads
from vaelab.data.sources import SOURCES, missing

ROOT = Path(__file__).parents[2]


def without_data(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "VAELAB_DATA"}
    return {**kept, "XDG_CACHE_HOME": str(tmp_path)}


def test_the_files_are_those_that_the_sources_read(tmp_path):
    for name, files in FILES.items():
        assert list(SOURCES[name].files) == files
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).touch()
        assert not missing(SOURCES[name], tmp_path / name)
    require(FILES, str(tmp_path))


@pytest.mark.parametrize("target", ["bench", "bench-quick"])
def test_make_says_so_in_one_line_and_installs_nothing(target: str, tmp_path):
    """With an interpreter that has no package: -S leaves them out."""
    found = subprocess.run(
        ["make", "--no-print-directory", target, f"PYTHON={sys.executable} -S"],
        cwd=ROOT,
        env=without_data(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode
    first, *others = found.stderr.strip().splitlines()
    assert first.startswith(f"benchmark: no mnist and no svhn in {tmp_path / 'vaelab'}; expected ")
    assert all(line.startswith("make") for line in others)
    assert "venv" not in found.stdout


def test_a_benchmark_by_hand_is_refused_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("VAELAB_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "c", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as refused:
        bench.main()
    assert refused.value.code == 2
    assert capsys.readouterr().err.startswith("benchmark: no svhn in ")
    assert not (tmp_path / "out").exists()


def test_data_are_asked_for_by_the_workloads_that_read_them():
    every = workloads(quick=False)
    needed = {key: bench.needed({key: workload}) for key, workload in every.items()}
    mnist, svhn = ["mnist"], ["svhn"]
    assert needed == {"a": mnist, "b": mnist, "c": svhn, "d": svhn, "e": mnist, "f": mnist, "g": []}
