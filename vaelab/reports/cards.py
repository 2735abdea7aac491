"""The card of each run: its Spec, the KL of its latent dimensions, and what its model draws."""

import os
from dataclasses import dataclass
from pathlib import Path

from vaelab.reports.card_pictures import CardPicture, card_pictures
from vaelab.reports.context import ReportContext
from vaelab.studies.study import Member


@dataclass(frozen=True)
class Card:
    """The details of one run."""

    label: str
    name: str
    folder: str  # relative to the folder of the report
    parts: list[tuple[str, str]]
    kl: list[float]  # KL of each latent dimension, largest first; empty if it is not known
    pictures: list[CardPicture]


def cards(context: ReportContext, folder: Path) -> list[Card]:
    """The card of each run that is done, in the order of the study."""
    return [_card(context, member, folder) for member in context.done]


def _card(context: ReportContext, member: Member, folder: Path) -> Card:
    parts = [(name.replace("_", " "), str(value)) for name, value in member.spec.as_row().items()]
    kl = sorted(member.run.metric("rate").parts, reverse=True)
    where = Path(os.path.relpath(member.run.path, folder)).as_posix()
    name = f"{member.title}, {context.at(member)}"
    return Card(member.label, name, where, parts, kl, card_pictures(context, member, name))
