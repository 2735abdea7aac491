"""The contract of a measure: a function of a trained model and data, whose numbers have a unit and an uncertainty."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.models import VAE
from vaelab.parts.contracts import Measure as Measure
from vaelab.system.errors import DataError, SpecError, unknown

Better = Literal["higher", "lower", "neither"]  # which values of a metric are better
Progress = Callable[[float], None]  # is called with the completed proportion of the work
GIVEN_LABELS = "given the labels"
FEW_EFFECTIVE = (
    "few effective draws: over 1 % of the images have fewer than 2, and nll is too high by more than nll_excess"
)
FEW_MARK = "\N{SECTION SIGN}"  # marks a number with that note where notes are not shown


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number with all that is needed to compare it: of what, in what, on what, and how uncertain."""

    name: str
    value: float
    unit: str
    better: Better  # which values are better; "neither" where no value is better for being larger or smaller
    images: int  # that it is computed on
    split: str
    protocol: str
    se: float | None = None  # standard error over the images; None where there is none
    monte_carlo_se: float | None = None  # standard error of the draws, at these images
    interval: tuple[float, float] | None = None  # of 95 %, where it is not value +- 1.96 se
    samples: int | None = None  # K, draws for each image; None where none were drawn
    fewest_samples: int | None = None  # where K differs between images: the least it can be, as `samples` is the most
    note: str = ""  # what must be said beside it
    parts: tuple[float, ...] = ()  # what the value is the sum or mean of, such as the rate of each latent dimension
    per_image: Tensor | None = field(default=None, compare=False, repr=False)  # [images], in the order of their content

    def __post_init__(self) -> None:
        if self.better not in get_args(Better):
            raise unknown(f"direction of metric {self.name}", self.better, get_args(Better))

    def as_dict(self) -> dict[str, Any]:
        """Everything but the numbers of each image."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "per_image"}


@dataclass(frozen=True)
class EvaluationContext:
    """A trained model and the data that it is evaluated on."""

    model: VAE
    train: Dataset  # its training images; probes, scalers and feature extractors are fitted to them
    data: Dataset  # the evaluated images
    seed: int  # of every draw
    note: str  # printed with its likelihoods, such as "not a likelihood"; or ""
    cache: Path  # a folder for what is expensive to fit and shared by many models; created when needed
    given: str = ""  # what the model is conditioned on, printed with every number: GIVEN_LABELS or ""

    def metric(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        better: Better,
        images: int | None = None,
        se: float | None = None,
        monte_carlo_se: float | None = None,
        interval: tuple[float, float] | None = None,
        samples: int | None = None,
        fewest_samples: int | None = None,
        note: str = "",
        parts: tuple[float, ...] = (),
        per_image: Tensor | None = None,
    ) -> Metric:
        """Return a Metric of this context's split, on all of its images by default.

        Arguments:
            better: which values are better: `vaelab compare` and reports rank by it. "neither" for a description, such
                as a rate or a number of active units.
        """
        return Metric(
            name=name,
            value=value,
            unit=unit,
            better=better,
            images=len(self.data) if images is None else images,
            split=self.data.split,
            protocol=self.data.protocol,
            se=se,
            monte_carlo_se=monte_carlo_se,
            interval=interval,
            samples=samples,
            fewest_samples=fewest_samples,
            note="; ".join(part for part in (note, self.given) if part),
            parts=parts,
            per_image=per_image,
        )

    def need_images(self, what: str, fewest: int) -> None:
        """Raise DataError if `what` needs more images than there are."""
        if len(self.data) < fewest:
            raise DataError(
                found=f"{what} of {len(self.data):,} {self.data.split} images",
                expected=f"at least {fewest:,} images",
                do="evaluate on more images, or leave this metric out",
            )

    def need_unseen(self, what: str) -> None:
        """Raise DataError if `what`, which is fitted to the training images, would be evaluated on them."""
        if self.data.split == "train":
            raise DataError(
                found=f"{what} on the training images, to which it is fitted",
                expected="images that it has not seen",
                do="evaluate on another split, or leave this metric out",
            )

    def need_labels(self, what: str) -> None:
        """Raise DataError if `what` needs labels and the data have none."""
        for data in (self.train, self.data):
            if data.labels is None:
                raise DataError(
                    found=f"{what} of {data.name}, whose {data.split} images have no labels",
                    expected="a label for each image",
                    do="use data with labels, or leave this metric out",
                )


def draws_in_words(row: dict[str, Any]) -> str:
    """K of a row of result.json, "5,000" or "100 to 10,000"; empty where nothing was drawn."""
    if row["samples"] is None:
        return ""
    least = row.get("fewest_samples")
    return (f"{least:,} to " if least is not None else "") + f"{row['samples']:,}"


def rests_on_few(row: dict[str, Any]) -> bool:
    """Whether the number of a row of result.json rests on few effective draws."""
    return FEW_EFFECTIVE in row["note"].split("; ")


def checked_metrics(name: str, found: Any) -> list[Metric]:
    """What a measure gave; SpecError, which names the measure, unless it is a list of one or more metrics."""
    if not (isinstance(found, list) and found and all(isinstance(metric, Metric) for metric in found)):
        raise SpecError(
            found=f"metric '{name}', which gives {'no metric' if found == [] else f'a {type(found).__name__}'}",
            expected="a list of metrics, each made by context.metric(...)",
            do="see docs/extending.md",
        )
    return found


def standard_error(per_image: Tensor) -> float | None:
    """Return the standard error of the mean of numbers [N], one for each image; None for a single image."""
    n = len(per_image)
    return (per_image.double().std() / math.sqrt(n)).item() if n > 1 else None


@contextmanager
def evaluating(model: VAE) -> Iterator[None]:
    """Put the model in evaluation mode in this context; restore its mode and the random generators afterwards."""
    device = next(model.parameters()).device
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
