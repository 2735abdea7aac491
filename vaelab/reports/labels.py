"""What distinguishes the runs of a study, in words."""

import json
from collections.abc import Sequence

from vaelab.parts import names as parts
from vaelab.reports.text import latent
from vaelab.runs.blueprint import TABLES
from vaelab.runs.spec import Spec
from vaelab.studies.study import Member

PLACED = ("latent", "seed")  # fields that labels and tables show separately


def model_key(spec: Spec) -> str:
    """A key that is equal for Specs that differ only in the seed: an average over seeds may use their runs."""
    return json.dumps(spec.model_dump(exclude={"seed"}), sort_keys=True)


def differing(specs: Sequence[Spec]) -> list[str]:
    """The fields in which the Specs differ, parts before numbers."""
    dumps = [spec.model_dump() for spec in specs]
    fields = sorted(dumps[0], key=lambda field: field not in TABLES) if dumps else []
    return [field for field in fields if any(dump[field] != dumps[0][field] for dump in dumps)]


def described(spec: Spec, fields: Sequence[str]) -> str:
    """The values of these fields, such as "z = 2, objective beta:beta=4, learning rate 0.001"."""
    return ", ".join(_described(spec, field) for field in fields)


def points(members: Sequence[Member]) -> list[list[Member]]:
    """Group the members by group and by Spec without the seed, in the order of the study."""
    found = dict[tuple[str, str], list[Member]]()
    for member in members:
        found.setdefault((member.group, model_key(member.spec)), []).append(member)
    return list(found.values())


def _described(spec: Spec, field: str) -> str:
    value = getattr(spec, field)
    if field == "latent":
        return latent(value)
    if field in TABLES:
        value = parts.brief(field, TABLES[field], value)
    written = f"{value:g}" if isinstance(value, float) else str(value) or "none"
    return f"{field.replace('_', ' ')} {written}"
