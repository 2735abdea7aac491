"""Compare runs by a metric: only runs with comparable numbers are in one ranking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from vaelab.evaluation.in_words import ERROR, aligned, decimals_of, error_of
from vaelab.evaluation.measure import GIVEN_LABELS, Better, Metric, draws_in_words
from vaelab.runs.directory import Run
from vaelab.system.errors import RunError

UNBIASED = ("elbo", "rate", "distortion")  # their expectations do not depend on K
ORDER: dict[Better, str] = {
    "higher": "the highest value is best",
    "lower": "the lowest value is best",
    "neither": "by value, neither direction is better",
}
SHORT = {  # the same in a title
    ORDER["higher"]: "highest is best",
    ORDER["lower"]: "lowest is best",
    ORDER["neither"]: "no direction is better",
}
LONG = {"sha256": "images", "seed": "seed", "measure": "measured by"}  # in a title only if rankings differ in them


@dataclass(frozen=True)
class Ranked:
    """A run with its metric, and its difference from the first run of its ranking, on the same images."""

    run: Run
    metric: Metric
    behind: float
    # Standard error of the paired difference; None for the first run, and if there are no pairs
    behind_se: float | None


@dataclass(frozen=True, repr=False)
class Ranking:
    """Runs with comparable numbers, the best first; if neither direction is better, the lowest value first."""

    of: str  # what the numbers have in common
    better: Better
    runs: list[Ranked]
    title: str = ""  # the same in short; "" for none

    def __repr__(self) -> str:
        """Its title, and a table of the runs."""
        away = "above" if self.better == "neither" else "behind"
        rows = [("run", self.runs[0].metric.name if self.runs else "value", ERROR, away, "+- SE")]
        for ranked in self.runs:
            own, decimals = ranked.metric, decimals_of(ranked.metric)
            se = "" if ranked.behind_se is None else f"{ranked.behind_se:.2g}"
            behind = f"{ranked.behind:.{decimals}f}" if se or ranked.behind else ""
            rows.append((ranked.run.path.name, f"{own.value:.{decimals}f}", error_of(own, decimals), behind, se))
        return f"{self.title or self.of}\n{aligned(rows, right=(1, 2, 3, 4))}"


class Rankings(list[Ranking]):
    """A list of rankings that prints as tables; numbers of different rankings are not comparable."""

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self))


def kind(run: Run, metric: Metric) -> dict[str, Any]:
    """Describe in words what must agree for two metrics to be comparable.

    The images are identified by their digest, because one set of images may have several names.
    """
    result = run.result
    same = {
        "pixels": metric.protocol,
        "split": metric.split,
        "images": metric.images,
        "sha256": result["data"][metric.split]["sha256"][:10],
        "seed": metric.seed,
        "unit": metric.unit,
        "order": ORDER[metric.better],
    }
    if metric.name not in UNBIASED and metric.samples is not None:
        same["K"] = draws_in_words(metric)
    if not metric.measure.startswith("likelihood:"):  # of its options, only the precision changes the numbers
        same["measure"] = metric.measure
    elif metric.measure.endswith(":precision=bfloat16"):
        same["precision"] = "bfloat16"
    if result["provenance"]["note"] and metric.unit.startswith(("nats", "bits")):
        same["note"] = result["provenance"]["note"]
    if GIVEN_LABELS in metric.note.split("; "):
        same["given"] = "the labels"
    return same


def compare(runs: Sequence[Run | Path | str], metric: str = "nll") -> list[Ranking]:
    """Rank the runs by `metric`, in one ranking for each kind of number; a run may be in several rankings.

    Arguments:
        runs: runs, or their directories.

    Raises:
        RunError: a run is not done, or it does not have this metric. No run is left out silently.
    """
    if isinstance(runs, Run | Path | str):
        one = runs.path if isinstance(runs, Run) else runs
        raise RunError(found=f"one run, {one}", expected="a list of runs", do="give a list, as in [run, other]")
    if not runs:
        raise RunError(found="no run to rank", expected="directories of runs", do="name them, as in runs/*")
    alike: dict[str, list[tuple[Run, Metric]]] = {}
    same: dict[str, dict[str, Any]] = {}
    opened = [run if isinstance(run, Run) else Run(run) for run in runs]
    without = [run for run in opened if all(found.name != metric for found in run.metrics)]
    if without:
        raise _without(without, opened, metric)
    for run in opened:
        for found in run.metrics:
            if found.name == metric:
                common = kind(run, found)
                of = "  ".join(f"{what} {value}" for what, value in common.items())
                same[of] = common
                alike.setdefault(of, []).append((run, found))
    short = {of: _title(_names(alike[of]), common) for of, common in same.items()}
    titles = dict(short)
    for of, common in same.items():
        twins = [other for one, other in same.items() if short[one] == short[of]]
        titles[of] += "".join(f", {words} {common[key]}" for key, words in LONG.items() if _differ(twins, key))
    return Rankings(
        Ranking(f"data {_names(pairs)}  {of}", pairs[0][1].better, _ranked(pairs), titles[of])
        for of, pairs in alike.items()
    )


def _title(names: str, common: Mapping[str, Any]) -> str:
    """What numbers have in common, in short: without what is in `LONG`."""
    words = [names, common["pixels"], f"{common['images']:,} {common['split']} images", common["unit"]]
    words += [f"K = {common['K']}"] if "K" in common else []
    words += ["given labels"] if "given" in common else []
    words += [common["note"]] if "note" in common else []
    words += [f"precision {common['precision']}"] if "precision" in common else []
    return ", ".join([*words, SHORT[common["order"]]])


def _differ(kinds: Sequence[Mapping[str, Any]], key: str) -> bool:
    return len({kind.get(key) for kind in kinds}) > 1


def _names(pairs: list[tuple[Run, Metric]]) -> str:
    """The names of the data of these runs, each name once."""
    return ", ".join(dict.fromkeys(run.result["spec"]["data"] for run, _ in pairs))


def _without(without: list[Run], runs: list[Run], metric: str) -> RunError:
    """Return the error for `runs` of which some, `without`, do not have this metric."""
    who = "no run has" if len(without) == len(runs) else f"{', '.join(str(run.path) for run in without)} without"
    if metric == "bits_per_dim":
        readings = ", ".join(sorted({str(run.result["spec"]["protocol"]) for run in without}))
        found, expected = f"{who} 'bits_per_dim', read by {readings}", "pixels as 8-bit levels, protocol levels or 8bit"
        return RunError(found=found, expected=expected, do="rank them by another metric, or leave them out")
    names = sorted({found.name for run in runs for found in run.metrics})
    return RunError(
        found=f"{who} '{metric}'",
        expected=f"one of {', '.join(names)}",
        do="measure it first, with `vaelab evaluate RUN --metrics`",
    )


def _ranked(pairs: list[tuple[Run, Metric]]) -> list[Ranked]:
    sign = -1 if pairs[0][1].better == "higher" else 1
    pairs = sorted(pairs, key=lambda pair: sign * pair[1].value)
    best = pairs[0]
    return [Ranked(*pair, abs(pair[1].value - best[1].value), difference_se(pair, best)) for pair in pairs]


def difference_se(one: tuple[Run, Metric], other: tuple[Run, Metric]) -> float | None:
    """Standard error of the difference of two means over the same images, from the differences of each image.

    None if both are the same number, if there is a single image, or if the numbers of each image were not kept.
    """
    if one is other or any(metric.se is None or not run.keeps(metric) for run, metric in (one, other)):
        return None
    differences = one[0].per_image(one[1]) - other[0].per_image(other[1])
    return (differences.std() / sqrt(len(differences))).item()
