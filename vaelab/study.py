"""A study: a base Spec x a grid -> runs -> one report, described by a TOML file (see `vaelab/studies/`)."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from vaelab.assemble import completed
from vaelab.errors import RunError, SpecError, unknown
from vaelab.measuring import named_measures
from vaelab.record import Run
from vaelab.run import claim, measure, train
from vaelab.spec import Spec
from vaelab.training.compiled import Compile
from vaelab.training.watch import Watch


class Panel(BaseModel):
    """One panel of a figure: what is shown, of which run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    letter: str
    show: str  # data | reconstructions | manifold
    group: str
    latent: int
    ours: bool = False  # not in the article


class Figure(BaseModel):
    """Panels side by side, as an article numbers and letters them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: str
    title: str
    panels: list[Panel]


class Published(BaseModel):
    """Numbers of a paper, to be set beside ours. `values` are by the name of a group."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str
    metric: str
    samples: int  # K
    images_seen: float  # by one training of theirs: its epochs times its images
    values: dict[str, float]


class Group(BaseModel):
    """Runs that differ in their grid alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    title: str
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
    group: list[Group]
    figure: list[Figure] = []
    published: list[Published] = []
    claims: list[str] = []
    must: list[str] = []  # claims that `vaelab report --check` wants supported


@dataclass(frozen=True)
class Member:
    """One run of a study."""

    group: str
    title: str
    label: str
    spec: Spec
    run: Run

    @property
    def latent(self) -> int:
        return self.spec.latent

    @property
    def seed(self) -> int:
        return self.spec.seed


@dataclass(frozen=True)
class Study:
    """A study with its runs, done or not."""

    name: str
    title: str
    about: str
    claims: list[str]
    must: list[str]
    figures: list[Figure]
    published: list[Published]
    metrics: list[str]
    members: list[Member]
    quick: bool
    command: str
    folder: Path


def known_studies() -> dict[str, Path]:
    """Name -> file of the studies that come with vaelab."""
    folder = Path(str(files("vaelab") / "studies"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def open_study(name: str, out: Path | str = "runs", quick: bool = False, seeds: int = 1) -> Study:
    """The study called `name`, or described by the file `name`, with its runs below `out`/<study>/.

    Raises:
        SpecError: no such study, a file that is no study, or a Spec in it that cannot be.
    """
    path = Path(name) if name.endswith(".toml") else known_studies().get(name)
    if path is None:
        raise unknown("study", name, known_studies())
    try:
        file = StudyFile(**tomllib.loads(path.read_text()))
    except FileNotFoundError as error:
        found = f"no {path}"
        raise SpecError(found=found, expected="a TOML file", do="check the path") from error
    except tomllib.TOMLDecodeError as error:
        found = f"{path} is not TOML ({error})"
        raise SpecError(found=found, expected="a study", do="mend that line") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        found = f"{path}: {where}: {first['msg'].lower()}"
        raise SpecError(found=found, expected="the fields of a study", do="see vaelab/studies/digits.toml") from error
    label = path.stem + ("-quick" if quick else "")
    folder = Path(out) / label
    members = [member for group in file.group for member in _members(file, group, folder, quick, seeds)]
    command = f"vaelab study {name}" + (" --quick" if quick else "") + (f" --seeds {seeds}" if seeds > 1 else "")
    metrics = file.quick_metrics if quick and file.quick_metrics is not None else file.metrics
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


def _members(file: StudyFile, group: Group, folder: Path, quick: bool, seeds: int) -> Iterator[Member]:
    fixed = {**file.base, **group.spec, **({**file.quick, **group.quick} if quick else {})}
    grid = {**group.grid, **({"seed": list(range(seeds))} if "seed" not in group.grid else {})}
    for values in product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        spec = completed(Spec(**{**fixed, **point}))
        where = " ".join(f"{_short(key)}={value}" for key, value in point.items() if key != "seed" or seeds > 1)
        name = f"{group.name}-{where.replace(' ', '-').replace('=', '')}-{spec.hash}"
        yield Member(group.name, group.title, f"{group.name} {where}", spec, Run(folder / name))


def _short(key: str) -> str:
    return "z" if key == "latent" else key


@dataclass(frozen=True)
class Options:
    """How the runs of a study are carried out; none of it changes what they compute."""

    only: str = "*"  # a pattern of labels, as a shell matches names
    jobs: int = 1  # runs at a time, in processes of their own when more than one
    root: str | None = None  # where data lie
    compile: Compile = "auto"


def carry_out(study: Study, options: Options, watch: Watch) -> None:
    """Train what is not done yet of what `options.only` matches.

    Raises:
        SpecError: nothing matches.
        RunError: runs of other processes failed; each is named.
        VaelabError: what `vaelab.run.train` raises, where runs share this process.
    """
    pattern = options.only if "*" in options.only else f"*{options.only}*"
    chosen = [member for member in study.members if fnmatch(member.label, pattern)]
    if not chosen:
        known = ", ".join(member.label for member in study.members)
        raise SpecError(found=f"--only '{options.only}' matches no run", expected=f"part of: {known}", do="change it")
    todo = [member for member in chosen if not done(study, member)]
    watch.say(f"{study.title}: {len(chosen)} runs, {len(chosen) - len(todo)} done before")
    if options.jobs == 1:
        for number, member in enumerate(todo, 1):
            watch.say(f"[{number}/{len(todo)}] {member.label}")
            path = member.run.path
            train(member.spec, path.parent, path.name, options.root, options.compile, watch=watch)
            if study.metrics:
                measure(member.run, study.metrics, options.root, watch=watch)
        return
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(_in_processes, study, member, options, watch.say) for member in todo]
        try:
            failures = [failure for future in futures if (failure := future.result())]
        except KeyboardInterrupt:  # the runs under way have got the signal too, and save their state
            pool.shutdown(cancel_futures=True)
            raise
    if failures:
        raise RunError(
            found=f"{len(failures)} of {len(todo)} runs failed: {'; '.join(failures)}",
            expected="all of them to finish",
            do="mend that and give the same command again: finished runs are kept",
        )


def done(study: Study, member: Member) -> bool:
    """Whether a run is trained, and measured as the study asks."""
    if not member.run.done:
        return False
    return set(study.metrics) <= {row["measure"] for row in member.run.result["metrics"]}


def _in_processes(study: Study, member: Member, options: Options, say: Callable[[str], None]) -> str | None:
    """Train and measure one member in processes with their share of the processors; what one said last if it failed."""
    claim(member.run, member.spec)
    path = member.run.path
    root = ["--data-root", options.root] if options.root else []
    threads = ["--threads", str(max(1, (os.cpu_count() or 1) // options.jobs))]
    training = ["train", "--spec", str(path / "spec.json"), "--name", path.name, "--out", str(path.parent)]
    commands = [[*training, "--compile", options.compile, *threads, *root]]
    if study.metrics:
        commands.append(["evaluate", str(path), "--metrics", *study.metrics, *threads, *root])
    for command in commands:
        if failure := _in_process(member.label, command, say):
            return f"{member.label}: {failure}"
    say(f"{member.label}: done")
    return None


def _in_process(label: str, command: list[str], say: Callable[[str], None]) -> str | None:
    """Carry out a command of vaelab in a process of its own; what it said last where it failed."""
    last = "nothing was said"
    command = [sys.executable, "-m", "vaelab", *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.strip() or last
            if last.startswith("epoch "):
                epoch, _, elbo, _, _, *rest = last.split("  ")
                say("  ".join([f"{label}: {epoch}", f"{elbo} nats", *rest]))
    if process.returncode == 0:
        return None
    say(f"{label}: {last}")
    return last
