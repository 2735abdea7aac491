"""The claim on a run's directory: it belongs to the Spec that wrote it first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vaelab.runs.directory import CHECKPOINT, PER_IMAGE, Run
from vaelab.runs.examples import EXAMPLES
from vaelab.runs.spec import Spec
from vaelab.system.errors import RunError
from vaelab.system.files import check_no_link, make_folder, only_writer, write_atomically
from vaelab.training.diagnosis.post_mortem import RECORD, STATE

# What a training writes into its directory, in addition to spec.json
FILES = (
    "figures", "log.jsonl", CHECKPOINT, "model.safetensors", EXAMPLES, PER_IMAGE, "result.json", RECORD, STATE,
)  # fmt: skip


@contextmanager
def claimed(run: Run, spec: Spec) -> Iterator[None]:
    """Claim the directory for the Spec, and keep other processes from writing to it.

    Raises:
        RunError: as `check_claim`; another process writes to the directory, or it cannot be written to.
    """
    check_claim(run, spec)  # before anything is written to it
    make_folder(run.path)
    with only_writer(run.path):
        check_claim(run, spec)  # another process may have come first
        if not (path := run.path / "spec.json").exists():
            write_atomically(path, spec.canonical_json().encode())
        yield


def claim(run: Run, spec: Spec) -> None:
    """Claim the directory for the Spec if no Spec has claimed it; RunError as `claimed`."""
    with claimed(run, spec):
        pass


def check_claim(run: Run, spec: Spec) -> None:
    """Raise RunError if another Spec wrote the directory, or it is not that of a run, or it is a symbolic link."""
    check_no_link(run.path)
    there, ours = list[dict[str, Any]](), spec.model_dump(mode="json")
    if (run.path / "spec.json").exists():
        there.append(run.spec.model_dump(mode="json"))
    if run.done:
        there.append(run.result["spec"])
    for theirs in there:  # a result of an earlier version may have fewer fields
        if other := [f"{k} = {theirs[k]} there, {ours[k]} now" for k in ours if theirs.get(k, ours[k]) != ours[k]]:
            raise RunError(
                found=f"{run.path} was written by another Spec ({'; '.join(other)})",
                expected="the same Spec, or another directory",
                do="choose another --name or --out, or delete that directory",
            )
    if not there and (foreign := [name for name in FILES if (run.path / name).exists()]):
        raise RunError(
            found=f"{run.path} contains {foreign[0]} but no spec.json",
            expected="a new or empty directory, or the directory of a run",
            do="choose another --name or --out",
        )
