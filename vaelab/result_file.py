"""result.json: what must stand in it, and of which types."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from vaelab.errors import RunError
from vaelab.evaluation.before import better_before
from vaelab.files import parsed

AGAIN = "delete the run and train again"


Finite = Annotated[float, Field(allow_inf_nan=False)]
Error = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("an interval whose ends are exchanged")
    return interval


@with_config({"extra": "allow"})
class Row(TypedDict):
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
    batch: int


@with_config({"extra": "allow"})
class Finding(TypedDict):
    """A warning of the training."""

    kind: str
    says: str
    do: str


@with_config({"extra": "allow"})
class Ledger(TypedDict):
    """What was optimised."""

    objective: str
    bound: Literal["ELBO", "importance-weighted", "below the ELBO", ""]
    effective_beta: float | None
    note: str
    seeds: dict[str, int]


class Split(TypedDict):
    """The images of a split."""

    images: int
    shape: list[int]
    sha256: str


@with_config({"extra": "allow"})
class Data(TypedDict):
    """The splits."""

    train: Split
    validation: NotRequired[Split]
    test: Split


@with_config({"extra": "allow"})
class Result(TypedDict):
    """All of it; later versions may write more."""

    spec: Described
    environment: dict[str, Any]
    data: Data
    test_images_trained_on: int
    note: str
    seconds: dict[str, float]
    steps: int
    best_step: int
    criterion: str
    best_loss: float | None
    parameters: int
    findings: list[Finding]
    ledger: Ledger
    metrics: list[Row]


SCHEMA = TypeAdapter(Result)


def read_result(path: Path) -> dict[str, Any]:
    """What a result.json holds; RunError where it is damaged, or of another version of vaelab."""
    result = parsed(path, _with_directions, expected="what vaelab wrote", do=AGAIN)
    try:
        SCHEMA.validate_json(json.dumps(result), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            found, expected = f"{path} has no {first['loc'][-1]}", "what this version of vaelab writes"
            raise RunError(found=found, expected=expected, do=AGAIN) from error
        found = f"{path} is damaged ({where}: {first['msg'].lower()})"
        raise RunError(found=found, expected="what vaelab wrote", do=AGAIN) from error
    if odd := [row["split"] for row in result["metrics"] if row["split"] not in result["data"]]:
        found = f"{path} is damaged (numbers of {odd[0]} images, of which it says nothing)"
        raise RunError(found=found, expected="what vaelab wrote", do=AGAIN)
    return result


def _with_directions(text: str) -> dict[str, Any]:
    """The object, its rows with the directions that older ones lack."""
    result = json.loads(text)
    for row in result.get("metrics", ()):
        row.setdefault("better", better_before(row["name"]) if "name" in row else "neither")
    return result
