"""The contract of a measure: a function of a trained model and data, whose numbers have a unit and an uncertainty."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import AfterValidator
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.models import VAE
from vaelab.parts.contracts import Measure as Measure
from vaelab.system.errors import DataError, SpecError, unknown
from vaelab.system.json_types import Count, Error, Finite

Better = Literal["higher", "lower", "neither"]  # which values of a metric are better
Progress = Callable[[float], None]  # is called with the completed proportion of the work
GIVEN_LABELS = "given the labels"
FEW_EFFECTIVE = (
    "few effective draws: over 1 % of the images have fewer than 2, and nll is too high by more than nll_excess"
)
FEW_MARK = "\N{SECTION SIGN}"  # marks a number with that note where notes are not shown


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("an interval whose ends are exchanged")
    return interval


@dataclass(frozen=True, kw_only=True, repr=False)
class Metric:
    """A number with all that is needed to compare it: of what, in what, on what, and how uncertain.

    Its fields, except the last two, are the keys of a row of `metrics` in result.json, in this order. The types say
    what is accepted when that file is read. `per_image` has a file of its own.
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
    note: str = ""  # what a reader of the number must know
    parts: tuple[Finite, ...] = ()  # what the value is the sum or mean of, such as the rate of each latent dimension
    per_image: Tensor | None = field(default=None, compare=False, repr=False)  # [images], in the order of their content
    further: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)  # keys of a newer vaelab

    def __post_init__(self) -> None:
        if self.better not in get_args(Better):
            raise unknown(f"direction of metric {self.name}", self.better, get_args(Better))

    def __repr__(self) -> str:
        """The number with its error, its unit and what it is of, in one line."""
        from vaelab.evaluation.in_words import in_one_line  # here, because that module imports this one

        return in_one_line(self)

    def as_row(self) -> dict[str, Any]:
        """A row of `metrics` in result.json: everything except the numbers of each image."""
        return {key: getattr(self, key) for key in ROW_KEYS} | dict(self.further)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Metric":
        """The metric of a row of result.json. Keys that this version does not know are kept, and written again."""
        pair = row["interval"]
        known = {key: row[key] for key in ROW_KEYS} | {"further": {k: row[k] for k in row if k not in ROW_KEYS}}
        return cls(**{**known, "interval": None if pair is None else tuple(pair), "parts": tuple(row["parts"])})


ROW_KEYS = tuple(f.name for f in fields(Metric) if f.name not in ("per_image", "further"))


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


def draws_in_words(metric: Metric) -> str:
    """K of a metric, "5,000" or "100 to 10,000"; empty if nothing was drawn."""
    if metric.samples is None:
        return ""
    return (f"{metric.fewest_samples:,} to " if metric.fewest_samples is not None else "") + f"{metric.samples:,}"


def rests_on_few(metric: Metric) -> bool:
    """Whether the metric rests on few effective draws."""
    return FEW_EFFECTIVE in metric.note.split("; ")


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
