"""What a finished run keeps in addition to its results: its last state, and some of its images.

No number depends on it, so it is no part of a Spec.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vaelab.runs.directory import CHECKPOINT, Run
from vaelab.system.memory import in_words

KeepCheckpoint = Literal["auto", "yes", "no"]
CHECKPOINT_BYTES = 100_000_000  # the largest checkpoint that `auto` keeps


@dataclass(frozen=True)
class Keep:
    """What a finished run keeps.

    Arguments:
        checkpoint: whether it keeps its last state, from which `vaelab.runs.resume.resume` goes on; `auto`: if it
            takes at most `CHECKPOINT_BYTES`.
        examples: whether it keeps some of its images; see `vaelab.runs.directory.Run.examples`.
    """

    checkpoint: KeepCheckpoint = "auto"
    examples: bool = True


STUDY = Keep(checkpoint="no")  # for the runs of a study: they are many, and a finished study is not trained longer


def settle_checkpoint(run: Run, keep: KeepCheckpoint, say: Callable[[str], None]) -> None:
    """Remove the checkpoint of a finished run, unless it is kept."""
    path = run.path / CHECKPOINT
    if not path.exists():
        return
    large = path.stat().st_size > CHECKPOINT_BYTES
    if keep == "auto" and large:
        size = in_words(path.stat().st_size)
        say(f"the last state, {size}, is not kept; --keep-checkpoint yes keeps it for `vaelab resume`")
    if keep == "no" or (keep == "auto" and large):
        path.unlink()
