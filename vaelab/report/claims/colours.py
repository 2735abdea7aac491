"""Which colours the models miss."""

from vaelab.evaluation.colours import COLOURFUL, FEWEST, HUES, Retained, hue_counts, retained
from vaelab.report.claims.claim import SIGNS_RULE, Claim, Sign, Table, Verdict, agreed, verdict
from vaelab.report.claims.kinds import bernoulli, by_network, fully_connected
from vaelab.report.claims.manifolds import images
from vaelab.report.material import Material, plain
from vaelab.report.text import MINUS, listed, number, plus_minus
from vaelab.study import Member

HALF = 0.5  # share of the chroma, below which a colour counts as missed
GREEN, BLUE = HUES.index("green"), HUES.index("blue")


def colours(material: Material) -> list[Claim]:
    """Whether the fully connected network misses green, and the convolutional one adds blue."""
    coloured = [member for member in material.done if material.data(member).test.shape[0] == 3]
    kept = [(member, retained(plain(material.test(member)), material.reconstructions(member))) for member in coloured]
    return [_green(material, kept), _blue(material)]


def _green(material: Material, kept: list[tuple[Member, list[Retained]]]) -> Claim:
    own = [(member, of[GREEN]) for member, of in kept if fully_connected(member) and bernoulli(member)]
    counts = [row for member, _ in kept[:1] for row in _counts(material, member)]
    rows = [[member.title, material.at(member), *map(_cell, of)] for member, of in kept]
    rare = [colour.hue for colour in kept[0][1] if not colour.enough] if kept else []
    return Claim(
        "The fully connected network gains colours with more dimensions, but never perceives green.",
        f"Green that is kept: {_greens(material, own)}."
        + (f" Too few test images to say anything about: {listed(rare)}." if rare else ""),
        verdict([missed(green) for _, green in own]),
        f"An image has a hue if its mean colour has a chroma of at least {COLOURFUL:g}. A colour's share is the chroma "
        "of the reconstructions along the hue of their images over the images' own: 1 keeps it, 0 is grey. Missed: "
        f"share + 2 SE below {HALF:g}; not missed: share {MINUS} 2 SE above; nothing is said for n < {FEWEST}. "
        f"The claim is {SIGNS_RULE}.",
        [Table(["images of", *HUES, "no hue"], counts), Table(["chroma kept by", "run", *HUES], rows)],
    )


def _greens(material: Material, own: list[tuple[Member, Retained]]) -> str:
    said = [f"{_cell(green)} at {material.at(member)}" for member, green in own if green.enough]
    return "; ".join(said) or "it cannot be told"


def _blue(material: Material) -> Claim:
    pairs = [(a, b) for a, b in by_network(material) if a.latent == 2 and material.data(a).test.shape[0] == 3]
    rows, outcomes, found = list[list[str]](), list[Verdict](), list[str]()
    for pair in pairs:
        counts = [hue_counts(images(material, member)) for member in pair]
        outcomes.append(appears(counts[0][BLUE], counts[1][BLUE]))
        rows += [[m.title, material.at(m), *map(str, count)] for m, count in zip(pair, counts, strict=True)]
        found.append(
            f"{counts[1][BLUE]} of the 400 images of the convolutional manifold are blue, {counts[0][BLUE]} of the "
            "fully connected one"
        )
    return Claim(
        "The convolutional network's 2-D manifold looks like the fully connected one's, but includes blue as well.",
        f"{'; '.join(found)}.",
        agreed(outcomes),
        "Supported if some images of the convolutional manifold are blue and none of the fully connected one; "
        "contradicted if none of the convolutional one is; mixed if both manifolds have blue.",
        [Table(["manifold of", "run", *HUES, "no hue"], rows)],
    )


def missed(colour: Retained) -> Sign:
    """1 where the colour is missed, -1 where it is kept, 0 where it cannot be said."""
    if not colour.enough or colour.share is None or colour.se is None:
        return 0
    return 1 if colour.share + 2 * colour.se < HALF else -1 if colour.share - 2 * colour.se > HALF else 0


def appears(fully_connected: int, convolutional: int) -> Verdict:
    """The verdict by the numbers of blue images of the two manifolds."""
    if not convolutional:
        return "contradicted"
    return "mixed" if fully_connected else "supported"


def _counts(material: Material, member: Member) -> list[list[str]]:
    data = material.data(member)
    return [
        [f"{name} (n = {len(split):,})", *map(number, hue_counts(plain(split)))]
        for name, split in (("training", data.train), ("test", data.test))
    ]


def _cell(colour: Retained) -> str:
    if not colour.enough or colour.share is None:
        return f"n = {colour.n}, too small"
    return f"{plus_minus(colour.share, colour.se)} (n = {colour.n})"
