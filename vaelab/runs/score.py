"""Score images with the model of a run, with p-values from the validation images that the run keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from vaelab.data.dataset import Dataset
from vaelab.evaluation.likelihood.likelihood import Samples
from vaelab.models import VAE
from vaelab.serving.conformal import check_alarm
from vaelab.serving.scores import UNUSUAL, Scores, score, with_p_values
from vaelab.system.errors import VaelabError, unknown

if TYPE_CHECKING:
    from vaelab.runs.directory import Run

SHORT = {name.removesuffix("_nats").replace("_", "-"): name for name in UNUSUAL}  # a score as it is typed -> its name


def score_images(
    run: Run,
    model: VAE,
    data: Dataset,
    samples: Samples = 100,
    seed: int = 0,
    regret: bool = False,
    by: str = "nll",
    alarm: float | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Scores:
    """Score images, and compare the score `by` with that of the validation images that the run keeps.

    Arguments:
        model: of the run.
        data: images of the model's shape and protocol.
        samples: K, draws of z for each image.
        seed: of the draws.
        regret: whether to compute the likelihood regret, which is slow.
        by: the score of the p-value: a key of `SHORT`.
        alarm: a rate of false alarms that the p-values must be able to reach; None: any.

    Returns:
        The scores; without p-values if the run keeps no validation images and `alarm` is None.

    Raises:
        SpecError: `samples`, `by` or `alarm` is not possible.
        DataError: the images do not fit, or the run keeps too few validation images for `alarm`.
        RunError: `alarm` is given, and the run keeps no validation images.
    """
    if by not in SHORT:
        raise unknown("score", by, SHORT)
    regret = regret or by == "regret"
    if alarm is not None:
        check_alarm(alarm)
    try:
        held = run.examples("validation")
    except VaelabError as error:
        if alarm is not None:
            raise
        found = score(model, data, samples, seed, regret, progress=progress)
        return replace(found, absent={**found.absent, "p_value": error.found})
    if alarm is not None:
        check_alarm(alarm, len(held))
    part = len(data) / (len(data) + len(held))
    found = score(model, data, samples, seed, regret, progress=lambda share: progress(share * part))
    # Another seed, so that no two images share their noise
    others = score(model, held, samples, seed + 1, regret, progress=lambda share: progress(part + share * (1 - part)))
    return with_p_values(found, others, SHORT[by])
