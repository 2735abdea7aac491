"""The pictures of a run, drawn into its directory."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure

from vaelab.data.dataset import Dataset
from vaelab.figures import FIGURES, curves, needs_data, save
from vaelab.figures.style import one_look
from vaelab.models import VAE
from vaelab.parts import contracts
from vaelab.parts.names import function_named
from vaelab.runs.directory import Run
from vaelab.system.errors import SpecError, VaelabError, in_one_line, unknown
from vaelab.system.files import check_no_link, make_folder
from vaelab.training.callback import Callback
from vaelab.training.lines import default_callback

T = TypeVar("T")


def figure(
    run: Run | Path | str,
    kinds: Sequence[str] | str = (),
    seed: int = 0,
    root: str | None = None,
    source: str | None = None,
    callback: Callback | None = None,
) -> list[Path]:
    """Draw `kinds` of pictures of `run` into RUN/figures; the files' paths.

    `curves` need the log alone, and can be drawn of a run that was stopped. `manifold` and `samples` need the model
    alone. The others also need the test images.

    Arguments:
        run: a run, or its directory.
        kinds: names in `FIGURES`, "curves", or package.module:Name of a figure of your own; none means all of vaelab's
            that this run allows, and says which are left out.
        seed: of which images and samples are shown.
        root: where data lie.
        source: where the images are now, if they were moved; see `Run.data`.
        watch: who looks on; by default lines are printed in a terminal or a notebook, and nothing elsewhere.

    Raises:
        SpecError: an unknown kind, or one that this model does not allow.
        VaelabError: a kind was named, and the model or the data that it needs are not there.
    """
    run, kinds = Run.of(run), (kinds,) if isinstance(kinds, str) else kinds
    check_no_link(run.path)
    known = (*FIGURES, "curves")
    pictures: dict[str, contracts.Figure] = {}
    for kind in kinds or known:
        if ":" not in kind and kind not in known:
            raise unknown("figure", kind, known)
        if kind != "curves":
            pictures[kind] = function_named("figure", FIGURES, kind, Figure)
    callback, folder = callback or default_callback(), run.path / "figures"
    model = cache(lambda: _or_error(run.model))
    test = cache(lambda: _or_error(lambda: run.data(root, source).test))

    def drawn(kind: str) -> Figure:
        title = f"{run.path.name}: {kind}"
        if kind == "curves":
            return curves(run.log, title=title)
        needed: VAE = _given(model())
        images: Dataset | None = _given(test()) if needs_data(pictures[kind]) else None
        if kind in FIGURES:
            return pictures[kind](needed, images, title=title, seed=seed)
        return _own(kind, lambda: pictures[kind](needed, images, title=title, seed=seed))

    paths, left_out = list[Path](), dict[str, list[str]]()
    for kind in kinds or known:
        try:
            with one_look():
                picture = drawn(kind)
        except VaelabError as error:
            if kinds:  # asked for by name
                raise
            left_out.setdefault(str(error), []).append(kind)
            continue
        make_folder(folder)
        paths.append(folder / f"{kind.replace(':', '-')}.png")
        save(picture, paths[-1])
    for why, those in left_out.items():
        callback.say(f"{', '.join(those)} left out: {why}")
    return paths


def _own(kind: str, draw: Callable[[], Any]) -> Figure:
    """A picture of the user's own; SpecError if it fails, or is something else."""
    try:
        picture = draw()
    except VaelabError:
        raise
    except Exception as error:  # of whatever kind: the code is the user's
        raise SpecError(
            found=f"figure '{kind}' fails ({in_one_line(error)})", expected="a figure", do="correct the function"
        ) from error
    if not isinstance(picture, Figure):
        raise SpecError(
            found=f"figure '{kind}' gives an object of type {type(picture).__name__}",
            expected="a matplotlib.figure.Figure",
            do="return one",
        )
    return picture


def _or_error(read: Callable[[], T]) -> T | VaelabError:
    """What `read` gives, or the error that it raises: so that what cannot be read is tried once, not once a picture."""
    try:
        return read()
    except VaelabError as error:
        return error


def _given(found: T | VaelabError) -> T:
    if isinstance(found, VaelabError):
        raise found
    return found
