"""Going on with a finished training: whether its last state is also one of a longer training, and its log.

A step depends on its number and on what the checkpoint holds. So a longer training passes through the last state of a
shorter one, bit for bit, unless something before that state depends on the length of the training.
"""

import json
from collections.abc import Callable

from vaelab.training.callback import row_of
from vaelab.training.config import TrainingConfig
from vaelab.training.diagnosis.findings import as_row, timely
from vaelab.training.diagnosis.health import Finding
from vaelab.training.schedules import Constant
from vaelab.training.setup import steps_of, steps_per_epoch
from vaelab.training.trainer import crosses_multiple


def why_not(
    config: TrainingConfig, longer: TrainingConfig, schedule: Callable[[float], float], images: int, done: int
) -> str:
    """Why `longer` does not pass through the state of `config` after its `done` steps, in words; "" if it does.

    Arguments:
        config, longer: they differ only in `epochs`.
        schedule: of the learning rate, which both have.
        images: the number of training images.
        done: steps that were taken.
    """
    steps, more = steps_of(config, images), steps_of(longer, images)
    changes = not isinstance(schedule, Constant)
    if changes and any(schedule(t / steps) != schedule(t / more) for t in range(done)):
        return f"schedule {config.schedule}: the learning rate of its steps depends on the number of epochs"
    if not crosses_multiple(done, config.validate_every * steps_per_epoch(config, images)):
        return (
            f"epochs = {config.epochs:g} with validate_every = {config.validate_every:g}: its last validation is "
            "between two validations of a longer training"
        )
    return ""


def log_of_longer(log: bytes, longer: TrainingConfig, images: int) -> bytes:
    """The lines of a log as a longer training writes them: what is found early in it is not told yet (`timely`)."""
    lines = list[bytes]()
    for line in log.splitlines(keepends=True):
        row = row_of(line)
        assert row is not None  # `Run.log` has read it
        found = [Finding(each["kind"], each["says"], each["do"]) for each in row.pop("findings", [])]
        told = timely(found, row["step"], steps_of(longer, images), steps_per_epoch(longer, images))
        lines.append(json.dumps(row | as_row(told)).encode() + b"\n")
    return b"".join(lines)
