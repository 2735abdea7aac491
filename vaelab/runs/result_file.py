"""result.json: what must stand in it, and of which types."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from vaelab.runs.old_results import upgraded
from vaelab.system.errors import RunError
from vaelab.system.files import parsed
from vaelab.system.json_types import Count, Error, FindingRow, Finite, Positive

AGAIN = "delete the run and train again"


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("an interval whose ends are exchanged")
    return interval


def _both(source: dict[str, str]) -> dict[str, str]:
    if len(source) == 1:
        raise ValueError("one of two paths")
    return source


@with_config({"extra": "allow"})
class MetricRow(TypedDict):
    """A number: a `Metric` without those of each image, and what it was asked for by."""

    measure: str
    seed: int
    name: str
    value: Finite
    unit: str
    better: Literal["higher", "lower", "neither"]
    images: Count
    split: Literal["train", "validation", "test"]
    protocol: str
    se: Error | None
    monte_carlo_se: Error | None
    interval: Annotated[tuple[Finite, Finite], AfterValidator(_ordered)] | None
    samples: Count | None
    fewest_samples: NotRequired[Count | None]
    note: str
    parts: list[Finite]


@with_config({"extra": "allow"})
class Described(TypedDict):
    """The Spec, as far as it is read from here; spec.json is the Spec itself."""

    data: str
    protocol: str | None
    batch: Positive


@with_config({"extra": "allow"})
class Provenance(TypedDict):
    """What was optimised."""

    objective: str
    bound: Literal["ELBO", "importance-weighted", "below the ELBO", ""]
    effective_beta: Finite | None
    note: str
    protocol: str
    seeds: dict[str, int]


class Split(TypedDict):
    """The images of a split."""

    images: Positive
    shape: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    sha256: str


@with_config({"extra": "forbid"})
class Data(TypedDict):
    """The splits."""

    train: Split
    validation: NotRequired[Split]
    test: Split


@with_config({"extra": "allow"})
class Environment(TypedDict):
    """What the numbers were made with."""

    vaelab: str
    torch: str
    python: str
    system: str
    device: str
    threads: Positive
    date: str


class Seconds(TypedDict):
    """What the two halves took."""

    training: Error
    evaluation: Error


class SourcePaths(TypedDict, total=False):
    """Where the images were: empty where the source has no path, else both."""

    absolute: str
    from_run: str


@with_config({"extra": "allow"})
class Result(TypedDict):
    """All of it; later versions may write more."""

    spec: Described
    environment: Environment
    data: Data
    source: NotRequired[Annotated[SourcePaths, AfterValidator(_both)]]
    test_images_trained_on: Count
    note: str
    seconds: Seconds
    vmapped: NotRequired[Positive]
    steps: Count
    best_step: Count
    criterion: str
    best_loss: Finite | None
    parameters: Count
    findings: list[FindingRow]
    provenance: Provenance
    metrics: list[MetricRow]


SCHEMA = TypeAdapter(Result)


def read_result(path: Path) -> dict[str, Any]:
    """What a result.json holds; RunError where it is damaged, or of another version of vaelab."""
    result = parsed(path, _upgraded, expected="what vaelab wrote", do=AGAIN)
    try:
        SCHEMA.validate_json(json.dumps(result), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            found, expected = f"{path} has no {where}", "what this version of vaelab writes"
            raise RunError(found=found, expected=expected, do=AGAIN) from error
        found = f"{path} is damaged ({where}: {first['msg'].lower()})"
        raise RunError(found=found, expected="what vaelab wrote", do=AGAIN) from error
    if odd := [row["split"] for row in result["metrics"] if row["split"] not in result["data"]]:
        found = f"{path} is damaged (numbers of {odd[0]} images, of which it says nothing)"
        raise RunError(found=found, expected="what vaelab wrote", do=AGAIN)
    return result


def _upgraded(text: str) -> dict[str, Any]:
    return upgraded(json.loads(text))
