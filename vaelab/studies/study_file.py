"""The contents of a study's TOML file."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vaelab.system.errors import SpecError, unknown
from vaelab.system.files import LONGEST_NAME, name_fault
from vaelab.system.json_types import Positive

MANY_PARTS = re.compile(r"(?:[\w-]+\.){100}")  # a key such as a.b.c, with very many parts


def _checked(name: str) -> str:
    if fault := name_fault(name):
        raise ValueError(f"a name {fault}; expected a plain name of at most {LONGEST_NAME} bytes")
    return name


Name = Annotated[str, AfterValidator(_checked)]  # a name that becomes part of file and folder names


class Panel(BaseModel):
    """One panel of a figure: what it shows, and of which run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    letter: Annotated[str, Field(pattern=r"^[A-Za-z]{1,3}$")]
    show: Literal["data", "reconstructions", "samples", "manifold"]
    group: str
    latent: int
    ours: bool = False  # not in the article


class Figure(BaseModel):
    """Panels next to each other, with the numbers and letters of an article."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: Annotated[str, Field(pattern=r"^[0-9]{1,4}$")]
    title: str
    panels: list[Panel]


class PublishedNumbers(BaseModel):
    """Numbers of a paper, which the report compares with those of the runs. `values` has one for each group's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str
    metric: str
    samples: Positive  # K
    # Number of images that one training of the paper saw: its epochs times its images
    images_seen: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    values: dict[str, Annotated[float, Field(allow_inf_nan=False)]]


class StudyGroup(BaseModel):
    """Runs that differ only in the values of a grid. Averages are over the seeds of one point of the grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Name
    title: str
    preset: str = ""  # `spec` changes fields of this preset
    spec: dict[str, Any] = {}
    quick: dict[str, Any] = {}
    grid: dict[str, list[Any]]


class StudyFile(BaseModel):
    """The contents of a study's TOML file. With --quick, the `quick` tables replace fields.

    `metrics` are computed for each run in addition to the default metrics at the end of every training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str
    about: str
    base: dict[str, Any] = {}
    quick: dict[str, Any] = {}
    metrics: list[str] = []
    quick_metrics: list[str] | None = None
    group: list[StudyGroup]
    figure: list[Figure] = []
    published: list[PublishedNumbers] = []
    claims: list[str] = []
    must: list[str] = []  # claims that `vaelab report --check` requires to be supported, at the quick budget too


def fields_at(place: tuple[int | str, ...]) -> list[str]:
    """The fields that are possible at `place`, written with their path: group.0.name is the name of the first group."""
    tables: dict[int | str, type[BaseModel]] = {
        "group": StudyGroup,
        "figure": Figure,
        "published": PublishedNumbers,
        "panels": Panel,
    }
    table = next((tables[step] for step in reversed(place[:-1]) if step in tables), StudyFile)
    return [".".join(map(str, (*place[:-1], name))) for name in table.model_fields]


def tables(text: str) -> dict[str, Any]:
    """Parse a TOML file. A key with very many parts is refused, because its time grows with their square."""
    if MANY_PARTS.search(text):
        raise ValueError("a key of more than a hundred parts")
    return tomllib.loads(text)


def check_groups(path: Path, file: StudyFile) -> None:
    """Raise a SpecError if the file names a group that does not exist, or sets a seed where it has no effect."""
    names = [group.name for group in file.group]
    for table in (file.base, file.quick, *(group.spec for group in file.group), *(g.quick for g in file.group)):
        if "seed" in table:
            found = f"{path}: seed = {table['seed']} outside the grids"
            raise SpecError(found=found, expected="seeds in a grid, as seed = [0, 1]", do="move it to a grid")
    named = [name for published in file.published for name in published.values]
    named += [panel.group for figure in file.figure for panel in figure.panels]
    for name in named:
        if name not in names:
            raise unknown(f"group in {path}:", name, names)
