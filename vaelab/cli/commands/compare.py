"""`vaelab compare`."""

from pathlib import Path
from typing import Annotated

import tyro


def compare(
    runs: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN [RUN ...]", help="run directories", help_behavior_hint="(required)"),
    ],
    metric: Annotated[str, tyro.conf.arg(metavar="NAME", help="the metric that ranks them")] = "nll",
) -> None:
    """Rank finished runs by a metric.

    Numbers that are not comparable, such as those of different data or protocols, are in separate rankings.
    """
    from vaelab.cli import terminal
    from vaelab.runs import compare as comparison

    found = comparison.compare(list(runs), metric)
    terminal.print_rankings(metric, found)
    if len(found) > 1:
        print(f"{len(found)} rankings: numbers in different rankings are not comparable.")
