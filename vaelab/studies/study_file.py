"""What a study's TOML file holds."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vaelab.system.errors import SpecError, unknown
from vaelab.system.files import LONGEST_NAME, name_fault
from vaelab.system.json_types import Positive

MANY_PARTS = re.compile(r"(?:[\w-]+\.){100}")  # of a key, as a.b.c


def _checked(name: str) -> str:
    if fault := name_fault(name):
        raise ValueError(f"a name {fault}; it may be a plain name of at most {LONGEST_NAME} bytes")
    return name


Name = Annotated[str, AfterValidator(_checked)]  # of which names of files and folders are made


class Panel(BaseModel):
    """One panel of a figure: what is shown, of which run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    letter: Annotated[str, Field(pattern=r"^[A-Za-z]{1,3}$")]
    show: Literal["data", "reconstructions", "samples", "manifold"]
    group: str
    latent: int
    ours: bool = False  # not in the article


class Figure(BaseModel):
    """Panels side by side, as an article numbers and letters them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: Annotated[str, Field(pattern=r"^[0-9]{1,4}$")]
    title: str
    panels: list[Panel]


class PublishedNumbers(BaseModel):
    """Numbers of a paper, to be set beside ours. `values` are by the name of a group."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str
    metric: str
    samples: Positive  # K
    # By one training of theirs: its epochs times its images
    images_seen: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    values: dict[str, Annotated[float, Field(allow_inf_nan=False)]]


class StudyGroup(BaseModel):
    """Runs that differ in their grid alone. Averages are over seeds of one point of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Name
    title: str
    preset: str = ""  # whose fields the group's own then change
    spec: dict[str, Any] = {}
    quick: dict[str, Any] = {}
    grid: dict[str, list[Any]]


class StudyFile(BaseModel):
    """What a study's TOML file holds. `quick` tables replace fields under --quick.

    `metrics` are measured of each run beside what is measured at the end of every training.
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
    must: list[str] = []  # claims that `vaelab report --check` wants supported; judged at the quick budget too


def fields_at(place: tuple[int | str, ...]) -> list[str]:
    """The fields that may stand where `place` is, written as it is: group.0.name for the name of the first group."""
    tables: dict[int | str, type[BaseModel]] = {
        "group": StudyGroup,
        "figure": Figure,
        "published": PublishedNumbers,
        "panels": Panel,
    }
    table = next((tables[step] for step in reversed(place[:-1]) if step in tables), StudyFile)
    return [".".join(map(str, (*place[:-1], name))) for name in table.model_fields]


def tables(text: str) -> dict[str, Any]:
    """The tables of a TOML file. Keys of very many parts would take the square of their number in seconds."""
    if MANY_PARTS.search(text):
        raise ValueError("a key of more than a hundred parts")
    return tomllib.loads(text)


def check_groups(path: Path, file: StudyFile) -> None:
    """SpecError where what is said of groups is of none, or a seed stands where it has no effect."""
    names = [group.name for group in file.group]
    for table in (file.base, file.quick, *(group.spec for group in file.group), *(g.quick for g in file.group)):
        if "seed" in table:
            found = f"{path}: seed = {table['seed']} beside the grids"
            raise SpecError(found=found, expected="seeds in a grid, as seed = [0, 1]", do="move it there")
    named = [name for published in file.published for name in published.values]
    named += [panel.group for figure in file.figure for panel in figure.panels]
    for name in named:
        if name not in names:
            raise unknown(f"group in {path}:", name, names)
