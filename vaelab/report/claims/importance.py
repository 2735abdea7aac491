"""Whether training on a tighter bound makes a better model, and whether the bounds lie where they must."""

from itertools import combinations

from vaelab.assemble import build_objective
from vaelab.objectives.importance import Iwae
from vaelab.record import Run
from vaelab.report.claims.claim import SIGNS_RULE, Claim, Sign, Table, paired, tally, verdict
from vaelab.report.material import Material
from vaelab.report.text import with_errors
from vaelab.study import Member


def importance_weighting(material: Material) -> list[Claim]:
    """Whether more importance samples in training help, and the order of every bound."""
    return [_order(material), _bounds(material)]


def _order(material: Material) -> Claim:
    """IWAE-50 before IWAE-5 before the VAE, image by image."""
    rows, signs = list[list[str]](), list[Sign]()
    ladder = sorted((m for m in material.done if _draws(m) > 1 or m.group == "vae-1"), key=_draws)
    for fewer, more in combinations(ladder, 2):
        a, b = _nll(fewer.run), _nll(more.run)
        gain = paired(fewer.run.per_image(a), more.run.per_image(b))
        signs.append(gain.sign)
        rows.append([more.title, fewer.title, with_errors(b), with_errors(a), str(gain)])
    return Claim(
        "A model trained on a tighter bound is better: IWAE with 50 samples before 5 before the VAE.",
        tally(signs, "for more samples", "for fewer"),
        verdict(signs),
        "The gain is the difference in NLL, image by image over the same test images; one is decided where its mean is "
        f"more than two standard errors from zero. The claim is {SIGNS_RULE}.",
        [Table(["more samples", "fewer", "NLL of the first", "NLL of the second", "gain, nats per image"], rows)],
    )


def _bounds(material: Material) -> Claim:
    rows, signs = list[list[str]](), list[Sign]()
    for member in material.done:
        nll = _nll(member.run)
        for row in member.run.result["metrics"]:
            if row["measure"] == nll["measure"] and row["name"] in ("elbo", "iwae_bound"):
                gap = paired(-member.run.per_image(row), member.run.per_image(nll))
                signs.append(1 if gap.mean >= 0 else gap.sign)
                name = "ELBO" if row["name"] == "elbo" else f"L({row['samples']:,})"
                rows.append([member.title, name, with_errors(row), with_errors(nll), str(gap)])
    return Claim(
        "Every bound lies below the estimate of log p(x) with more samples.",
        tally(signs, "below", "above"),
        verdict(signs),
        "The gap is the NLL bound less the NLL with the most importance samples, image by image. The claim is "
        f"{SIGNS_RULE}.",
        [Table(["model", "bound", "value", "NLL", "gap, nats per image"], rows)],
    )


def _draws(member: Member) -> int:
    """k of an importance-weighted objective; 1 of any other."""
    objective = build_objective(member.spec)
    return objective.samples if isinstance(objective, Iwae) else 1


def _nll(run: Run) -> dict:
    """The test NLL from the most importance samples."""
    return max(
        (row for row in run.result["metrics"] if row["name"] == "nll" and row["split"] == "test"),
        key=lambda row: row["samples"],
    )
