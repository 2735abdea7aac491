"""The metrics of a run while measures add to them."""

import json
import math
from dataclasses import dataclass, replace

from torch import Tensor

from vaelab.evaluation.measure import Metric
from vaelab.runs.directory import PER_IMAGE, Run, key_of
from vaelab.runs.examples import OWNER
from vaelab.system.errors import NonFiniteError
from vaelab.system.tensor_file import write_tensors


@dataclass(frozen=True)
class MetricStore:
    """The metrics of a run; their values for each image are in per_image.safetensors, not in memory.

    Arguments:
        run: the run that was measured.
        seed: seed of the draws for metrics that are added.
        metrics: the metrics so far; `add` changes this list.
    """

    run: Run
    seed: int
    metrics: list[Metric]

    def of(self, measure: str, split: str) -> list[Metric]:
        """The metrics of this measure on this split with this seed."""
        asked = (measure, split, self.seed)
        return [metric for metric in self.metrics if (metric.measure, metric.split, metric.seed) == asked]

    def tensors(self) -> dict[str, Tensor]:
        """The values for each image that are kept so far; RunError if their file is damaged."""
        path = self.run.path / PER_IMAGE
        return self.run.per_image_tensors() if path.exists() else {}

    def add(self, measure: str, metrics: list[Metric]) -> None:
        """Add the metrics of a measure, replace its earlier ones, and write the values for each image.

        Raises:
            NonFiniteError: a number is NaN or infinite.
        """
        for metric in metrics:
            numbers = (metric.value, metric.se, metric.monte_carlo_se, *(metric.interval or ()), *metric.parts)
            if not all(math.isfinite(number) for number in numbers if number is not None):
                found = f"{metric.name} is {metric.value}, +- {metric.se}, for {self.run.path}"
                raise NonFiniteError(
                    found=found, expected="a finite number", do=f"leave {measure} out, and find the cause"
                )
        old = self.of(measure, metrics[0].split)
        rows = [replace(metric, measure=measure, seed=self.seed).as_row() for metric in metrics]
        new = [Metric.from_row(row) for row in json.loads(json.dumps(rows))]  # as they will be read from the file
        place = self.metrics.index(old[0]) if old else len(self.metrics)  # the first metric of a name is the run's own
        self.metrics[:] = [
            *self.metrics[:place],
            *new,
            *(metric for metric in self.metrics[place:] if metric not in old),
        ]
        tensors = self.tensors()
        for metric, kept in zip(metrics, new, strict=True):
            if metric.per_image is not None:
                tensors[key_of(kept)] = metric.per_image.contiguous()
        write_tensors(self.run.path / PER_IMAGE, tensors, {OWNER: self.run.spec.hash})
