"""The images that the model of a run is used with: its own, or others that are read as the training images were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vaelab.data.dataset import Splits
from vaelab.data.reading import AS_FOUND, Reading
from vaelab.models import VAE
from vaelab.serving.source import EVERY, NamedImages, of_splits, open_images
from vaelab.system.errors import SpecError

if TYPE_CHECKING:
    from vaelab.runs.directory import Run


def images_of(
    run: Run,
    model: VAE,
    images: Any = None,
    labels: Any = None,
    split: str = EVERY,
    root: str | None = None,
    given: Reading = AS_FOUND,
) -> NamedImages:
    """The images that `images` names, for the model of `run`.

    Image files are read as the training images were, except for what `given` says.

    Arguments:
        images: as in `open_images`; or `Splits`; None for the run's own images.
        labels: as in `open_images`.
        split: train, validation, test or all.
        root: the data directory of named sources.
        given: the user's own conversion and labels of image files; `AS_FOUND` for none.

    Raises:
        DataError: the images cannot be read, or do not fit the model.
        SpecError: a label is missing or unknown, there is no such split, or there are no image files to read as `given`
            says.
        RunError: the run's own images are not there.
    """
    if images is None:
        if given != AS_FOUND:
            raise SpecError(
                found="--resize, --grey, --convert or --labels without images",
                expected="image files to read: the run's own images are read as they were in training",
                do="name a folder or files, or leave the flags out",
            )
        return of_splits(run.data(root), split)
    if isinstance(images, Splits):
        return of_splits(images, split)
    reading = run.blueprint.reading.changed_by(given)
    return open_images(model, images, labels, split, root, reading, given)
