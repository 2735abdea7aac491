"""Draw figures of a run into its directory."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from matplotlib.figure import Figure

from vaelab.data.dataset import Dataset
from vaelab.data.in_hand import InHand
from vaelab.figures import FIGURES, FORMATS, curves, needs_data, save
from vaelab.figures.style import DPI, Page, one_look, typeset
from vaelab.models import VAE
from vaelab.parts import contracts
from vaelab.parts.names import function_named
from vaelab.runs.directory import Run
from vaelab.system.errors import SpecError, VaelabError, in_one_line, unknown
from vaelab.system.files import check_no_link, make_folder
from vaelab.training.callback import Callback
from vaelab.training.lines import default_callback

KINDS = (*FIGURES, "curves")
T = TypeVar("T")
Format = Literal["png", "pdf", "svg"]
PER_INCH = {"": 1.0, "in": 1.0, "cm": 2.54, "mm": 25.4}
WIDTHS = (1, 40)  # inches
RESOLUTIONS = (50, 1200)  # dots per inch


def figure(
    run: Run | Path | str,
    kinds: Sequence[str] | str = (),
    seed: int = 0,
    root: str | None = None,
    source: str | InHand | None = None,
    callback: Callback | None = None,
    format: Format = "png",
    width: float | str | None = None,
    dpi: float = DPI,
) -> list[Path]:
    """Draw figures of `run` into RUN/figures and return the paths of the files.

    `curves` needs only the log, so it can be drawn for a run that was stopped. `manifold` and `samples` need only the
    model. The others also need the test images. If the data are gone or changed, and `source` does not name their
    place, these figures show the test images that the run keeps. A line and the title of the figure say so.

    Arguments:
        run: a run, or its directory.
        kinds: names in `FIGURES`, "curves", or package.module:Name of your own figure. By default all figures of vaelab
            that this run allows; a line names those that are left out.
        seed: determines which images and samples are shown.
        root: the data directory.
        source: where the images are now, if they were moved, or the images; see `Run.data`.
        callback: receives progress; by default it is printed in a terminal or a notebook, and nowhere else.
        format: "png", "pdf" or "svg". In the last two, texts and lines are not made of dots.
        width: of the figures, in inches or such as "84mm", with all fonts of 7 points, as for a column of a paper.
            None: each figure has its own width and fonts.
        dpi: the smallest number of dots per inch, of the images inside a PDF or SVG too. A grid of images takes up to
            twice as many, so that every pixel of an image covers a whole number of dots.

    Raises:
        SpecError: a kind is unknown, or this model does not allow it; or a width, a dpi or a format that cannot be.
        VaelabError: a kind was named, and the model or the data that it needs are missing.
    """
    page = _page(format, width, dpi)
    run, kinds = Run.of(run), (kinds,) if isinstance(kinds, str) else kinds
    check_no_link(run.path)
    callback, folder = callback or default_callback(), run.path / "figures"
    draw_kind = _pencil(run, kinds or KINDS, seed, root, source, callback.say, page)
    paths, left_out = list[Path](), dict[str, list[str]]()
    for kind in kinds or KINDS:
        try:
            picture = draw_kind(kind)
        except VaelabError as error:
            if kinds:  # asked for by name
                raise
            left_out.setdefault(str(error), []).append(kind)
            continue
        make_folder(folder)
        paths.append(folder / f"{kind.replace(':', '-')}.{format}")
        save(picture, paths[-1], max(page.dpi, picture.dpi))
    for why, those in left_out.items():
        callback.say(f"{', '.join(those)} left out: {why}")
    return paths


def draw(
    run: Run | Path | str,
    kind: str,
    seed: int = 0,
    root: str | None = None,
    source: str | InHand | None = None,
    callback: Callback | None = None,
) -> Figure:
    """Draw one figure of `run` and return it, to show or to change; it writes no file.

    Arguments and errors are those of `figure`. In a notebook, the figure is shown if it is the value of the last line.
    """
    callback = callback or default_callback()
    return _pencil(Run.of(run), [kind], seed, root, source, callback.say, Page())(kind)


def _pencil(
    run: Run,
    kinds: Sequence[str],
    seed: int,
    root: str | None,
    source: str | InHand | None,
    say: Callable[[str], None],
    page: Page,
) -> Callable[[str], Figure]:
    """A function that draws each of `kinds`; it reads the model and the images once, and only if they are needed."""
    pictures: dict[str, contracts.Figure] = {}
    for kind in kinds:
        if ":" not in kind and kind not in KINDS:
            raise unknown("figure", kind, KINDS)
        if kind != "curves":
            pictures[kind] = function_named("figure", FIGURES, kind, Figure)
    model = cache(lambda: _or_error(run.model))
    test = cache(lambda: _or_error(lambda: test_images(run, root, source, say)))

    def drawn(kind: str) -> Figure:
        title = f"{run.path.name}: {kind}"
        if kind == "curves":
            return curves(run.log, title=title, page=page)
        needed: VAE = _given(model())
        images, kept = _given(test()) if needs_data(pictures[kind]) else (None, False)
        title += f" (from {len(images)} kept images)" if images is not None and kept else ""
        if kind in FIGURES:
            return FIGURES[kind](needed, images, title=title, seed=seed, page=page)
        return _own(kind, lambda: pictures[kind](needed, images, title=title, seed=seed))

    def in_one_look(kind: str) -> Figure:
        with one_look():
            picture = drawn(kind)
            typeset(picture, page)
            return picture

    return in_one_look


def _inches(width: float | str | None) -> float | None:
    """A width such as 3.3, "3.3in", "84mm" or "8.4cm" in inches; SpecError if it cannot be read."""
    if not isinstance(width, str):
        return width
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(in|mm|cm|)", width.strip())
    if not found:
        raise SpecError(found=f"width '{width}'", expected="a width such as 3.3in, 84mm or 8.4cm", do="change it")
    return float(found[1]) / PER_INCH[found[2]]


def _page(format: str, width: float | str | None, dpi: float) -> Page:
    """The page for figures of this width and resolution; SpecError if there is no such page or format."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    inches = _inches(width)
    for what, value, (low, high), unit in (("width", inches, WIDTHS, " inches"), ("dpi", dpi, RESOLUTIONS, "")):
        if value is not None and not low <= value <= high:
            raise SpecError(found=f"{what} = {value:g}", expected=f"{low} to {high:,}{unit}", do="choose one of these")
    return Page(inches, dpi)


def test_images(
    run: Run, root: str | None, source: str | InHand | None, say: Callable[[str], None]
) -> tuple[Dataset, bool]:
    """The test images of the run, and False; or those that it keeps, and True, if its data are gone or changed."""
    try:
        return run.data(root, source).test, False
    except VaelabError as error:
        if source is not None or not run.done:
            raise
        try:
            kept = run.examples("test")
        except VaelabError:
            raise error from None
        say(f"the pictures show the {len(kept)} test images that the run keeps, because {error.found}")
        return kept, True


def _own(kind: str, draw: Callable[[], Any]) -> Figure:
    """Draw the user's own figure; SpecError if it fails, or does not return a figure."""
    try:
        picture = draw()
    except VaelabError:
        raise
    except Exception as error:  # of any kind: the code is the user's
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
    """Return what `read` returns, or its error: a failed read is not repeated for each figure."""
    try:
        return read()
    except VaelabError as error:
        return error


def _given(found: T | VaelabError) -> T:
    if isinstance(found, VaelabError):
        raise found
    return found
