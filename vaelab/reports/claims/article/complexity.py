"""Claims about the data sets, grey and coloured digits, and about suitable decoders."""

import torch

from vaelab.reports.claims.article.detail import as_percent, missing
from vaelab.reports.claims.article.kinds import bernoulli, free_mean, fully_connected, gaussian
from vaelab.reports.claims.article.source import ARTICLE, GAUSSIAN_SECTION, MNIST, MNIST_SECTION, SVHN
from vaelab.reports.claims.claim import (
    UNJUDGED,
    Outcome,
    Statement,
    Verdict,
    of_parts,
    parts_in_words,
    verdict,
)
from vaelab.reports.claims.estimate import Estimate, Sign, over_images
from vaelab.reports.claims.sizes import SIMILAR
from vaelab.reports.context import ReportContext
from vaelab.reports.labels import points
from vaelab.reports.text import Table, latent, listed, percent
from vaelab.studies.study import Member

BLACK_AND_WHITE = Statement(
    "MNIST's images are only black and white, so a Bernoulli decoder makes sense.",
    "it may not seem too bad to use low dimensional latent space to represent it and using a Bernoulli decoder makes "
    "sense here because the images are only black and white.",
    MNIST_SECTION,
    (MNIST,),
    ARTICLE,
)
LOW_DIMENSIONS = Statement(
    "With few latent dimensions SVHN is not represented as well as MNIST.",
    "With the complexity of images, we may not get as good representation under low-dimensional settings.",
    MNIST_SECTION,
    (MNIST, SVHN),
    ARTICLE,
)
NEGATIVE_MEANS = Statement(
    "Without a sigmoid, a Gaussian decoder gives negative means; with a sigmoid, the means are between 0 and 1.",
    "However, one issue for Gaussian is that it can produce negative means and we have to apply sigmoid functions on "
    "the means so they are forced to be between 0 and 1.",
    GAUSSIAN_SECTION,
    (SVHN,),
    ARTICLE,
)
FEW = 5  # the largest number of latent dimensions that is called few
SAMPLES = 500  # number of prior samples for the means


def black_and_white(context: ReportContext) -> Outcome:
    """Check whether almost all pixels of the grey images are black or white."""
    runs = [m for m in context.done if context.data(m).test.shape[0] == 1]
    shares, rows = list[Estimate](), list[list[str]]()
    for run in {m.spec.data: m for m in runs}.values():
        images = context.images(run)
        between = ((images > SIMILAR) & (images < 1 - SIMILAR)).double().flatten(1).mean(1)
        shares.append(over_images([between]))
        rows.append([run.spec.data, as_percent(shares[-1])])
    signs: list[Sign] = [share.within(SIMILAR) for share in shares]
    return Outcome(
        "; ".join(f"{share} of the pixels of {name} are grey" for name, share in rows) + ".",
        verdict(signs),
        f"A pixel is grey if it differs by more than {percent(SIMILAR)} from black and from white. Supported if at "
        f"most {percent(SIMILAR)} of the test images' pixels are grey, contradicted if more.",
        runs,
        [Table(["data", "grey pixels"], rows)],
    )


def low_dimensions(context: ReportContext) -> Outcome:
    """Check whether more detail of the coloured images is missing, at the same small number of dimensions."""
    models = points([m for m in context.done if fully_connected(m) and bernoulli(m) and m.latent <= FEW])
    shares = {runs[0].label: missing(context, runs) for runs in models}
    rows, signs, used = list[list[str]](), list[Sign](), list[Member]()
    for grey in models:
        for coloured in models:
            shapes = [context.data(runs[0]).test.shape[0] for runs in (grey, coloured)]
            if shapes != [1, 3] or grey[0].latent != coloured[0].latent:
                continue
            one, other = shares[grey[0].label], shares[coloured[0].label]
            more = _difference(other, one)
            signs.append(more.above(SIMILAR))
            used += [*grey, *coloured]
            rows.append([latent(grey[0].latent), *map(as_percent, (one, other, more))])
    return Outcome(
        " ".join(
            f"With {where}, {other} of the coloured images' detail is missing, and {one} of the grey images' detail."
            for where, one, other, _ in rows
        ),
        verdict(signs),
        f"Fully connected models with at most {FEW} dimensions are compared at the same number. Not as good: "
        f"the missing proportion is larger by more than {percent(SIMILAR)} of the whole. The images differ, so the "
        f"differences are not paired.",
        used,
        [Table(["dimensions", "missing of grey images", "missing of coloured images", "difference"], rows)],
    )


def negative_means(context: ReportContext) -> Outcome:
    """Check whether Gaussian decoders give negative means without a sigmoid, and none outside (0, 1) with one."""
    rows, said = list[list[str]](), list[str]()
    negative, inside = list[bool](), list[bool]()
    runs = [m for m in context.done if free_mean(m) or gaussian(m)]
    for run in runs:
        below, above = _outside(context, run)
        if free_mean(run):
            negative.append(below > 0)
            said.append(f"{percent(below, 2)} of the means with {context.at(run)}")
        else:
            inside.append(below + above == 0)
        rows.append([run.title, context.at(run), percent(below, 2), percent(above, 2)])
    parts: dict[str, Verdict] = {
        "negative means without a sigmoid": _all(negative),
        "no means outside 0 to 1 with a sigmoid": _all(inside),
    }
    return Outcome(
        f"Without a sigmoid, {listed(said)} are negative. {parts_in_words(parts)}",
        of_parts(parts),
        f"The means are those of the reconstructions of the test images and of {SAMPLES} prior samples, pixel by "
        f"pixel. A part is supported if it holds in every run, contradicted if it holds in none, otherwise mixed.",
        runs if negative else [],
        [Table(["model", "run", "means below 0", "means above 1"], rows)],
    )


def _outside(context: ReportContext, run: Member) -> tuple[float, float]:
    """The proportions of means below 0 and above 1."""
    means = torch.cat([context.reconstructions(run).flatten(), context.prior_means(run, SAMPLES).flatten()])
    return (means < 0).double().mean().item(), (means > 1).double().mean().item()


def _all(held: list[bool]) -> Verdict:
    if not held:
        return UNJUDGED
    return "supported" if all(held) else "mixed" if any(held) else "contradicted"


def _difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b for estimates on different images."""
    half = None if a.half is None or b.half is None else (a.half**2 + b.half**2) ** 0.5
    return Estimate(a.mean - b.mean, half)
