"""Write a study's report: report.html, which is complete in itself, and report.md with its pictures next to it."""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from vaelab.evaluation.measure import FEW_EFFECTIVE
from vaelab.explorer.page import in_script
from vaelab.figures.style import one_look
from vaelab.reports import charts, measured, pictures, seeds, words
from vaelab.reports.cards import cards
from vaelab.reports.claims import NOT_RUN, Claim, check_claims
from vaelab.reports.claims.claim import QUICK, RULES, UNJUDGED, UNTESTED
from vaelab.reports.claims.sizes import SIZES, SIZES_NOTE
from vaelab.reports.context import ReportContext
from vaelab.reports.differences import as_json, blocks
from vaelab.reports.explorers import explorers
from vaelab.reports.records import records
from vaelab.reports.table import COLUMNS, FIRST, MEASURED, UNITS, comparison, directions, filters, marks
from vaelab.reports.text import number
from vaelab.runs.claim import check_claim
from vaelab.studies.study import Study
from vaelab.system.errors import RunError, SpecError
from vaelab.system.files import make_folder, small, write_atomically
from vaelab.system.markdown import as_markdown

VERDICT_CLASSES = {
    "supported": "supported",
    "contradicted": "contradicted",
    "mixed": "mixed",
    UNJUDGED: "unjudged",
    QUICK: "unjudged",
    UNTESTED: "unjudged",
}
TEXT_COLUMNS = ("group", "data", "protocol", "likelihood", "network")  # aligned left; numbers are aligned right


@dataclass(frozen=True)
class ShownClaim:
    """A claim as the report shows it."""

    key: str  # "digits-1"
    claim: Claim
    picture: pictures.Picture | None


@dataclass(frozen=True)
class Report:
    """A report that is written."""

    page: Path  # report.html
    text: Path  # report.md
    claims: dict[str, list[Claim]]  # as `check_claims` returns them


def write_report(study: Study, folder: Path, root: str | None = None) -> Report:
    """Write report.html, report.md and report/*.png to `folder`.

    Runs that are not done are marked. The report is a function of the runs: the same runs give the same bytes.

    Arguments:
        root: the data directory, as in `vaelab.data.load_data`.

    Raises:
        DataError: the data are missing.
        RunError: a run's data have changed, or the disk is full.
        SpecError: the study names a claim that does not exist.
    """
    images, page, text = folder / "report", folder / "report.html", folder / "report.md"
    _check_ours(page, text)
    make_folder(folder)
    make_folder(images)
    context = ReportContext(study, root)
    with one_look():
        claims = check_claims(context)
        found = _found(context, claims, folder, images)
    for path in (page, text):
        write_atomically(path, _template(path.name).render(found).encode())
    return Report(page, text, claims)


def report(study: Study, root: str | None = None) -> tuple[Path, Path]:
    """Write the report of `study` into its folder, from the runs that are done: `vaelab report` in Python.

    Arguments:
        study: as `vaelab.study` returns it, or `vaelab.studies.study.open_study`.
        root: the data directory; see `vaelab.load`.

    Returns:
        The paths of report.html and report.md.

    Raises:
        SpecError: `study` is no study; RunError: no run is done, a run is not the study's own, or the disk is full;
            VaelabError: as `write_report`.
    """
    done = report_of(study, root)
    return done.page, done.text


def report_of(study: Study, root: str | None = None) -> Report:
    """The same, with the claims that were checked."""
    if not isinstance(study, Study):
        found = f"a {type(study).__name__} in the place of a study"
        raise SpecError(found=found, expected="what vl.study returns", do="use vl.figure for the figures of one run")
    if not any(member.run.done for member in study.members):
        found = f"no finished run in {study.folder}"
        raise RunError(found=found, expected="one or more to report", do=f"train them with `{study.command}`")
    for member in study.members:
        if member.run.done:
            check_claim(member.run, member.spec)
    return write_report(study, study.folder, root)


def _check_ours(page: Path, text: Path) -> None:
    """Raise a RunError if there are files of the user instead of a report; every page by vaelab names vaelab."""
    if page.is_file() and b"vaelab" in small(page).read_bytes():
        return
    for path in (page, text):
        if path.exists():
            raise RunError(
                found=f"{path}, which vaelab did not write",
                expected="a report by vaelab, or no file",
                do="move it elsewhere, or choose another --out",
            )


def _template(name: str) -> Template:
    loader, of_markdown = PackageLoader("vaelab", "reports"), name.endswith(".md")
    environment = Environment(
        loader=loader,
        autoescape=not of_markdown,
        finalize=_in_markdown if of_markdown else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = number
    environment.filters["cells"] = lambda row: Markup(" | ".join(map(_in_markdown, row)))
    return environment.get_template(f"{name}.j2")


def _in_markdown(value: object) -> str:
    return value if isinstance(value, Markup) else as_markdown(str(value))  # a table is Markdown already


def _found(context: ReportContext, claims: dict[str, list[Claim]], folder: Path, images: Path) -> dict[str, object]:
    """Everything that the two templates name."""
    study, compared = context.study, blocks(context)
    rows = comparison(context)
    checked = [_checked(f"{name}-{i}", claim, images) for name in claims for i, claim in enumerate(claims[name], 1)]
    return {
        "study": study,
        "not_run": NOT_RUN,
        "missing": [member.label for member in study.members if not member.run.done],
        "made_with": words.made_with(context),
        "data_notes": words.data_notes(context),
        "result": words.result(context),
        "explorers": explorers(context, images),
        "findings": words.findings(context, claims),
        "figures": pictures.figures(context, images),
        "columns": COLUMNS,
        "of_done_runs": MEASURED,
        "text_columns": TEXT_COLUMNS,
        "units": UNITS,
        "few_effective": FEW_EFFECTIVE,
        "better": directions(context),
        "better_over_seeds": seeds.directions(context),
        "seeds": seeds.over_seeds(context),
        "blocks": rows,
        "first": FIRST,
        "filters": filters(rows),
        "marks": marks(rows),
        "records": in_script(records(context)),
        "differences": in_script(as_json(compared)),
        "gaps": charts.gap_charts(context, compared),
        "planes": charts.rate_against_distortion(context),
        "errors": charts.error_against_latent(context),
        "learning": charts.learning_curves(context),
        "published": measured.published(context),
        "measured": measured.measured(context),
        "provenance": measured.provenance(context),
        "rate_distortion": pictures.rate_distortion_plot(context, images),
        "learning_pictures": pictures.learning_curves(context, images),
        "claims": checked,
        "judged": [one for one in checked if one.claim.was_judged],
        "sources": list(dict.fromkeys(str(claim.statement.source) for name in claims for claim in claims[name])),
        "sizes": SIZES,
        "sizes_note": SIZES_NOTE,
        "rules": RULES,
        "verdict_classes": VERDICT_CLASSES,
        "limits": words.limits(context),
        "cards": cards(context, folder),
    }


def _checked(key: str, claim: Claim, images: Path) -> ShownClaim:
    picture = pictures.render(claim.figure, images, f"claim-{key}", claim.caption) if claim.figure else None
    return ShownClaim(key, claim, picture)
