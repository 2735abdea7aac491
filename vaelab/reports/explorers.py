"""The explorers of a report: pages in which the best two-dimensional run and the best run of all can be tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from vaelab.explorer.pack import deflated
from vaelab.explorer.page import page
from vaelab.figures.panels import manifold_panel, sample_panel
from vaelab.reports.context import ReportContext
from vaelab.reports.pictures import IMAGES, Picture, render
from vaelab.runs.compare import kind
from vaelab.studies.study import Member
from vaelab.system.errors import SpecError

MOST_PARAMETERS = 1_000_000  # of a model that is tried in a report: about 1.3 MB of its page


@dataclass(frozen=True)
class Explorer:
    """The page of one run, which a reader opens inside the report, and a picture in its place until then."""

    role: str  # why this run
    run: str  # its label in the comparison table
    name: str
    picture: Picture
    packed: Markup  # the page: UTF-8, compressed, in letters of seven bits; empty if the model cannot run in a page
    why: str  # why it cannot


def explorers(context: ReportContext, folder: Path) -> list[Explorer]:
    """The explorer of the best run with two latent dimensions, and that of the best run, if it is another one."""
    flat = [member for member in context.done if member.latent == 2]
    asked = [(flat, "The best model with two latent dimensions"), (context.done, "The best model of all")]
    chosen = dict[str, Explorer]()
    for members, role in asked:
        small = best_of([m for m in members if m.run.result["parameters"] <= MOST_PARAMETERS])
        member = small or best_of(members)
        if member is not None and member.label not in chosen:
            among = "" if member is best_of(members) else " of those that are small enough for this page"
            chosen[member.label] = _explorer(context, member, role + among, folder)
    return list(chosen.values())


def best_of(members: Sequence[Member]) -> Member | None:
    """The run with the lowest NLL among the largest set of runs with comparable numbers; None if there is no run."""
    alike = dict[str, list[Member]]()
    for member in members:
        alike.setdefault(str(kind(member.run, member.run.metric("nll"))), []).append(member)
    rivals = max(alike.values(), key=len, default=[])
    return min(rivals, key=lambda member: member.run.metric("nll").value, default=None)


def _explorer(context: ReportContext, member: Member, role: str, folder: Path) -> Explorer:
    model, name = context.model(member), f"{member.title}, {context.at(member)}"
    if member.latent == 2:
        drawing, seen = manifold_panel(model), "Learned manifold: images that the decoder draws at a grid of places z"
    else:
        drawing, seen = sample_panel(model, count=IMAGES, seed=member.seed), f"{IMAGES} samples from the prior"
    picture = render(drawing, folder, f"explorer-{member.latent}", f"{seen}. {name}.")
    parameters = member.run.result["parameters"]
    if parameters > MOST_PARAMETERS:
        why = f"it has {parameters:,} parameters; vaelab explore writes a page of its own for it"
        return Explorer(role, member.label, name, picture, Markup(), why)
    try:
        packed, why = Markup(deflated(page([(member.run, context.data(member).test)]).encode())), ""
    except SpecError as error:
        packed, why = Markup(), f"{error.found}; {error.do}"
    return Explorer(role, member.label, name, picture, packed, why)
