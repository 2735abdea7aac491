"""The pictures of a run, drawn into its directory."""

from collections.abc import Sequence
from pathlib import Path

from vaelab.errors import SpecError, unknown
from vaelab.figures import FIGURES, curves, save
from vaelab.files import make_folder
from vaelab.record import Run


def draw(run: Run, kinds: Sequence[str], seed: int, root: str | None) -> list[Path]:
    """Draw `kinds` of pictures of `run` into RUN/figures; the files' paths.

    Arguments:
        kinds: names in `FIGURES`, or "curves"; none means all that this run allows.
        seed: of which images and samples are shown.
        root: where data lie.

    Raises:
        SpecError: an unknown kind, or one that this model does not allow.
    """
    known = {**FIGURES, "curves": curves}
    for kind in kinds:
        if kind not in known:
            raise unknown("figure", kind, known)
    model, test = run.model(), run.data(root).test
    folder = run.path / "figures"
    make_folder(folder)
    paths = []
    for kind in kinds or known:
        title = f"{run.path.name}: {kind}"
        try:
            drawn = (
                curves(run.log, title=title) if kind == "curves" else FIGURES[kind](model, test, title=title, seed=seed)
            )
        except SpecError:
            if kinds:  # asked for by name
                raise
            continue
        paths.append(folder / f"{kind}.png")
        save(drawn, paths[-1])
    return paths
