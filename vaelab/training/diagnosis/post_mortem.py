"""What is done when training leaves the real numbers: the step at which it did is found and taken apart.

A step is a pure function of its number and of what a checkpoint holds, so the steps since the last good checkpoint can
be taken again, up to the one that failed.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from vaelab.system.errors import Interrupted, NonFiniteError, RunError
from vaelab.system.files import small
from vaelab.training.checkpoint import live_tensors
from vaelab.training.config import TrainingConfig
from vaelab.training.diagnosis.layers import all_finite
from vaelab.training.diagnosis.replay import StepReport
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.step import Step, TrainState

RECORD, STATE = (
    "post_mortem.json",
    "post_mortem.safetensors",
)  # what is known, and the state before the step that failed
SAY_STEPS = 1_000  # from one word on a long replay to the next
NAMED_IMAGES = 5  # in a line


@dataclass(frozen=True)
class Failure:
    """What training saw: the terms (or "weights", or "moments of Adam") that were not finite, and at which step."""

    step: int
    terms: str


@dataclass(frozen=True)
class PostMortem:
    """What post_mortem.json holds. Where `report.stage` is "", the step taken again gave finite numbers."""

    failure: Failure
    replayed_from: int  # the step of the last good state
    device: str
    report: StepReport

    def as_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, allow_nan=False).encode()

    @classmethod
    def read(cls, folder: Path) -> "PostMortem":
        """the post-mortem of the run in `folder`; RunError where there is none, or none that can be read."""
        path = folder / RECORD
        try:
            return TypeAdapter(cls).validate_json(small(path).read_bytes())
        except FileNotFoundError as missing:
            raise RunError(
                found=f"no {path}",
                expected="a run that was stopped by a number that is not finite",
                do="there is nothing to replay; `vaelab train` trains",
            ) from missing
        except ValidationError as damaged:
            found = f"{path} is no post-mortem ({damaged.errors()[0]['msg'].lower()})"
            raise RunError(found=found, expected="what training wrote", do="train the run again") from damaged


def failure(state: TrainState, taken: int) -> Failure | None:
    """The first step at which something was not finite, and what; None while all is well.

    A gradient can be so where every term is finite; then the weights are, and the step is the last of the `taken` ones.
    A gradient whose square is not finite leaves the weights as they are, for good: Adam divides by its root.
    """
    if bad := state.meters.first_bad():
        return Failure(*bad)
    if not all_finite(state.parameters):
        return Failure(max(0, taken - 1), "weights")
    if not all_finite([*state.mean, *state.square]):
        return Failure(max(0, taken - 1), "moments of Adam")
    return None


def replay(
    setup: TrainingSetup,
    step: Step,
    state: TrainState,
    first: int,
    failed: Failure,
    say: Callable[[str], None],
    stopped: Callable[[], bool],
) -> int:
    """Take the steps from `first` on again, until something is not finite; the number of that step.

    `state` and the model are then as they were before it. It is `failed.step`, or an earlier one whose harm was not
    seen at once; and `failed.step` too where every number was finite this time.

    Arguments:
        step: the function that failed, compiled or not, so that it goes the same way; it changes `state`.
        stopped: whether a person wants an end to it.

    Raises:
        Interrupted: `stopped`.
    """
    say(f"{failed.terms} not finite at step {failed.step:,}: taking the steps from {first:,} again to see where")
    live = list(live_tensors(setup.model, state, {}).values())
    before = [tensor.clone() for tensor in live]
    t = first
    for t in range(first, failed.step + 1):
        torch._foreach_copy_(before, live)
        setup.take(step, t)
        if failure(state, t + 1) is not None:
            break
        if (t + 1 - first) % SAY_STEPS == 0:
            say(f"step {t + 1:,} of {failed.step:,} taken again")
        if stopped():
            raise Interrupted(
                found=f"stopped while the steps up to {failed.step:,}, at which training failed, were repeated",
                expected="the post-mortem to finish",
                do="rerun the command to resume from the last good checkpoint",
            )
    torch._foreach_copy_(live, before)
    return t


def error(post_mortem: PostMortem, config: TrainingConfig, folder: Path, kept: Path | None) -> NonFiniteError:
    """the post-mortem in a line.

    Arguments:
        folder: of the run.
        kept: the last good checkpoint, if one was written.
    """
    failed, seen = post_mortem.failure, post_mortem.report
    found = f"{failed.terms} not finite at step {failed.step:,}"
    if seen.stage:
        images = f" ({named_images(seen.images, len(seen.batch))})" if seen.images else ""
        found += f"{images}: first in {origin(seen, failed)}"
    else:
        found += "; every number is finite when that step is taken again eagerly: its rounding is another one"
    cures = [f"`vaelab replay {folder}` shows it again"]
    cures += [f"the last good state is kept in {kept}"] if kept else []
    return NonFiniteError(found=found, expected="finite numbers", do="; ".join([*cures, _cure(seen, config)]))


def _cure(seen: StepReport, config: TrainingConfig) -> str:
    if seen.stage and seen.stage != "update" and seen.step == 0:
        return "mend that part: nothing was learned yet, so no learning rate is to blame"
    precision = "set --precision float32, or " if config.precision != "float32" else ""
    clip = "lower --clip-norm" if config.clip_norm else "set --clip-norm 100"
    return f"{precision}lower --learning-rate, or {clip}"


def origin(seen: StepReport, failed: Failure) -> str:
    """Where a number first was not finite, in a few words, with the step if it is not that of the failure."""
    how = {
        "weights": ", before the step",
        "forward": ", forward",
        "backward": ", backward",
        "update": ", in the update",
    }
    direction = "" if seen.where.startswith("the gradient") else how[seen.stage]
    return seen.where + direction + ("" if seen.step == failed.step else f" of step {seen.step:,}")


def named_images(images: tuple[int, ...], of: int) -> str:
    """Some of the `of` images of a batch: the first few by number."""
    if len(images) == of:
        return f"all {of} images of the batch"
    named = ", ".join(str(i) for i in images[:NAMED_IMAGES])
    more = f" and {len(images) - NAMED_IMAGES} more" if len(images) > NAMED_IMAGES else ""
    return f"{'image' if len(images) == 1 else 'images'} {named}{more} of the batch"
