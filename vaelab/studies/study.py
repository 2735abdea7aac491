"""A study: a base Spec x a grid -> runs -> one report. A TOML file describes it (see `vaelab/studies/`)."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pydantic import ValidationError

from vaelab.parts.trust import check_trust
from vaelab.runs.blueprint import Blueprint, blueprint_of
from vaelab.runs.compatibility import check
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import named_measures
from vaelab.runs.presets import preset
from vaelab.runs.spec import Spec
from vaelab.studies import known_studies
from vaelab.studies.study_file import Figure, PublishedNumbers, StudyFile, StudyGroup, check_groups, fields_at, tables
from vaelab.system.errors import SpecError, unknown
from vaelab.system.files import LONGEST_NAME, as_argument, check_name, parsed

MOST = 10_000  # the largest number of runs of a group: a larger number is probably a mistake


@dataclass(frozen=True)
class Member:
    """One run of a study."""

    group: str
    title: str
    label: str
    blueprint: Blueprint
    run: Run

    @property
    def spec(self) -> Spec:
        return self.blueprint.spec

    @property
    def latent(self) -> int:
        return self.spec.latent

    @property
    def seed(self) -> int:
        return self.spec.seed


@dataclass(frozen=True)
class Study:
    """A study with all of its runs; a run may not be done yet."""

    name: str
    title: str
    about: str
    claims: list[str]
    must: list[str]
    figures: list[Figure]
    published: list[PublishedNumbers]
    metrics: list[str]
    members: list[Member]
    quick: bool
    command: str
    folder: Path


def open_study(
    name: str, out: Path | str = "runs", quick: bool = False, seeds: int = 1, trust: Sequence[str] = ()
) -> Study:
    """Read the built-in study `name`, or the study in the file `name`; its runs are in `out`/<study>/.

    Arguments:
        trust: the user's own modules that the file may name; their code runs.

    Raises:
        SpecError: there is no such study, the file is not a study, a module is not trusted, or a Spec is not valid.
    """
    path = Path(name) if name.endswith(".toml") else known_studies().get(name)
    if path is None:
        raise unknown("study", name, known_studies())
    try:
        file = StudyFile(**parsed(path, tables, expected="a study: a TOML file", do="fix that line", error=SpecError))
    except ValidationError as error:
        # A misspelt field comes first: it often explains why another field is missing.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise unknown(f"field of {path}:", where, fields_at(first["loc"])) from error
        found = f"{path}: {where}: {first['msg'].lower()}"
        raise SpecError(
            found=found, expected="the fields of a study", do="see A study of your own in README.md"
        ) from error
    label = check_name("a study called", path.stem) + ("-quick" if quick else "")
    folder = Path(out) / label
    metrics = file.quick_metrics if quick and file.quick_metrics is not None else file.metrics
    check_trust(path, {f"metric {number}": name for number, name in enumerate(metrics, 1)}, trust)

    def asked_for(spec: Spec) -> Blueprint:
        check_trust(path, spec.parts, trust)
        blueprint = blueprint_of(spec)
        check(blueprint)
        return blueprint

    check_groups(path, file)
    members = [member for group in file.group for member in _members(file, group, folder, quick, seeds, asked_for)]
    if len({member.label for member in members}) < len(members):
        found = f"{path}: two runs with the same label"
        raise SpecError(found=found, expected="groups with different names", do="rename one group")
    flags = (" --quick" if quick else "") + (f" --seeds {seeds}" if seeds > 1 else "")
    flags += f" --trust {' '.join(trust)}" if trust else ""
    command = f"vaelab study {as_argument(name)}{flags}"
    return Study(
        name=path.stem,
        title=file.title,
        about=file.about,
        claims=file.claims,
        must=file.must,
        figures=file.figure,
        published=file.published,
        metrics=list(named_measures(metrics)),
        members=members,
        quick=quick,
        command=command,
        folder=folder,
    )


def _members(
    file: StudyFile, group: StudyGroup, folder: Path, quick: bool, seeds: int, read: Callable[[Spec], Blueprint]
) -> Iterator[Member]:
    named = preset(group.preset).fields if group.preset else {}
    fixed = {**file.base, **named, **group.spec, **({**file.quick, **group.quick} if quick else {})}
    if "seed" in group.grid and seeds > 1:
        found = f"both --seeds {seeds} and seed = {group.grid['seed']} in the grid of the group '{group.name}'"
        raise SpecError(
            found=found, expected="only one of them", do="remove --seeds, or remove the seeds from the file"
        )
    if seeds > MOST:
        raise SpecError(found=f"--seeds {seeds:,}", expected=f"at most {MOST:,}", do="lower it")
    grid = {**group.grid, **({"seed": list(range(seeds))} if "seed" not in group.grid else {})}
    if (count := math.prod(map(len, grid.values()))) > MOST:
        found = f"{count:,} runs in the group '{group.name}'"
        raise SpecError(found=found, expected=f"at most {MOST:,}", do="remove values from its grid")
    for values in product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        blueprint = read(Spec(**{**fixed, **point}))
        spec = blueprint.spec
        shown = {key: value for key, value in point.items() if key != "seed" or len(grid["seed"]) > 1}
        label = " ".join([group.name, *(f"{_short(key)}={value}" for key, value in shown.items())])
        if "seed" not in group.grid and not spec.seed:
            shown.pop("seed", None)  # so that the run of a study with one seed is also the first of several seeds
        words = [group.name, *(f"{_short(key)}{value}" for key, value in shown.items()), spec.hash]
        run = Run.planned(folder / _as_a_name("-".join(words)), blueprint)
        yield Member(group.name, group.title, label, blueprint, run)


def _short(key: str) -> str:
    return "z" if key == "latent" else key


def _as_a_name(words: str) -> str:
    """Make a name of a directory: remove the separators of parts, paths and values.

    A colon is removed because scp and rsync read the text before it as the name of a machine.
    """
    name = re.sub(r"[\s/\\:]+", "-", words.replace("=", ""))
    return name if len(name.encode()) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 4]}-{name[-LONGEST_NAME // 4 :]}"
