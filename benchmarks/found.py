"""Check that the benchmark's data are present: `python -m benchmarks.found`. It needs no installed package."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from vaelab.system.private import user_cache

FILES = {
    "mnist": [
        f"{name}-ubyte" for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    ],
    "svhn": ["train_32x32.mat", "test_32x32.mat"],
}


def require(names: Iterable[str], root: str | None = None) -> None:
    """End the program with one line and exit status 2 if a data set is missing.

    Arguments:
        names: names of FILES.
        root: the data directory that is searched before $VAELAB_DATA and the cache, as in `vaelab.data.load_data`.
    """
    places = [Path(at).expanduser() for at in (root, os.environ.get("VAELAB_DATA")) if at] + [user_cache()]
    lacking = [name for name in names if not any(_holds(place / name, FILES[name]) for place in places)]
    if lacking:
        looked = ", ".join(str(place) for place in places)
        print(
            f"benchmark: no {' and no '.join(lacking)} in {looked}; expected the published files in FOLDER/NAME; "
            f"set VAELAB_DATA=FOLDER, or run `vaelab data fetch {lacking[0]}`",
            file=sys.stderr,
        )
        raise SystemExit(2)


def _holds(place: Path, files: list[str]) -> bool:
    """Whether all files are present; only those of MNIST may be gzipped."""
    names = [(file, f"{file}.gz") if file.endswith("-ubyte") else (file,) for file in files]
    return all(any((place / name).is_file() for name in either) for either in names)


if __name__ == "__main__":
    require(FILES)
