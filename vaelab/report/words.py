"""The sentences of a report, made from the measurements and from the notes on the data."""

from collections import Counter

from vaelab.assemble import NOT_A_LIKELIHOOD
from vaelab.evaluation.colours import HUES, hue_counts
from vaelab.report.claims import Claim
from vaelab.report.material import Material, plain
from vaelab.report.seeds import ranking
from vaelab.report.table import best_epoch
from vaelab.report.text import MINUS, latent, listed, number, percent, plus_minus
from vaelab.study import Member

FEW = 20  # test images of a label, below which a sentence says how few there are
EARLY = 0.75  # share of the epochs, before which the best epoch is early
LATE = 0.99  # ... and after which it is the last


def findings(material: Material, claims: dict[str, list[Claim]]) -> list[str]:
    """The main results, a sentence or two each: of the groups, of the latent dimensions in use, of the claims."""
    groups = list(material.groups().values())
    said = ranking(material) + [_of_group(members) for members in groups if not _of_seeds(members)]
    if idle := [text for members in groups if (text := _idle(members))]:
        said.append(f"Not all latent dimensions are active with {listed(idle)}.")
    verdicts = Counter(claim.verdict for group in claims.values() for claim in group)
    if verdicts:
        counts = [f"{count} {verdict}" for verdict, count in verdicts.most_common()]
        said.append(f"Of the {verdicts.total()} statements of the article that were checked: {listed(counts)}.")
    return said


def limits(material: Material) -> list[str]:
    """What the data and the design of this study cannot show, from their notes and counts."""
    said = list[str]()
    for member in {m.spec.data: m for m in material.done}.values():
        said += _of_data(material, member)
    seeds = {member.seed for member in material.study.members}
    if len(seeds) == 1:
        said.append(
            f"Every model was trained once, with seed {min(seeds)}. Standard errors are over test images: they say how "
            "sure a number is of this model, and not how much another seed would change it."
        )
    if any(NOT_A_LIKELIHOOD in member.run.metric("elbo")["note"] for member in material.done):
        said.append(
            "A Bernoulli cross-entropy on grey levels is not a likelihood of the images: its nats rank models among "
            "themselves, and mean nothing beside a likelihood."
        )
    if any(member.spec.condition == "labels" for member in material.done):
        said.append(
            "A model that is told the labels has bounds of log p(x|y) and not of log p(x): it ranks among such "
            "models alone."
        )
    if material.done and not material.study.quick:
        still = sum(best_epoch(m.run.result) > LATE * m.spec.epochs for m in material.done if m.spec.validation)
        if still:
            said.append(
                f"In {still} of {len(material.done)} runs the validation images were described best by the weights of "
                "the last epoch: more training would improve them, and not all of them alike."
            )
    if material.study.quick:
        said.append("This is the quick version: models stopped long before they had learned what they can.")
    return said


def data_notes(material: Material) -> list[str]:
    """Each data set with its counts and note."""
    return [f"{name}: {_counts(member)}" for name, member in {m.spec.data: m for m in material.done}.items()]


def made_with(material: Material) -> list[str]:
    """Versions, machine and date of the runs; several where they differ."""
    environments = [member.run.result["environment"] for member in material.done]
    dates = sorted({environment["date"] for environment in environments})
    kinds = list(dict.fromkeys(_environment(environment) for environment in environments))
    when = [f"Runs finished {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}."] if dates else []
    return when + (kinds if len(kinds) < 2 else [f"The runs were made in {len(kinds)} environments:", *kinds])


def _of_group(members: list[Member]) -> str:
    first, last = members[0], members[-1]
    best = max(members, key=lambda member: member.run.metric("elbo")["value"])
    closest = min(members, key=lambda member: member.run.metric("reconstruction_mse")["value"])
    note = first.run.metric("elbo")["note"]
    course = [member for member in members if member in (first, best, last)]
    values = [f"{_value(member, 'elbo', -1)} at {latent(member.latent)}" for member in course]
    early = [m for m in members if m.spec.validation and best_epoch(m.run.result) < EARLY * m.spec.epochs]
    at_best, where = "", "Reconstructions have"
    if len(members) > 1:
        at_best = f", best at {latent(best.latent)}"
        where = f"Reconstructions are closest at {latent(closest.latent)}, with"
    return (
        f"{first.title}: {MINUS}ELBO in nats per image{f' ({note})' if note else ''} is {listed(values)}{at_best}. "
        f"{where} a mean squared error of {_value(closest, 'reconstruction_mse')}."
        + (f" Validation was best before {percent(EARLY)} of the epochs at {_latents(early)}." if early else "")
    )


def _idle(members: list[Member]) -> str:
    """Which runs of a group leave latent dimensions unused; empty where none does."""
    idle = [m for m in members if (units := m.run.find("active_units")) and units["value"] < m.latent]
    active = [f"{m.run.metric('active_units')['value']:.0f} of {m.latent}" for m in idle]
    return f"{members[0].title} ({listed(active)})" if idle else ""


def _of_seeds(members: list[Member]) -> bool:
    """Whether a group is one model with several seeds."""
    return len({member.latent for member in members}) < len(members)


def _latents(members: list[Member]) -> str:
    return listed([latent(member.latent) for member in members])


def _value(member: Member, name: str, sign: int = 1) -> str:
    metric = member.run.metric(name)
    return plus_minus(sign * metric["value"], metric["se"])


def _of_data(material: Material, member: Member) -> list[str]:
    result, name = member.run.result, member.spec.data
    note, data = result["note"], material.data(member)
    said = list[str]()
    if "slice" in note:
        said.append(
            f"{name} is here the {note}: {number(len(data.test))} test images that are not the official test split, so "
            "that no number can be set beside a published one, and small differences are lost in the standard errors."
        )
        if name == "svhn":
            said.append(
                "SVHN lists the digits of one house number one after another. Cutting the list puts neighbours, alike "
                "in colour, light and type, into both parts, which flatters a model that remembers what it has seen."
            )
    elif note:
        said.append(f"{name}: {note}; the numbers cannot be set beside published ones.")
    if count := result["test_images_trained_on"]:
        said.append(f"{number(count)} of the test images of {name} were also trained on.")
    if data.test.shape[0] == 3:
        few = [f"{n} {hue}" for hue, n in zip(HUES, hue_counts(plain(data.test)), strict=False) if n < FEW]
        if few:
            said.append(f"There are few test images of some colours in {name}: {listed(few)}.")
    if data.test.labels is not None:
        counts = Counter(data.test.labels.tolist())
        few = [
            f"{count} of label {data.test.class_name(label)}" for label, count in sorted(counts.items()) if count < FEW
        ]
        if few:
            said.append(f"There are few test images for some labels of {name}: {listed(few)}.")
    return said


def _counts(member: Member) -> str:
    result = member.run.result
    names = {"train": "training"}
    parts = [f"{number(split['images'])} {names.get(name, name)}" for name, split in result["data"].items()]
    channels, height, width = result["data"]["test"]["shape"]
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    return f"{listed(parts)} images, {height} x {width}, {kind}" + (f" ({result['note']})" if result["note"] else "")


def _environment(environment: dict[str, object]) -> str:
    e = environment
    return (
        f"vaelab {e['vaelab']}, torch {e['torch']}, Python {e['python']}, {e['system']}, {e['device']}, "
        f"{e['threads']} thread{'' if e['threads'] == 1 else 's'}"
    )
