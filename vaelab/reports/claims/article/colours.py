"""Claims about colours: which ones the models miss, and how far the models are from the data."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab.reports.claims.article.detail import as_percent, missing
from vaelab.reports.claims.article.kinds import bernoulli, by_network, fully_connected
from vaelab.reports.claims.article.manifolds import believed, light, manifold
from vaelab.reports.claims.article.source import ARTICLE, CONV_SECTION, MLP_SECTION, SVHN
from vaelab.reports.claims.claim import (
    UNJUDGED,
    Outcome,
    Statement,
    Verdict,
    agreed,
    of_parts,
    parts_in_words,
    verdict,
)
from vaelab.reports.claims.estimate import Estimate, over_images, over_seeds, paired
from vaelab.reports.claims.pairs import Pair, between, ladders
from vaelab.reports.claims.sizes import SIMILAR, VAST
from vaelab.reports.colours import COLOURFUL, FEWEST, HUES, chroma, hue_counts, hues
from vaelab.reports.context import ReportContext, plain
from vaelab.reports.labels import points
from vaelab.reports.text import DASH, Table, listed, number, percent
from vaelab.studies.study import Member

NO_GREEN = Statement(
    "The fully connected network never perceives green.",
    "In particular, the color green has not been perceived by the learner.",
    f"{MLP_SECTION}, Figure 3",
    (SVHN,),
    ARTICLE,
)
STILL_FAR = Statement(
    "With more dimensions the fully connected network shows more colours and numbers, but is still far from the data.",
    "As the dimension rises, more colors and numbers are classified but they are still far from the sample data.",
    f"{MLP_SECTION}, Figure 3",
    (SVHN,),
    ARTICLE,
)
BLUE_TOO = Statement(
    "The convolutional network's 2-D manifold looks like that of the fully connected network, but also has blue.",
    "In Figure 2c, the learned manifold looks similar to 2b. In addition, the color blue is also included.",
    f"{CONV_SECTION}, Figure 2c",
    (SVHN,),
    ARTICLE,
)
GREEN, BLUE = HUES.index("green"), HUES.index("blue")
KEPT = (
    f"An image has a hue if its mean colour has a chroma of at least {COLOURFUL:g}. The proportion of its colour that "
    "is kept is the chroma of the reconstruction along the hue of the image, divided by the chroma of the image: 100 % "
    "is all of it, 0 is grey."
)


def no_green(context: ReportContext) -> Outcome:
    """Check whether reconstructions by the fully connected network lose over half of the colour of green images."""
    models = points([m for m in context.done if _coloured(context, m)])
    own = [runs for runs in models if _asked(runs[0])]
    lost = [_lost(context, runs, GREEN) for runs in own]
    rows = [
        [runs[0].title, context.point(runs[0]), *(_kept(context, runs, hue) for hue in range(len(HUES)))]
        for runs in models
    ]
    said = [
        f"{_kept(context, runs, GREEN)} of their colour with {context.point(runs[0])}"
        for runs, one in zip(own, lost, strict=True)
        if one is not None
    ]
    rare = _rare(context, own[0][0]) if own else []
    counts = [row for runs in own[:1] for row in _counts(context, runs[0])]
    return Outcome(
        (f"Green images keep {listed(said)}." if said else "How much of their colour green images keep is not known.")
        + (f" There are too few test images that are {listed(rare).replace(' and ', ' or ')}." if rare else ""),
        verdict([0 if one is None else one.above(VAST) for one in lost]),
        f"{KEPT} Green is missed if more than {percent(VAST)} is lost. Fewer than {FEWEST} images are not judged.",
        [run for runs in own for run in runs],
        [Table(["images of", *HUES, "no hue"], counts), Table(["colour kept by", "at", *HUES], rows)],
    )


def still_far(context: ReportContext) -> Outcome:
    """Check whether the largest fully connected model keeps more colours and numbers but is far from the data."""
    rows, verdicts, said, runs = list[list[str]](), list[Verdict](), list[str](), list[Member]()
    for ladder in ladders([m for m in context.done if _coloured(context, m) and _asked(m) and m.latent > 2]):
        for model in ladder:
            share = missing(context, model)
            rows.append([model[0].title, context.point(model[0]), as_percent(share)])
        ends = between(ladder[0], ladder[-1])
        if not ends.first:  # no seed in common
            continue
        few, many = ends.first, ends.second
        share = missing(context, many)
        rises = few[0].latent < many[0].latent
        parts: dict[str, Verdict] = {
            "more colours": _more(_colour_gained(context, few, many) if rises else None),
            "more numbers": _more(_numbers_gained(context, few, many) if rises else None),
            "far from the data": verdict([share.above(VAST)]),
        }
        said.append(
            f"With {context.point(many[0])}, {as_percent(share)} of the detail is missing. {parts_in_words(parts)}"
        )
        verdicts.append(of_parts(parts))
        runs += [run for model in ladder for run in model]
    return Outcome(
        " ".join(said),
        agreed(verdicts),
        "The model with the most dimensions is compared with the model with the fewest. More colours: the proportion "
        "of colour that is kept is higher. More numbers: the proportion of digits that a classifier reads correctly is "
        f"higher. Each must be higher by more than {percent(SIMILAR)} of the whole. "
        f"{KEPT} Far means that more than {percent(VAST)} of the detail is missing.",
        runs,
        [Table(["model", "at", "missing detail"], rows)],
    )


def blue_too(context: ReportContext) -> Outcome:
    """Check whether the networks' 2-D manifolds look similar, and only the convolutional one has blue images."""
    found = [p for p in by_network(context) if p.first[0].latent == 2 and _coloured(context, p.first[0])]
    rows, verdicts, said = list[list[str]](), list[Verdict](), list[str]()
    for pair in found:
        shown = [[manifold(context, run) for run in runs] for runs in (pair.first, pair.second)]
        counts = [[hue_counts(images) for images in of] for of in shown]
        blue: list[Verdict] = [appears(a[BLUE], b[BLUE]) for a, b in zip(*counts, strict=True)]
        parts: dict[str, Verdict] = {**_alike(shown), "blue only in the convolutional one": agreed(blue)}
        blues = [", ".join(str(count[BLUE]) for count in of) for of in counts]
        said.append(
            f"Of 400 images, {blues[1]} are blue on the convolutional manifold and {blues[0]} on the fully connected "
            f"one. {parts_in_words(parts)}"
        )
        verdicts.append(of_parts(parts))
        rows += _manifold_rows(context, pair, shown)
    return Outcome(
        " ".join(said),
        agreed(verdicts),
        "They look similar if the spread of light over the manifold's images, and the contrast within them, differ by "
        f"at most {percent(SIMILAR)}. The part about blue is supported if only the convolutional manifold has blue "
        "images, contradicted if it has none, and mixed if both have some.",
        [run for pair in found for run in pair.runs],
        [Table(["manifold of", "run", "spread of light", "contrast", *HUES, "no hue"], rows)],
    )


def _alike(shown: Sequence[Sequence[Tensor]]) -> dict[str, Verdict]:
    """Verdicts on whether light and contrast of two manifolds are similar, seed by seed."""
    first, second = ([light(images) for images in of] for of in shown)
    spread = over_seeds([b.spread / a.spread - 1 for a, b in zip(first, second, strict=True)])
    contrast = over_seeds([b.contrast / a.contrast - 1 for a, b in zip(first, second, strict=True)])
    return {
        "similar spread of light": verdict([spread.within(SIMILAR)]),
        "similar contrast": verdict([contrast.within(SIMILAR)]),
    }


def _manifold_rows(context: ReportContext, pair: Pair, shown: Sequence[Sequence[Tensor]]) -> list[list[str]]:
    rows = list[list[str]]()
    for run, images in zip(pair.runs, [*shown[0], *shown[1]], strict=True):
        seen = light(images)
        measured = number(seen.spread, 3), number(seen.contrast, 3), *map(str, hue_counts(images))
        rows.append([run.title, context.at(run), *measured])
    return rows


def appears(fully_connected: int, convolutional: int) -> Verdict:
    """The verdict from the numbers of blue images on the two manifolds."""
    if not convolutional:
        return "contradicted"
    return "mixed" if fully_connected else "supported"


def kept(images: Tensor, reconstructions: Tensor) -> Tensor:
    """The proportion of colour that is kept, for each of images [N, 3, H, W] in [0, 1]: [N]; NaN for a grey image."""
    before, after = chroma(images), chroma(reconstructions)
    return (before * after).sum(1) / before.square().sum(1)


def _lost(context: ReportContext, runs: Sequence[Member], hue: int) -> Estimate | None:
    """The proportion of a hue's colour that is lost; None with fewer images than FEWEST."""
    images = context.images(runs[0])
    chosen = hues(images) == hue
    if int(chosen.sum()) < FEWEST:
        return None
    return over_images([1 - kept(images, context.reconstructions(run))[chosen] for run in runs])


def _kept(context: ReportContext, runs: Sequence[Member], hue: int) -> str:
    lost = _lost(context, runs, hue)
    return DASH if lost is None else as_percent(Estimate(1 - lost.mean, lost.half))


def _more(gained: Estimate | None) -> Verdict:
    return UNJUDGED if gained is None else verdict([gained.above(SIMILAR)])


def _colour_gained(context: ReportContext, few: Sequence[Member], many: Sequence[Member]) -> Estimate | None:
    """How much more of the colour the larger model keeps, over the images with a hue; None if these are too few."""
    images = context.images(few[0])
    chosen = hues(images) >= 0
    if int(chosen.sum()) < FEWEST:
        return None
    shares = [[kept(images, context.reconstructions(run))[chosen] for run in runs] for runs in (many, few)]
    return paired(*shares)


def _numbers_gained(context: ReportContext, few: Sequence[Member], many: Sequence[Member]) -> Estimate | None:
    """The proportion of digits that are read correctly only in the larger model's images; None without a classifier."""
    labels = context.test(few[0]).labels
    if labels is None or not believed(reader := context.reader(few[0])):
        return None
    right = [
        [torch.from_numpy(reader.read(context.reconstructions(run))[0] == labels).float() for run in runs]
        for runs in (many, few)
    ]
    return paired(*right)


def _coloured(context: ReportContext, member: Member) -> bool:
    return context.data(member).test.shape[0] == 3


def _asked(member: Member) -> bool:
    return fully_connected(member) and bernoulli(member)


def _rare(context: ReportContext, member: Member) -> list[str]:
    counts = hue_counts(context.images(member))
    return [hue for hue, count in zip(HUES, counts, strict=False) if count < FEWEST]


def _counts(context: ReportContext, member: Member) -> list[list[str]]:
    data = context.data(member)
    return [
        [f"{name} (n = {len(split):,})", *map(number, hue_counts(plain(split)))]
        for name, split in (("training", data.train), ("test", data.test))
    ]
