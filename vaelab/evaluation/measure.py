"""What a measure is: a function of a trained model and data; its numbers carry their unit and their uncertainty."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, get_args

import torch
from pydantic import AfterValidator
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.models import VAE
from vaelab.system.errors import DataError, unknown
from vaelab.system.json_types import Count, Error, Finite

Better = Literal["higher", "lower", "neither"]  # values of a metric
Progress = Callable[[float], None]  # takes the share of the work that is done
GIVEN_LABELS = "given the labels"
FEW_EFFECTIVE = (
    "few effective draws: over 1 % of the images have fewer than 2, and nll is too high by more than nll_excess"
)
FEW_MARK = "\N{SECTION SIGN}"  # of a number with that note, where notes are not shown


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("an interval whose ends are exchanged")
    return interval


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number with all that is needed to compare it: of what, in what, on what, and how uncertain.

    Its fields, except `per_image`, are the keys of a row of `metrics` in result.json, in this order. The types say
    what is accepted when that file is read.
    """

    measure: str = ""  # that gave it, with every option spelt out; empty until a run keeps the metric
    seed: int = 0  # of the draws
    name: str
    value: Finite
    unit: str
    better: Better  # which values are better; "neither" where no value is better for being larger or smaller
    images: Count  # that it is computed on
    split: str
    protocol: str
    se: Error | None = None  # standard error over the images; None where there is none
    monte_carlo_se: Error | None = None  # standard error of the draws, at these images
    interval: Annotated[tuple[Finite, Finite], AfterValidator(_ordered)] | None = None  # of 95 %; not value +- 1.96 se
    samples: Count | None = None  # K, draws for each image; None where none were drawn
    fewest_samples: Count | None = None  # where K differs between images: the smallest K, as `samples` is the largest
    note: str = ""  # what must be said beside it
    parts: tuple[Finite, ...] = ()  # what the value is the sum or mean of, such as the rate of each latent dimension
    per_image: Tensor | None = field(default=None, compare=False, repr=False)  # [images], in the order of their content

    def __post_init__(self) -> None:
        if self.better not in get_args(Better):
            raise unknown(f"direction of metric {self.name}", self.better, get_args(Better))

    def as_row(self) -> dict[str, Any]:
        """A row of `metrics` in result.json: everything except the numbers of each image."""
        return {key: getattr(self, key) for key in ROW_KEYS}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Metric":
        """The metric of a row of result.json that this version reads; further keys are left out."""
        pair = row["interval"]
        known = {key: row[key] for key in ROW_KEYS}
        return cls(**{**known, "interval": None if pair is None else tuple(pair), "parts": tuple(row["parts"])})


ROW_KEYS = tuple(f.name for f in fields(Metric) if f.name != "per_image")  # whose numbers have a file of their own


@dataclass(frozen=True)
class EvaluationContext:
    """A trained model and the data that it is measured on."""

    model: VAE
    train: Dataset  # what it was trained on: probes, scalers and feature extractors are fitted here
    data: Dataset  # what is measured
    seed: int  # of every draw
    note: str  # what must stand beside its likelihoods, such as "not a likelihood"; empty if nothing
    cache: Path  # a folder for what is costly to fit and the same for many models; made when needed
    given: str = ""  # what the model is told of each image, to stand beside every number: GIVEN_LABELS, or nothing

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
        """A Metric of this subject's split, on all of its images unless said otherwise.

        Arguments:
            better: which values are better: `vaelab compare` and reports rank by it. "neither" for a description, such
                as a rate or a number of active units.
        """
        return Metric(
            seed=self.seed,
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
        """DataError where `what` needs more images than are measured."""
        if len(self.data) < fewest:
            raise DataError(
                found=f"{what} of {len(self.data):,} {self.data.split} images",
                expected=f"at least {fewest:,}",
                do="measure more images, or leave this metric out",
            )

    def need_unseen(self, what: str) -> None:
        """DataError where `what`, which is fitted to the training images, is to be measured on them."""
        if self.data.split == "train":
            raise DataError(
                found=f"{what} on the training images, to which it is fitted",
                expected="images that it has not seen",
                do="measure another split, or leave this metric out",
            )

    def need_labels(self, what: str) -> None:
        """DataError where `what` needs labels that the data lack."""
        for data in (self.train, self.data):
            if data.labels is None:
                raise DataError(
                    found=f"{what} of {data.name}, whose {data.split} images have no labels",
                    expected="a label for each image",
                    do="use data with labels, or leave this metric out",
                )


def draws_in_words(metric: Metric) -> str:
    """K of a metric, "5,000" or "100 to 10,000"; empty if nothing was drawn."""
    if metric.samples is None:
        return ""
    return (f"{metric.fewest_samples:,} to " if metric.fewest_samples is not None else "") + f"{metric.samples:,}"


def rests_on_few(metric: Metric) -> bool:
    """Whether the metric rests on few effective draws."""
    return FEW_EFFECTIVE in metric.note.split("; ")


class Measure(Protocol):
    """What stands behind a name in `METRICS`: a frozen dataclass whose keyword-only fields are the user's options."""

    def check(self, context: EvaluationContext) -> None:
        """Raise VaelabError, before any work starts, where `context` cannot be measured."""
        ...

    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        """The numbers; `progress` is told now and then how far it is."""
        ...


def standard_error(per_image: Tensor) -> float | None:
    """Of the mean of numbers [N], one for each image; None for a single one."""
    n = len(per_image)
    return (per_image.double().std() / math.sqrt(n)).item() if n > 1 else None


@contextmanager
def evaluating(model: VAE) -> Iterator[None]:
    """The model in evaluation mode and the random generators at hand while this lasts; all restored afterwards."""
    device = next(model.parameters()).device
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
