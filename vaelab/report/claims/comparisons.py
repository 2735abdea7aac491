"""Convolutional against fully connected networks, and Gaussian against Bernoulli decoders, image by image."""

import torch

from vaelab.report.claims.claim import SIGNS_RULE, Claim, Difference, Sign, Table, paired, tally, verdict
from vaelab.report.claims.kinds import bernoulli, by_likelihood, by_network, convolutional
from vaelab.report.material import Material, plain
from vaelab.report.text import MINUS, PLUS_MINUS, number, percent, plus_minus
from vaelab.study import Member

PAIRED = (
    "Differences are taken image by image over the same test images; one is decided where their mean is more than two "
    "standard errors from zero."
)
NEARLY_ALL, FAR_FROM_ALL = 0.95, 0.8  # shares of the variance, for "almost the same" and for "not the same"
SIMILAR = 0.1  # relative difference up to which two reconstruction errors are called similar


def convolution(material: Material) -> list[Claim]:
    """Whether the convolutional network does better than the fully connected one, and whether it copies the data."""
    return [_networks(material), _copies(material)]


def _networks(material: Material) -> Claim:
    rows, signs, shares = list[list[str]](), list[Sign](), list[float]()
    for mlp, conv in by_network(material):
        gains = [
            paired(material.per_image(mlp, name), material.per_image(conv, name))
            for name in ("reconstruction_mse", "distortion", "elbo")
        ]
        gains[2] = Difference(-gains[2].mean, gains[2].se)  # more is better
        signs.extend(gain.sign for gain in gains)
        shares.append(gains[0].mean / _error(mlp)[0])
        sizes = [number(member.run.result["parameters"]) for member in (mlp, conv)]
        errors = [plus_minus(*_error(member)) for member in (mlp, conv)]
        rows.append([mlp.spec.data, material.at(mlp), *sizes, *errors, *map(str, gains)])
    columns = ["data", "run", "parameters, fully connected", "parameters, convolutional"]
    columns += ["MSE, fully connected", "MSE, convolutional"]
    columns += [f"gain in {name}" for name in ("MSE", "distortion, nats", f"{MINUS}ELBO, nats")]
    return Claim(
        "A convolutional encoder improves vastly on the fully connected networks.",
        tally(signs, "for the convolutional network", "for the fully connected one") + f".{_span(shares)}",
        verdict(signs),
        f"The gain is that of the convolutional network, with the same likelihood and latent dimensions, in squared "
        f"error, distortion and {MINUS}ELBO. {PAIRED} The claim is {SIGNS_RULE}.",
        [Table(columns, rows)],
    )


def _copies(material: Material) -> Claim:
    members = [m for m in material.done if convolutional(m) and bernoulli(m)]
    largest = [m for m in members if m.latent == max(other.latent for other in members)]
    rows, signs = list[list[str]](), list[Sign]()
    for member in largest:
        explained = 1 - _error(member)[0] / variance(material, member)
        signs.append(1 if explained >= NEARLY_ALL else -1 if explained < FAR_FROM_ALL else 0)
        rows.append([member.title, material.at(member), percent(explained)])
    return Claim(
        "With the most latent dimensions (100 in the article), the convolutional network's images are almost those of "
        "the data.",
        "; ".join(f"{title}, {where}: {share}" for title, where, share in rows)
        + " of the test images' variance is reproduced.",
        verdict(signs, "mixed"),
        f"The share is 1 {MINUS} (reconstruction MSE) / (variance of the test images about the mean training image). "
        f"Supported from {percent(NEARLY_ALL)}, contradicted below {percent(FAR_FROM_ALL)}, mixed between.",
        [Table(["group", "run", "variance reproduced"], rows)],
    )


def gaussian_quality(material: Material) -> list[Claim]:
    """Whether Gaussian and Bernoulli decoders reconstruct alike, and whether the Gaussian is better in colour."""
    pairs = by_likelihood(material)
    coloured = [(a, b) for a, b in pairs if material.data(a).test.shape[0] == 3]
    why = (
        "The two are compared by the squared error of reconstructions alone: nats of a Bernoulli cross-entropy on grey "
        "levels and of a density of 8-bit pixels are different quantities."
    )
    gains, table = _decoders(material, pairs)
    similar: list[Sign] = [likeness(gain) for gain in gains]
    better, in_colour = _decoders(material, coloured)
    signs: list[Sign] = [gain.sign for gain in better]
    return [
        Claim(
            "With the same network, a Gaussian decoder performs much like a Bernoulli one: there may be no advantage.",
            tally(similar, f"within {percent(SIMILAR)}", f"further apart than {percent(SIMILAR)}", "undecided")
            + f".{_span([gain.mean for gain in gains])}",
            verdict(similar),
            f"{why} Two errors are similar where their difference {PLUS_MINUS} 2 SE, relative to the Bernoulli "
            f"decoder's error, lies within {percent(SIMILAR)} of zero, and not similar where it lies wholly outside. "
            f"The claim is {SIGNS_RULE}.",
            [table],
        ),
        Claim(
            "For coloured images a Gaussian decoder may be better than a Bernoulli one.",
            tally(signs, "for the Gaussian decoder", "for the Bernoulli decoder")
            + f".{_span([gain.mean for gain in better])}",
            verdict(signs),
            f"{why} {PAIRED} The claim is {SIGNS_RULE}.",
            [in_colour],
        ),
    ]


def _decoders(material: Material, pairs: list[tuple[Member, Member]]) -> tuple[list[Difference], Table]:
    """What the Gaussian decoder of each pair gains, as a share of the Bernoulli decoder's error; and the evidence."""
    gains, rows = list[Difference](), list[list[str]]()
    for ours, theirs in pairs:
        gain = paired(*(material.per_image(member, "reconstruction_mse") for member in (ours, theirs)))
        relative = relative_to(gain, _error(ours)[0])
        gains.append(relative)
        errors = [plus_minus(*_error(member)) for member in (ours, theirs)]
        share = f"{plus_minus(100 * relative.mean, relative.se and 100 * relative.se)} %"
        rows.append([ours.title, material.at(ours), *errors, str(gain), share])
    return gains, Table(["network of", "run", "MSE, Bernoulli", "MSE, Gaussian", "Gaussian's gain", "gain / MSE"], rows)


def relative_to(difference: Difference, scale: float) -> Difference:
    """The difference as a share of `scale`."""
    return Difference(difference.mean / scale, None if difference.se is None else difference.se / scale)


def likeness(relative: Difference) -> Sign:
    """1 where the mean +- 2 SE lies within SIMILAR of zero, -1 where it lies wholly outside, otherwise 0."""
    if relative.se is None:
        return 0
    if abs(relative.mean) + 2 * relative.se <= SIMILAR:
        return 1
    return -1 if abs(relative.mean) - 2 * relative.se > SIMILAR else 0


def variance(material: Material, member: Member) -> float:
    """Mean squared distance of the test images' pixels from the mean training image: the error of a model without z."""
    mean = torch.from_numpy(material.data(member).train.in_memory.mean(0)).float() / 255
    return (plain(material.test(member)) - mean).square().mean().item()


def _span(gains: list[float]) -> str:
    """How much the squared error changes over the comparisons; for no comparisons, nothing."""
    if not gains:
        return ""
    return f" Its reconstruction MSE differs from the other's by {percent(-max(gains))} to {percent(-min(gains))}."


def _error(member: Member) -> tuple[float, float | None]:
    """The mean squared error of reconstructions, and its standard error."""
    row = member.run.metric("reconstruction_mse")
    return row["value"], row["se"]
