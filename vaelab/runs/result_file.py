"""The keys of result.json and the types of their values; they are checked when it is written and when it is read."""

import json
from pathlib import Path
from typing import Annotated, Any, NotRequired, cast, get_type_hints

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    TypeAdapter,
    ValidationError,
    create_model,
    with_config,
)
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from vaelab.evaluation.measure import ROW_KEYS, Metric
from vaelab.objectives.effective_beta import Bound
from vaelab.runs.old_results import upgraded
from vaelab.system.errors import RunError
from vaelab.system.files import parsed
from vaelab.system.json_types import Count, Error, FindingRow, Finite, Positive
from vaelab.system.world import Reduce

AGAIN = "delete the run and train again"


def _both(source: dict[str, str]) -> dict[str, str]:
    if len(source) == 1:
        raise ValueError("one of two paths")
    return source


def _read_as(keys: type) -> GetPydanticSchema:
    """Return the schema of a dict that must have the keys of `keys` when it is read."""
    return GetPydanticSchema(lambda source, handler: handler.generate_schema(keys))


@with_config({"extra": "allow"})
class Described(TypedDict):
    """The fields of the Spec that are read from result.json; spec.json is the Spec itself."""

    data: str
    protocol: str | None
    batch: Positive


_TYPES = get_type_hints(Metric, include_extras=True)
_ALL: dict[str, Any] = {key: (_TYPES[key], ...) for key in ROW_KEYS}  # no default: each must be in the file
_METRIC = create_model("Metric", __config__=ConfigDict(extra="allow"), **_ALL)
SpecRow = Annotated[dict[str, Any], _read_as(Described)]  # `Spec.as_row`
MetricRow = Annotated[dict[str, Any], _read_as(_METRIC)]  # `Metric.as_row`


class ResumedFrom(TypedDict):
    """The finished run that a training went on from: its name, the hash of its Spec, and its steps."""

    run: str
    spec: str
    step: Count


@with_config({"extra": "allow"})
class Provenance(TypedDict):
    """What was optimised."""

    objective: str
    distortion_weight: NotRequired[float]
    rate_weight: NotRequired[float]
    bound: Bound
    given: NotRequired[str]
    effective_beta: Finite | None
    is_bound: NotRequired[bool]
    likelihood: NotRequired[str]
    note: str
    protocol: str
    seeds: dict[str, int]
    resumed_from: NotRequired[ResumedFrom]


class Split(TypedDict):
    """The images of a split."""

    images: Positive
    shape: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    sha256: str


@with_config({"extra": "forbid"})
class Data(TypedDict):
    """The splits of the data."""

    train: Split
    validation: NotRequired[Split]
    test: Split


@with_config({"extra": "allow"})
class Environment(TypedDict):
    """The software and the hardware that computed the numbers."""

    vaelab: str
    torch: str
    python: str
    system: str
    device: str
    threads: Positive
    date: str


class Seconds(TypedDict):
    """The duration of training and of evaluation, in seconds."""

    training: Error
    evaluation: Error


# The folder that was read, and the lines that were printed about it
Read = TypedDict("Read", {"from": str, "said": list[str]})


class SourcePaths(TypedDict, total=False):
    """The paths of the images: both, or neither if the source has no path."""

    absolute: str
    from_run: str


@with_config({"extra": "allow"})
class Result(TypedDict):
    """All keys of result.json, in the order of the file; later versions may write more."""

    spec: SpecRow
    environment: Environment
    data: Annotated[dict[str, Split], _read_as(Data)]
    read: NotRequired[Read]
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
    workers: NotRequired[Positive]  # of a training with shards: the largest number that took part
    reduce: NotRequired[Reduce]  # and how they added the gradients


SCHEMA = TypeAdapter(Result)


def read_result(path: Path) -> Result:
    """Read a result.json; RunError if it is damaged, or of another version of vaelab."""
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
        found = f"{path} is damaged (numbers of {odd[0]} images, which its data do not list)"
        raise RunError(found=found, expected="what vaelab wrote", do=AGAIN)
    return result


def _upgraded(text: str) -> Result:
    return cast(Result, upgraded(json.loads(text)))  # if the schema accepts it
