"""The contents of `vaelab data check` and `vaelab data list`, as data."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaelab.data.dataset import seen
from vaelab.data.fetch import PUBLISHED, official
from vaelab.data.formats import idx
from vaelab.data.reading import AS_FOUND, Reading
from vaelab.data.sources import SOURCES, locate, missing, parse, read, roots


@dataclass(frozen=True)
class SplitSummary:
    """One split of a source, read completely.

    Arguments:
        shape: (C, H, W) of each image.
        sha256: digest of images and labels, see `Dataset.sha256`.
        protocol: the default protocol of the source.
        labels: the number of images of each class, by class name, or by label if a class has no name; None if the
            split has no labels.
        factors: the number of different values of each factor, by its name; empty if the factors are unknown.
        official: whether the files have the published content; None if no checksums are published.
        seen: the number of images that are also training images (their pixels are equal); None for the training split.
    """

    source: str
    split: str
    count: int
    shape: tuple[int, int, int]
    sha256: str
    protocol: str
    note: str
    labels: dict[str, int] | None
    factors: dict[str, int]
    official: bool | None
    seen: int | None


@dataclass(frozen=True)
class SourceSummary:
    """One row of the list of sources.

    Arguments:
        usage: how the user writes the source.
        protocol: the default protocol of the source.
        present: whether the source can be read now; None if the user names the files.
        where: the folder of the files, or the folder in which they belong; None if the source has no folder.
    """

    usage: str
    summary: str
    protocol: str
    present: bool | None
    where: Path | None


def check(
    source: str, root: Path | str | None = None, reading: Reading = AS_FOUND
) -> tuple[list[SplitSummary], tuple[str, ...]]:
    """Read a source completely: a summary of each split, and what the user should know about how it was read.

    The training split has all training images: none are held out for validation.

    Raises:
        SpecError, DataError: as `load_data`.
    """
    parsed = parse(source)
    splits = read(parsed, root, reading)
    rows = []
    for data in (splits.train, splits.validation, splits.test):
        if data is None:
            continue
        labels = None
        if data.labels is not None:
            values, counts = np.unique(data.labels, return_counts=True)
            labels = {data.class_name(label): count for label, count in zip(values, counts.tolist(), strict=True)}
        rows.append(
            SplitSummary(
                source=parsed.text,
                split=data.split,
                count=len(data),
                shape=data.shape,
                sha256=data.sha256,
                protocol=data.protocol,
                note=data.note,
                labels=labels,
                factors={
                    name: len(np.unique(column))
                    for name, column in zip(
                        data.factor_names, () if data.factors is None else data.factors.T, strict=True
                    )
                },
                official=_official(parsed.name, data.split, root),
                seen=None if data is splits.train else seen(splits.train, data),
            )
        )
    return rows, splits.said


def listing(root: Path | str | None = None) -> list[SourceSummary]:
    """Every source, and whether its files can be read now."""
    rows = []
    for name, entry in SOURCES.items():
        places = [at / name for at in roots(root)]
        where = next((place for place in places if not missing(entry, place)), None)
        rows.append(
            SourceSummary(
                usage=f"{name}:{entry.argument}" if entry.argument else name,
                summary=entry.summary,
                protocol=entry.protocol,
                present=None if entry.argument else where is not None,
                where=(where or places[0]) if entry.files else None,
            )
        )
    return rows


def _official(name: str, split: str, root: Path | str | None) -> bool | None:
    if name not in PUBLISHED:
        return None
    folder = locate(name, root)
    paths = [idx.find(folder, file) for file in SOURCES[name].files if file.startswith("train") == (split == "train")]
    return all(path is not None and official(path) for path in paths)
