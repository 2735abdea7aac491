"""Run a study: train and evaluate its runs, one after another, in processes, or vmapped."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from vaelab.runs.build import load_splits
from vaelab.runs.claim import check_claim, claim
from vaelab.runs.directory import Run
from vaelab.runs.evaluate import evaluate
from vaelab.runs.keep import STUDY, Keep, KeepCheckpoint
from vaelab.runs.train import train_blueprint
from vaelab.runs.vmapped import described, train_vmapped, vmapped_groups
from vaelab.studies.study import Member, Study, open_study
from vaelab.studies.time_left import TimeLeft
from vaelab.studies.workers import Worker
from vaelab.system.errors import Interrupted, RunError, SpecError, VaelabError
from vaelab.system.files import make_folder
from vaelab.training.callback import Callback, Status
from vaelab.training.lines import default_callback, in_brief, lines
from vaelab.training.step.compiled import Compile


@dataclass(frozen=True)
class Options:
    """How the runs of a study are carried out. No option changes the results."""

    only: str = "*"  # a pattern of labels, as a shell matches file names
    jobs: int = 1  # number of runs at a time; with more than one, each has its own process
    root: str | None = None  # the data directory
    compile: Compile = "auto"
    vmapped: int = 1  # the largest number of runs that are trained as one program
    keep: Keep = STUDY  # what a finished run keeps


def study(
    name: str,
    out: Path | str = "runs",
    only: str = "*",
    jobs: int = 1,
    vmapped: int = 1,
    quick: bool = False,
    seeds: int = 1,
    root: str | None = None,
    compile: Compile = "auto",
    trust: Sequence[str] = (),
    callback: Callback | None = None,
    keep_checkpoint: KeepCheckpoint = "no",
    keep_examples: bool = True,
) -> Study:
    """Train and evaluate the runs of a study, skipping those that are done: `vaelab study` in Python.

    `vaelab.report` writes its report.

    Arguments:
        name: of a study that comes with vaelab, or of a TOML file.
        out: the directory for studies; the runs are in `out`/<study>/.
        only: a pattern of labels; other runs are skipped.
        jobs: the number of runs at a time, each in its own process.
        vmapped: the largest number of runs that are trained as one program.
        quick: use the small budget.
        seeds: runs of each point of the grid, with seeds 0, 1, ...
        root: the data directory; see `vaelab.load`.
        compile: whether to compile the training step.
        trust: your own modules that the file may name; their code runs.
        callback: receives progress; by default it is printed in a terminal or a notebook.
        keep_checkpoint, keep_examples: what a finished run keeps; see `vaelab.train`.

    Raises:
        VaelabError: any error that a user can correct, in one line.
    """
    opened = open_study(name, out, quick, seeds, trust)
    keep = Keep(keep_checkpoint, keep_examples)
    carry_out(opened, Options(only, jobs, root, compile, vmapped, keep), callback or default_callback())
    return opened


def carry_out(study: Study, options: Options, callback: Callback) -> None:
    """Train and evaluate the runs that `options.only` matches and that are not done.

    Raises:
        SpecError: no run matches; or both `jobs` and `vmapped` are above 1.
        RunError: runs in other processes, or vmapped runs, failed; the error names each of them.
        VaelabError: as `vaelab.runs.train.train`, for runs in this process.
    """
    if options.jobs > 1 and options.vmapped > 1:
        found = f"both --jobs {options.jobs} and --vmapped {options.vmapped}"
        raise SpecError(found=found, expected="only one of them", do="remove --jobs: one program uses all processors")
    pattern = options.only if "*" in options.only else f"*{options.only}*"
    chosen = [member for member in study.members if fnmatch(member.label, pattern)]
    if not chosen:
        known = ", ".join(member.label for member in study.members)
        raise SpecError(
            found=f"--only '{options.only}' matches no run", expected=f"a part of: {known}", do="change --only"
        )
    make_folder(study.folder)
    todo = [member for member in chosen if not done(study, member)]
    callback.say(f"{study.title}: {len(chosen)} runs, {len(chosen) - len(todo)} done before")
    time_left = TimeLeft(study.members, options.jobs)
    if options.vmapped > 1:
        _report_failures(list(_in_vmapped_groups(study, todo, options, callback, time_left)), len(todo))
        return
    if options.jobs == 1:
        for number, member in enumerate(todo, 1):
            callback.say(f"[{number}/{len(todo)}] {member.label}{time_left(todo[number - 1 :])}")
            _train(member, options, callback)
            _measure(study, member, options, callback)
        return
    idle, workers = SimpleQueue[Worker](), [Worker() for _ in range(options.jobs)]
    for worker in workers:
        idle.put(worker)

    waiting = list(todo)

    def by_whoever_is_idle(member: Member) -> str | None:
        worker = idle.get()
        try:
            failure = _by_worker(worker, study, member, options, callback.say)
        finally:
            waiting.remove(member)
            idle.put(worker)
        callback.say(f"{member.label}: {failure or 'done'}{time_left(waiting)}")
        return f"{member.label}: {failure}" if failure else None

    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.close)
        pool = stack.enter_context(ThreadPoolExecutor(options.jobs))
        futures = [pool.submit(by_whoever_is_idle, member) for member in todo]
        try:
            failures = [failure for future in futures if (failure := future.result())]
        except KeyboardInterrupt:
            for worker in workers:
                worker.stop()
            pool.shutdown(cancel_futures=True)
            raise
    _report_failures(failures, len(todo))


def _report_failures(failures: list[str], of: int) -> None:
    if failures:
        raise RunError(
            found=f"{len(failures)} of {of} runs failed: {'; '.join(failures)}",
            expected="all runs to finish",
            do="fix the cause and rerun the command to resume; finished runs are kept",
        )


def _train(member: Member, options: Options, callback: Callback) -> None:
    blueprint = member.blueprint
    load = partial(load_splits, blueprint, options.root)
    train_blueprint(member.run, blueprint, load, options.compile, "auto", callback, options.keep)


def _measure(study: Study, member: Member, options: Options, callback: Callback) -> None:
    if study.metrics:
        evaluate(member.run, study.metrics, options.root, callback=callback)


def _in_vmapped_groups(
    study: Study, todo: list[Member], options: Options, callback: Callback, time_left: TimeLeft
) -> Iterator[str]:
    """Train the members, as vmapped runs if possible; yield the error of each run that failed."""
    for member in todo:
        claim(member.run, member.spec)  # writes the Spec, which `vmapped_groups` reads
    members, before = {member.run: member for member in todo}, 0
    groups = vmapped_groups(list(members), options.vmapped)
    for number, group in enumerate(groups):
        label, last, failed = members[group[0]].label, before + len(group), dict[Run, VaelabError]()
        left = time_left([members[run] for later in groups[number:] for run in later])
        if len(group) > 1:
            unlike = described([members[run].spec for run in group])
            callback.say(f"[{before + 1}-{last}/{len(todo)}] {label}: {len(group)} runs as one program, {unlike}{left}")
            failed = train_vmapped(group, options.root, options.compile, callback, keep=options.keep)
        else:
            callback.say(f"[{last}/{len(todo)}] {label}{left}")
        for member in [members[run] for run in group if run not in failed]:
            try:
                if len(group) == 1:
                    _train(member, options, callback)
                _measure(study, member, options, callback)
            except Interrupted:
                raise
            except VaelabError as error:
                failed[member.run] = error
        yield from (f"{members[run].label}: {error}" for run, error in failed.items())
        before = last


def done(study: Study, member: Member) -> bool:
    """Whether a run is trained and has all metrics of the study."""
    if not member.run.done:
        return False
    check_claim(member.run, member.spec)
    return set(study.metrics) <= {metric.measure for metric in member.run.metrics}


def _by_worker(worker: Worker, study: Study, member: Member, options: Options, say: Callable[[str], None]) -> str:
    """Train and evaluate one member in a worker, with its share of the processors; return its error, or ""."""
    job = {
        "spec": member.spec.model_dump(),
        "folder": str(member.run.path),
        "metrics": study.metrics,
        "root": options.root,
        "compile": options.compile,
        "threads": max(1, (os.cpu_count() or 1) // options.jobs),
        "keep": {"keep_checkpoint": options.keep.checkpoint, "keep_examples": options.keep.examples},
    }
    callback = lines(lambda line: say(f"{member.label}: {line}"), in_brief)

    def tell(said: dict[str, Any]) -> None:
        if "status" in said:
            callback.show(Status(**said["status"]))

    return worker.carry_out(job, tell)
