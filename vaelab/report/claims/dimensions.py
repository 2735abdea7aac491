"""More latent dimensions: closer copies, and better models?"""

from dataclasses import dataclass
from itertools import pairwise

from vaelab.report.claims.claim import SIGNS_RULE, Claim, Difference, Sign, Table, paired, tally, verdict
from vaelab.report.material import Material
from vaelab.report.text import listed
from vaelab.study import Member

# name -> the metric, and the sign that makes less of it better
MEASURES = {"reconstruction MSE": ("reconstruction_mse", 1), "\N{MINUS SIGN}ELBO": ("elbo", -1), "NLL": ("nll", 1)}
WORDS = {1: "better", 0: "no clear change", -1: "worse"}
RULE = (
    "A step goes from one number of latent dimensions to the next larger one of the same group and seed. It is better "
    "or worse where the mean of the differences, image by image over the same test images, is more than two standard "
    f"errors from zero. The claim is {SIGNS_RULE}."
)


@dataclass(frozen=True)
class Step:
    """From one run to the next larger one: what is gained (> 0) or lost in each measure."""

    title: str
    where: str
    gains: dict[str, Difference]


def dimensions(material: Material) -> list[Claim]:
    """Whether every step up in latent dimensions is a gain, in reconstructions and in the bounds."""
    steps = [_step(material, a, b) for group in material.groups().values() for a, b in _steps(group)]
    return [
        _claim(
            "The more latent dimensions, the better the decoder: reconstructions improve markedly with each step.",
            steps,
            ["reconstruction MSE"],
        ),
        _claim(
            "The more latent features are considered, the better the autoencoder performs "
            "(here as a model of the test images: \N{MINUS SIGN}ELBO and NLL).",
            steps,
            ["\N{MINUS SIGN}ELBO", "NLL"],
        ),
    ]


def _claim(says: str, steps: list[Step], names: list[str]) -> Claim:
    signs: list[Sign] = [step.gains[name].sign for step in steps for name in names]
    stuck = [step for step in steps if any(step.gains[name].sign < 1 for name in names)]
    measured = tally(signs, "better", "worse", "without clear change") + "."
    if stuck:
        measured += " Not clearly better" + (" in both" if len(names) == 2 else "") + f": {_by_group(stuck)}."
    columns = ["group", "step", *(f"{name}, gain" for name in names), "verdict on the step"]
    rows = [
        [
            step.title,
            step.where,
            *(str(step.gains[name]) for name in names),
            " / ".join(dict.fromkeys(WORDS[step.gains[name].sign] for name in names)),
        ]
        for step in steps
    ]
    return Claim(says, measured, verdict(signs), RULE, [Table(columns, rows)])


def _by_group(steps: list[Step]) -> str:
    titles = dict.fromkeys(step.title for step in steps)
    return "; ".join(f"{title}: {listed([s.where for s in steps if s.title == title])}" for title in titles)


def _steps(group: list[Member]) -> list[tuple[Member, Member]]:
    """Neighbours in the number of latent dimensions, seed by seed."""
    ordered = sorted(group, key=lambda member: (member.seed, member.latent))
    return [(a, b) for a, b in pairwise(ordered) if a.seed == b.seed]


def _step(material: Material, a: Member, b: Member) -> Step:
    gains = {
        name: paired(sign * material.per_image(a, metric), sign * material.per_image(b, metric))
        for name, (metric, sign) in MEASURES.items()
    }
    return Step(a.title, f"{material.at(a)} \N{RIGHTWARDS ARROW} {b.latent}", gains)
