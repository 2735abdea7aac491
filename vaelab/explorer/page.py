"""Write the page."""

import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vaelab.data.dataset import Dataset
from vaelab.explorer.contents import Progress, contents_of
from vaelab.explorer.pack import deflated
from vaelab.runs.directory import Run
from vaelab.runs.figure import test_images
from vaelab.system.errors import RunError, SpecError
from vaelab.system.files import check_no_link, make_folder, plain, write_atomically

MOST_RUNS = 4
OURS = b"<!-- explorer by vaelab -->"


def explore(
    runs: Sequence[Run | Path | str],
    save: Path | str | None = None,
    root: str | None = None,
    progress: Progress = lambda share: None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write a page in which the trained models of `runs` run; return its path. `vaelab explore` in Python.

    Arguments:
        runs: 1 to 4 finished runs, or their directories.
        save: the file; by default explorer.html in the directory of the first run.
        root: the data directory. The page shows codes of up to 5,000 test images; if the data are gone, of those that
            the run keeps.
        progress: called with the completed proportion.
        say: called with a line for each run whose data are gone.

    Raises:
        SpecError: there are too many runs, or a model cannot run in a page.
        RunError: a run is not finished, a file of the user is in the place of the page, or the disk is full.
    """
    opened = opened_runs(runs)
    path = opened[0].path / "explorer.html" if save is None else Path(save)
    _check_ours(path)
    content = page(with_images(opened, root, say), progress)
    check_no_link(path.parent)
    make_folder(path.parent)
    _check_ours(path)  # a user may have put a file there in the meantime
    write_atomically(path, content.encode())
    return path


def opened_runs(runs: Sequence[Run | Path | str]) -> list[Run]:
    """Open the runs of a page. Raises SpecError if there are too many."""
    if not 1 <= len(runs) <= MOST_RUNS:
        raise SpecError(found=f"{len(runs)} runs", expected=f"1 to {MOST_RUNS} runs", do="name fewer runs")
    return [Run.of(run) for run in runs]


def with_images(runs: Sequence[Run], root: str | None, say: Callable[[str], None]) -> list[tuple[Run, Dataset]]:
    """Each run with its test images. Arguments as those of `explore`."""
    return [(run, test_images(run, root, None, say)[0]) for run in runs]


def page(runs: Sequence[tuple[Run, Dataset]], progress: Progress = lambda share: None, served: bool = False) -> str:
    """Return the page of these runs as HTML. Arguments and errors are those of `contents_of`."""
    found, packed = contents_of(runs, progress, served)
    environment = Environment(
        loader=PackageLoader("vaelab", "explorer"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    own = files("vaelab.explorer")
    return environment.get_template("page.html.j2").render(
        title=" and ".join(run.path.name for run, _ in runs),
        served=served,
        contents=in_script(found),
        packed=Markup(packed),
        style=Markup((own / "page.css").read_text("utf-8")),
        program=Markup(deflated((own / "page.js").read_bytes())),
        opener=Markup((own / "opener.js").read_text("utf-8")),
    )


def in_script(value: Any) -> Markup:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _check_ours(path: Path) -> None:
    """Raise RunError if there is a file that vaelab did not write."""
    if path.is_dir():
        raise RunError(found=f"{path} is a folder", expected="a file to write", do="choose another --save")
    if path.exists() and not _is_ours(path):
        found = f"{path}, which vaelab did not write"
        raise RunError(found=found, expected="a page by vaelab, or no file", do="choose another --save")


def _is_ours(path: Path) -> bool:
    with plain(path).open("rb") as file:
        return OURS in file.read(400)
