"""The metrics outside the comparison table, the provenance of the runs, and the comparison with published numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from vaelab.evaluation.measure import FEW_MARK, Metric, draws_in_words, rests_on_few
from vaelab.reports.context import ReportContext
from vaelab.reports.table import COLUMNS
from vaelab.reports.text import DASH, KEEP, Table, number, percent, plus_minus, with_errors
from vaelab.runs.provenance import beta_in_words, bound_in_words
from vaelab.studies.study import Member, PublishedNumbers, Study

ARROWS = {"lower": f"{KEEP}\N{DOWNWARDS ARROW}", "higher": f"{KEEP}\N{UPWARDS ARROW}", "neither": ""}  # which is better


MEASURES = {  # measure -> what it asks
    "likelihood": "How tight the bounds of log p(x) are",
    "latents": "What the latent codes hold",
    "reconstruction": "How close reconstructions are to their images",
    "representation": "What the codes tell about the labels",
    "fidelity": "Samples beside real images",
    "disentanglement": "Whether dimensions stand for single factors",
    "ais": "The likelihood by annealed importance sampling",
}
NAMES = {  # metric -> its name in words
    "iwae_bound (1)": "bound of log p(x) from 1 draw",
    "iwae_bound (10)": "bound of log p(x) from 10 draws",
    "nll_excess": "how much too high the NLL is",
    "effective_samples": "effective draws of each image",
    "effective_below_2": "images with fewer than 2 effective draws",
    "aggregate_correlation": "largest correlation of two dimensions",
    "aggregate_correlation_mean": "mean correlation of two dimensions",
    "mutual_information": "mutual information of image and code",
    "marginal_kl": "KL of all codes together to the prior",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "probe_accuracy": "labels right by a linear probe",
    "probe_accuracy_pixels": "labels right by a probe on pixels",
    "knn_accuracy": "labels right by nearest neighbours",
    "kmeans_nmi": "k-means: mutual information",
    "kmeans_ari": "k-means: Rand index",
    "frechet": "Fréchet distance",
    "frechet_train": "Fréchet distance of training images",
    "kernel_distance": "kernel distance",
    "precision": "precision",
}


@dataclass(frozen=True)
class Measured:
    """Further metrics of the runs on one data set under one protocol."""

    title: str
    table: Table
    common: str  # a note for all of its numbers
    notes: list[str]  # the texts of the marks [1], [2], ...
    options: str  # the measure with all of its options, as `vaelab evaluate --metrics` takes it, and its exact names


def measured(context: ReportContext) -> list[Measured]:
    """All metrics that the comparison table does not show, in a table for each data set, protocol and measure."""
    tables = list[Measured]()
    for kind in dict.fromkeys((m.spec.data, str(m.spec.protocol)) for m in context.done):
        members = [m for m in context.done if (m.spec.data, m.spec.protocol) == kind]
        for measure in dict.fromkeys(metric.measure for m in members for metric in _further(m)):
            tables.append(_measured(kind, measure, members))
    return tables


def provenance(context: ReportContext) -> Table | None:
    """What each run optimised, with its protocol, K, seeds and warnings; None if no run is done."""
    columns = ["run", "objective", "optimised", "effective beta", "protocol", "K", "seeds", "warnings"]
    rows = [list(_ledger(member)) for member in context.done]
    return Table(columns, rows) if rows else None


def published(context: ReportContext) -> dict[str, Table]:
    """Compare numbers of papers with those of the runs: source -> table."""
    return {source.source: _published(context, source) for source in context.study.published}


def published_numbers(study: Study) -> list[tuple[str, list[dict[str, str]]]]:
    """The same for a terminal: a title and records for each source."""
    return [
        (f"Published: {source}", [dict(zip(table.columns, row, strict=True)) for row in table.rows])
        for source, table in published(ReportContext(study)).items()
    ]


def _further(member: Member) -> list[Metric]:
    return [metric for metric in member.run.metrics if _column(metric) not in COLUMNS]


def _column(metric: Metric) -> str:
    """The column of a metric: its name, with K if one measure gives it for several K."""
    return f"{metric.name} ({metric.samples:,})" if metric.name == "iwae_bound" else metric.name


def _measured(kind: tuple[str, str], measure: str, members: list[Member]) -> Measured:
    of_runs = {member.label: [m for m in _further(member) if m.measure == measure] for member in members}
    clauses = [metric.note.split("; ") for metric in chain(*of_runs.values())]
    common = [clause for clause in clauses[0] if clause and all(clause in those for those in clauses)]
    of_runs = {label: [_without(metric, common) for metric in of_run] for label, of_run in of_runs.items()}
    every = list(chain(*of_runs.values()))
    heads = {_column(metric): f"{metric.unit}{ARROWS[metric.better]}" for metric in every}
    notes = list(dict.fromkeys(metric.note for metric in every if metric.note))
    text = list[list[str]]()
    for label, of_run in of_runs.items():
        cells = {_column(metric): _cell(metric, notes) for metric in of_run}
        if cells:
            text.append([label, *(cells.get(column, DASH) for column in heads)])
    where = f"{number(every[0].images)} {every[0].split} images"
    columns = ["run", *(f"{in_words(column)}, {head}" for column, head in heads.items())]
    title = f"{MEASURES.get(measure.partition(':')[0], measure.partition(':')[0])}: {where} of {kind[0]}, {kind[1]}"
    options = f"{measure}: {', '.join(heads)}"
    return Measured(title, Table(columns, text), "; ".join(common), notes, options)


def in_words(column: str) -> str:
    """The name of a metric for a reader, such as "Fréchet distance"; the features of an image metric are left out."""
    name = re.sub(r"\[.*?\]", "", column)
    return NAMES.get(name, name.replace("_", " "))


def _without(metric: Metric, common: list[str]) -> Metric:
    """The metric, its note without the clauses in `common`."""
    return replace(metric, note="; ".join(clause for clause in metric.note.split("; ") if clause not in common))


def _cell(metric: Metric, notes: list[str]) -> str:
    return with_errors(metric) + (f"{KEEP}[{notes.index(metric.note) + 1}]" if metric.note else "")


def _ledger(member: Member) -> Iterator[str]:
    result = member.run.result
    told = result["provenance"]
    yield member.label
    yield told["objective"]
    yield bound_in_words(told)
    yield beta_in_words(told)
    yield told["protocol"]
    yield draws_in_words(member.run.metric("nll"))
    yield ", ".join(f"{use} {seed}" for use, seed in told["seeds"].items())
    yield "; ".join(f"{finding['says']}: {finding['do']}" for finding in result["findings"]) or DASH


def _published(context: ReportContext, source: PublishedNumbers) -> Table:
    rows = list[list[str]]()
    for member in context.study.members:
        if member.group not in source.values:
            continue
        theirs = source.values[member.group]
        if not member.run.done:
            rows.append([context.named(member), f"{theirs:g}", *4 * [DASH]])
            continue
        ours = member.run.metric(source.metric, source.samples)
        result = member.run.result
        seen = result["steps"] * min(member.spec.batch, result["data"]["train"]["images"])
        rows.append(
            [
                context.named(member),
                f"{theirs:g}",
                with_errors(ours) + (f"{KEEP}{FEW_MARK}" if rests_on_few(ours) else ""),
                plus_minus(ours.value - theirs, ours.se),
                percent(seen / source.images_seen, 2),
                f"{number(ours.images)} {ours.split}",
            ]
        )
    name = f"{source.metric.upper()}, K{KEEP}={KEEP}{number(source.samples)}"
    return Table(["model", "published", f"ours: {name}", "difference", "of their training", "images"], rows)
