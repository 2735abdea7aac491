"""Which runs a claim compares: pairs of models whose Specs differ in one thing, seed by seed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vaelab.reports.context import ReportContext
from vaelab.reports.labels import points
from vaelab.studies.study import Member


@dataclass(frozen=True)
class Pair:
    """Two models that differ only in what is compared, and the runs of each, seed by seed."""

    first: list[Member]
    second: list[Member]

    @property
    def seeds(self) -> list[tuple[Member, Member]]:
        return list(zip(self.first, self.second, strict=True))

    @property
    def runs(self) -> list[Member]:
        return [*self.first, *self.second]


def pairs(
    context: ReportContext, first: Callable[[Member], bool], second: Callable[[Member], bool], apart: tuple[str, ...]
) -> list[Pair]:
    """Pairs of models of two kinds whose Specs differ only in the fields `apart`, with their common seeds."""
    found = [
        between(a, b)
        for a in points([member for member in context.done if first(member)])
        for b in points([member for member in context.done if second(member)])
        if _key(a[0], apart) == _key(b[0], apart)
    ]
    return [pair for pair in found if pair.first]


def ladders(members: Sequence[Member]) -> list[list[list[Member]]]:
    """Groups of models whose Specs differ only in the latent dimensions, sorted by their number; each as its runs."""
    found = dict[str, list[list[Member]]]()
    for point in points(members):
        found.setdefault(_key(point[0], ("latent",)), []).append(point)
    return [sorted(ladder, key=lambda point: point[0].latent) for ladder in found.values()]


def steps(members: Sequence[Member]) -> list[Pair]:
    """Pairs from each number of latent dimensions to the next larger one of the same Spec, with their common seeds."""
    found = [between(a, b) for ladder in ladders(members) for a, b in pairwise(ladder)]
    return [pair for pair in found if pair.first]


def between(a: list[Member], b: list[Member]) -> Pair:
    """Pair the runs of two models by their common seeds."""
    first, second = ({member.seed: member for member in point} for point in (a, b))
    common = [seed for seed in first if seed in second]
    return Pair([first[seed] for seed in common], [second[seed] for seed in common])


def _key(member: Member, apart: tuple[str, ...]) -> str:
    return json.dumps(member.spec.model_dump(exclude={"seed", *apart}), sort_keys=True)
