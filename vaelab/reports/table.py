"""The comparison table: one row for each run. Numbers are comparable within a block of the table."""

from collections import Counter
from dataclasses import dataclass, replace

from vaelab.evaluation.measure import FEW_MARK, Metric, draws_in_words, rests_on_few
from vaelab.reports.context import ReportContext
from vaelab.reports.text import DASH, MINUS, PLUS_MINUS, listed, number, plus_minus
from vaelab.runs.compare import kind
from vaelab.runs.result_file import Result
from vaelab.studies.study import Member

# key -> heading; in the order of the table
COLUMNS = {
    "group": "model",
    "data": "data",
    "protocol": "protocol",
    "likelihood": "likelihood",
    "network": "network",
    "latent": "z",
    "elbo": f"{MINUS}ELBO",
    "rate": "rate",
    "distortion": "distortion",
    "nll": "NLL",
    "samples": "K",
    "bits_per_dim": "bits/dim",
    "active_units": "active units",
    "reconstruction_mse": "reconstruction MSE",
    "parameters": "parameters",
    "best_epoch": "best epoch",
    "seconds": "time / s",
}
FIRST = (
    "group",
    "latent",
    "elbo",
    "nll",
    "reconstruction_mse",
    "seconds",
)  # shown from the start; the others on request
COMMON = ("likelihood", "network", "samples")  # named in the heading of a block if all of its runs agree
FILTERS = ("data", "likelihood", "network", "latent")
MEASURED = tuple(COLUMNS)[tuple(COLUMNS).index("elbo") :]  # the columns that a run has only when it is done
MEANS = ("elbo", "rate", "distortion", "nll", "bits_per_dim", "reconstruction_mse")  # means over images
OTHER, AMISS = "\N{DOUBLE DAGGER}", "\N{WARNING SIGN}"  # not comparable with most of its column; has a warning
NOTE = "\N{DAGGER}"  # not a likelihood
UNITS = f"Nats per image, mean {PLUS_MINUS} standard error over the test images."


@dataclass(frozen=True)
class Cell:
    """Text, and its value for sorting if it is a number."""

    text: str
    value: float | None = None
    detail: str = ""  # small text below
    mark: str = ""  # OTHER, AMISS or FEW_MARK

    @property
    def parts(self) -> tuple[str, str]:
        """The value and its error, such as ("23.93", "± 0.14"), for a narrow column."""
        value, sign, error = self.text.partition(PLUS_MINUS)
        return value.strip(), sign + error


@dataclass(frozen=True)
class TableRow:
    """One run."""

    label: str
    done: bool
    note: str  # "not a likelihood", or empty
    cells: dict[str, Cell]  # by key of COLUMNS; a run that is not done has only the cells of its Spec


@dataclass(frozen=True)
class ComparableRows:
    """Runs on the same data under the same protocol. Numbers of different blocks are not comparable."""

    data: str
    protocol: str
    rows: list[TableRow]
    common: list[tuple[str, str]]  # heading and text of what all of its runs have in common

    @property
    def title(self) -> str:
        return f"{self.data}, {self.protocol}"


def directions(context: ReportContext) -> str:
    """Say in which columns lower or higher values are better, as their metrics state it; "" if none is known."""
    means = {name: mean for m in context.done for name in MEANS if (mean := m.run.find(name)) is not None}
    return in_words({COLUMNS[name]: better_of(mean, -1 if name == "elbo" else 1) for name, mean in means.items()})


def better_of(metric: Metric, sign: int = 1) -> str:
    """Which values of sign * the metric are better."""
    turned = {"lower": "higher", "higher": "lower", "neither": "neither"}
    return metric.better if sign > 0 else turned[metric.better]


def in_words(better: dict[str, str]) -> str:
    """A sentence such as "Lower is better for NLL(K) and MSE.", from the direction of each column."""
    columns = {way: [name for name, of in better.items() if of == way] for way in ("lower", "higher")}
    return " ".join(f"{way.capitalize()} is better for {listed(names)}." for way, names in columns.items() if names)


def comparison(context: ReportContext) -> list[ComparableRows]:
    """Every run of the study, by (data, protocol), in the order of the study."""
    members = context.study.members
    pixels = dict.fromkeys((m.spec.data, str(m.spec.protocol)) for m in members)
    return [_block(*of, context, [m for m in members if (m.spec.data, m.spec.protocol) == of]) for of in pixels]


def _block(data: str, protocol: str, context: ReportContext, members: list[Member]) -> ComparableRows:
    rows = {member.label: _row(context, member) for member in members}
    for name in MEANS:
        kinds = {m.label: str(kind(m.run, mean)) for m in members if m.run.done and (mean := m.run.find(name))}
        usual = Counter(kinds.values()).most_common(1)
        for label, own in kinds.items():
            if own != usual[0][0]:
                cells = rows[label].cells
                cells[name] = replace(cells[name], mark=cells[name].mark + OTHER)
    return ComparableRows(data, protocol, list(rows.values()), _common(list(rows.values())))


def _common(rows: list[TableRow]) -> list[tuple[str, str]]:
    """What the heading of a block names: the columns of the Spec, and K, in which all rows agree."""
    said = list[tuple[str, str]]()
    for key in COMMON:
        found = {(row.cells[key].text, row.cells[key].detail) for row in rows if key in row.cells}
        if len(found) == 1:
            said.append((COLUMNS[key], ", ".join(filter(None, *found))))
    return said


def marks(blocks: list[ComparableRows]) -> str:
    """The marks that the tables have, which their legend explains."""
    rows = [row for block in blocks for row in block.rows]
    return (NOTE if any(row.note for row in rows) else "") + "".join(c.mark for r in rows for c in r.cells.values())


def filters(blocks: list[ComparableRows]) -> dict[str, list[str]]:
    """The columns by which rows can be chosen, each with its values; a column with a single value is left out."""
    rows = [row for block in blocks for row in block.rows]
    values = {key: list(dict.fromkeys(row.cells[key].text for row in rows)) for key in FILTERS}
    return {key: sorted(of, key=int) if key == "latent" else of for key, of in values.items() if len(of) > 1}


def best_epoch(result: Result) -> float:
    """The epoch of the weights that were kept."""
    images = result["data"]["train"]["images"]
    return result["best_step"] * min(result["spec"]["batch"], images) / images


def _row(context: ReportContext, member: Member) -> TableRow:
    spec, run = member.spec, member.run
    cells = {
        "group": Cell(member.title, detail=context.besides(member)),
        "data": Cell(spec.data),
        "protocol": Cell(str(spec.protocol)),
        "likelihood": _part(spec.likelihood),
        "network": _part(spec.network),
        "latent": Cell(str(spec.latent), spec.latent),
    }
    if not run.done:
        return TableRow(member.label, False, "", cells)
    result = run.result
    if result["findings"]:
        cells["group"] = replace(cells["group"], mark=AMISS)
    for name in MEANS:
        cells[name] = _metric(member.run.find(name), sign=-1 if name == "elbo" else 1)
    nll = run.metric("nll")
    cells["samples"] = Cell(draws_in_words(nll), nll.samples)
    units = member.run.find("active_units")
    cells["active_units"] = Cell(f"{units.value:.0f} / {spec.latent}", units.value) if units else Cell(DASH)
    cells["parameters"] = Cell(number(result["parameters"]), result["parameters"])
    cells["best_epoch"] = Cell(number(best_epoch(result), 1), best_epoch(result))
    seconds = result["seconds"]["training"]
    cells["seconds"] = Cell(number(seconds, 1 if seconds < 10 else 0), seconds)
    return TableRow(member.label, True, run.metric("elbo").note, cells)


def _metric(metric: Metric | None, sign: int) -> Cell:
    if metric is None:
        return Cell(DASH)
    value = sign * metric.value
    return Cell(plus_minus(value, metric.se), value, mark=FEW_MARK if rests_on_few(metric) else "")


def _part(written: str) -> Cell:
    """A part with its options as detail: "mlp", "hidden 500, activation tanh"."""
    name, _, options = written.partition(":")
    return Cell(name, detail=options.replace(":", ", ").replace("=", " "))
