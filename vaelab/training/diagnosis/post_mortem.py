"""The post-mortem of a non-finite step: it is found, taken again, and examined.

A step is a function of its number and of what a checkpoint holds. So the steps since the last good checkpoint can be
taken again, up to the one that failed.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vaelab.system.errors import Interrupted, NonFiniteError, RunError
from vaelab.system.files import as_argument, small
from vaelab.system.torch_internals import foreach
from vaelab.training.checkpoint import live_tensors
from vaelab.training.config import TrainingConfig
from vaelab.training.diagnosis.layers import all_finite
from vaelab.training.diagnosis.replay import StepReport
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.step import Step, TrainState

RECORD, STATE = (
    "post_mortem.json",
    "post_mortem.safetensors",
)  # the report, and the state before the failed step
SAY_STEPS = 1_000  # steps of a replay between two messages
NAMED_IMAGES = 5  # image numbers in a message


@dataclass(frozen=True)
class Failure:
    """The terms (or "weights", or "moments of Adam") that were not finite in training, and the step."""

    step: int
    terms: str


@dataclass(frozen=True)
class PostMortem:
    """The content of post_mortem.json. `report.stage` is "" if the step gave finite numbers when taken again."""

    failure: Failure
    replayed_from: int  # the step of the last good state
    device: str
    report: StepReport

    def as_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, allow_nan=False).encode()

    @classmethod
    def read(cls, folder: Path) -> "PostMortem":
        """Return the post-mortem of the run in `folder`; raise RunError if there is none, or if it is damaged."""
        path = folder / RECORD
        try:
            return TypeAdapter(cls).validate_json(small(path).read_bytes())
        except FileNotFoundError as missing:
            raise RunError(
                found=f"no {path}",
                expected="a run that was stopped by a number that is not finite",
                do="use the run as it is: there is nothing to replay",
            ) from missing
        except ValidationError as damaged:
            found = f"{path} is not a post-mortem ({damaged.errors()[0]['msg'].lower()})"
            raise RunError(found=found, expected="a file that training wrote", do="train the run again") from damaged


def failure(state: TrainState, taken: int) -> Failure | None:
    """Return the first step at which something was not finite, and what; None if all is finite.

    A gradient may be non-finite although every term is finite. Then the weights are not finite after the step, the last
    of the `taken` ones. If only the square of a gradient is not finite, its weight never changes again, because Adam
    divides by the root of the mean square.
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
    """Take the steps again from `first`, until something is not finite; return the number of that step.

    `state` and the model are then as they were before that step. It is `failed.step`, or an earlier step whose effect
    was not noticed at once. It is also `failed.step` if every number was finite this time.

    Arguments:
        step: the function that failed, compiled or not, so that it computes the same; it changes `state`.
        stopped: whether the user asked to stop.

    Raises:
        Interrupted: `stopped` returned True.
    """
    say(f"{failed.terms} not finite at step {failed.step:,}: taking the steps from {first:,} again to see where")
    live = list(live_tensors(setup.model, state, {}).values())
    before = [tensor.clone() for tensor in live]
    t = first
    for t in range(first, failed.step + 1):
        foreach("copy_", before, live)
        setup.take(step, t)
        if failure(state, t + 1) is not None:
            break
        if (t + 1 - first) % SAY_STEPS == 0:
            say(f"step {t + 1:,} of {failed.step:,} taken again")
        if stopped():
            raise Interrupted(
                found=f"stopped while the steps up to {failed.step:,}, where training failed, were taken again",
                expected="the replay to finish, in about a minute",
                do="rerun the command to resume from the last good state",
            )
    foreach("copy_", live, before)
    return t


def error(post_mortem: PostMortem, config: TrainingConfig, folder: Path, kept: Path | None) -> NonFiniteError:
    """Return the post-mortem as an error of one line.

    Arguments:
        folder: of the run.
        kept: the last good checkpoint, if there is one.
    """
    failed, seen = post_mortem.failure, post_mortem.report
    found = f"{failed.terms} not finite at step {failed.step:,}"
    if seen.stage:
        images = f" ({named_images(seen.images, len(seen.batch))})" if seen.images else ""
        found += f"{images}: first in {origin(seen, failed)}"
    else:
        found += "; every number is finite when that step is taken again eagerly, because rounding differs"
    cures = [f"`vaelab replay {as_argument(folder)}` shows it again"]
    cures += [f"the last good state is in {kept}"] if kept else []
    return NonFiniteError(found=found, expected="finite numbers", do="; ".join([*cures, _cure(seen, config)]))


def _cure(seen: StepReport, config: TrainingConfig) -> str:
    if seen.stage and seen.stage != "update" and seen.step == 0:
        return "correct that part: nothing was learned yet, so the learning rate is not the cause"
    precision = "set --precision float32, or " if config.precision != "float32" else ""
    clip = "lower --clip-norm" if config.clip_norm else "set --clip-norm 100"
    return f"{precision}lower --learning-rate, or {clip}"


def origin(seen: StepReport, failed: Failure) -> str:
    """Return where the first non-finite number was, and the step if it is not that of the failure."""
    how = {
        "weights": ", before the step",
        "forward": ", forward",
        "backward": ", backward",
        "update": ", in the update",
    }
    direction = "" if seen.where.startswith("the gradient") else how[seen.stage]
    return seen.where + direction + ("" if seen.step == failed.step else f" of step {seen.step:,}")


def named_images(images: tuple[int, ...], of: int) -> str:
    """Return in words which of the `of` images of a batch: the first few by number."""
    if len(images) == of:
        return f"all {of} images of the batch"
    named = ", ".join(str(i) for i in images[:NAMED_IMAGES])
    more = f" and {len(images) - NAMED_IMAGES} more" if len(images) > NAMED_IMAGES else ""
    return f"{'image' if len(images) == 1 else 'images'} {named}{more} of the batch"
