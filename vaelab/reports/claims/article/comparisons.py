"""Claims that compare convolutional with fully connected networks, and Gaussian with Bernoulli decoders."""

from collections.abc import Sequence

from torch import Tensor

from vaelab.reports.claims.article.detail import as_percent, missing
from vaelab.reports.claims.article.kinds import bernoulli, by_likelihood, by_network, convolutional
from vaelab.reports.claims.article.source import ARTICLE, CONCLUSION, CONV_SECTION, GAUSSIAN_SECTION, SVHN
from vaelab.reports.claims.claim import Outcome, Statement, tally, verdict
from vaelab.reports.claims.estimate import Estimate, Sign, over_images, paired
from vaelab.reports.claims.pairs import Pair, pairs
from vaelab.reports.claims.sizes import SIMILAR, VAST
from vaelab.reports.context import ReportContext
from vaelab.reports.labels import points
from vaelab.reports.text import KEEP, Table, listed, percent, sentence
from vaelab.studies.study import Member

VAST_QUOTE = "While increasing the dimensions, we do observe the vast improvement in generated images in Figure 4."
VAST_WITH_DIMENSIONS = Statement(
    "With a convolutional encoder, more latent dimensions improve the images vastly (Figure 4, read from 5 to 100).",
    VAST_QUOTE,
    CONV_SECTION,
    (SVHN,),
    ARTICLE,
)
VAST_WITH_CONVOLUTION = Statement(
    "A convolutional encoder improves the images vastly, compared with the fully connected network (Figure 4 and "
    "Figure 3).",
    VAST_QUOTE,
    CONV_SECTION,
    (SVHN,),
    ARTICLE,
)
COPIES = Statement(
    "With 100 latent dimensions the convolutional network's images are almost the same as the data.",
    "At 100D latent space, the generated images are almost the same as the sample data.",
    CONV_SECTION,
    (SVHN,),
    ARTICLE,
)
WELL_ENOUGH = Statement(
    "With convolutional networks the autoencoder learns SVHN well enough.",
    "The variational autoencoder based on Kingma, Welling (2014) can learn the SVHN dataset well enough using "
    "Convolutional neural networks.",
    CONCLUSION,
    (SVHN,),
    ARTICLE,
)
ALIKE = Statement(
    "With the same network, a Gaussian decoder performs like a Bernoulli decoder: there may be no advantage.",
    "From Figure 5, under the same neural network architecture, the performance is similar to the Bernoulli version so "
    "there might not be an advantage of using Gaussian.",
    GAUSSIAN_SECTION,
    (SVHN,),
    ARTICLE,
)
BETTER_IN_COLOUR = Statement(
    "For coloured images a Gaussian decoder may be better than a Bernoulli decoder.",
    "Lastly, a Gaussian decoder may be better than a Bernoulli decoder working with colored images.",
    CONCLUSION,
    (SVHN,),
    ARTICLE,
)
WHY = (
    "The two decoders are compared only by the squared error of reconstructions, because the nats of a Bernoulli "
    "cross-entropy on grey levels and those of a density of 8-bit pixels are different quantities."
)


def vast_with_dimensions(context: ReportContext) -> Outcome:
    """Check whether the most latent dimensions have less than half the error of the fewest above two."""
    members = [m for m in context.done if convolutional(m) and bernoulli(m) and m.latent > 2]
    numbers = {m.latent for m in members}
    if len(numbers) < 2:
        return _vast(context, [], "more dimensions")
    fewest, most = min(numbers), max(numbers)
    found = pairs(
        context,
        lambda m: m in members and m.latent == fewest,
        lambda m: m in members and m.latent == most,
        ("latent",),
    )
    return _vast(context, found, "more dimensions")


def vast_with_convolution(context: ReportContext) -> Outcome:
    """Check whether the convolutional network has less than half the error of the fully connected one."""
    return _vast(context, by_network(context), "the convolutional network")


def _vast(context: ReportContext, found: list[Pair], better: str) -> Outcome:
    gains = [relative_gain(context, pair) for pair in found]
    signs: list[Sign] = [gain.above(VAST) for gain in gains]
    return Outcome(
        f"With {better} the error is {span(gains)}. "
        + sentence(
            tally(signs, "the improvement", "is vast", "is not vast", "it is not clear whether the improvement is vast")
        ),
        verdict(signs),
        f"The improvement is the relative decrease of the reconstruction MSE with {better}. It is vast if it is "
        f"more than {percent(VAST)}.",
        [run for pair in found for run in pair.runs],
        [_errors_beside(context, found, gains)],
    )


def copies(context: ReportContext) -> Outcome:
    """Check whether almost no detail is missing in the reconstructions of the largest convolutional models."""
    members = [m for m in context.study.members if convolutional(m) and bernoulli(m)]
    most = max((m.latent for m in members), default=0)
    largest = points([m for m in members if m.run.done and m.latent == most])
    shares = [(missing(context, runs), runs) for runs in largest]
    return _missing(context, shares, SIMILAR, "Almost the same")


def well_enough(context: ReportContext) -> Outcome:
    """Check whether the reconstructions of the best convolutional model are not far from the images."""
    shares = [(missing(context, runs), runs) for runs in points([m for m in context.done if convolutional(m)])]
    best = sorted(shares, key=lambda pair: pair[0].mean)[:1]
    return _missing(context, best, VAST, "This is the model with the least missing detail. Well enough")


def _missing(context: ReportContext, shares: list[tuple[Estimate, list[Member]]], size: float, word: str) -> Outcome:
    sides = [share.above(size) for share, _ in shares]
    signs: list[Sign] = [1 if side < 0 else -1 if side else 0 for side in sides]
    rows = [[runs[0].title, context.point(runs[0]), as_percent(share)] for share, runs in shares]
    return Outcome(
        " ".join(f"{share} of the detail is missing with {title}, {where}." for title, where, share in rows),
        verdict(signs),
        f"{word}: at most {percent(size)} is missing. Supported if the whole interval is below, contradicted if it is "
        "above, otherwise not judged.",
        [run for _, runs in shares for run in runs],
        [Table(["model", "at", "missing detail"], rows)],
    )


def alike(context: ReportContext) -> Outcome:
    """Check whether Gaussian and Bernoulli decoders have similar reconstruction errors."""
    found = by_likelihood(context)
    gains = [relative_gain(context, pair) for pair in found]
    signs: list[Sign] = [gain.within(SIMILAR) for gain in gains]
    return Outcome(
        f"The Gaussian decoder's error is {span(gains)}. {_at(context, found, signs)}",
        verdict(signs),
        f"{WHY} Two errors are similar if the interval of their difference is within {percent(SIMILAR)} "
        f"of the Bernoulli decoder's error, and not similar if it is outside.",
        [run for pair in found for run in pair.runs],
        [_errors_beside(context, found, gains)],
    )


def _at(context: ReportContext, found: list[Pair], signs: list[Sign]) -> str:
    """Say at which points two decoders are similar, at which not, and at which it is unclear."""
    said = list[str]()
    for sign, word in ((1, "are similar"), (-1, "are not similar"), (0, "may be similar or not")):
        at = [context.point(pair.first[0]) for pair, own in zip(found, signs, strict=True) if own == sign]
        said += [f"The decoders {word} with {listed(at)}."] if at else []
    return " ".join(said)


def better_in_colour(context: ReportContext) -> Outcome:
    """Check whether the Gaussian decoder reconstructs coloured images better, by any amount."""
    found = [pair for pair in by_likelihood(context) if context.data(pair.first[0]).test.shape[0] == 3]
    gains = [relative_gain(context, pair) for pair in found]
    signs: list[Sign] = [gain.sign for gain in gains]
    return Outcome(
        f"The Gaussian decoder's error is {span(gains)}. "
        + sentence(tally(signs, "the Gaussian decoder", "is better", "is worse", "it is not clear which is better")),
        verdict(signs),
        f"{WHY} Better is a difference of any size if its interval does not contain zero.",
        [run for pair in found for run in pair.runs],
        [_errors_beside(context, found, gains)],
    )


def relative_gain(context: ReportContext, pair: Pair) -> Estimate:
    """The relative decrease of the reconstruction MSE from the first model to the second."""
    first, second = (_errors(context, runs) for runs in (pair.first, pair.second))
    return paired(first, second).over(over_images(first).mean)


def _errors_beside(context: ReportContext, found: list[Pair], gains: list[Estimate]) -> Table:
    rows = list[list[str]]()
    for pair, gain in zip(found, gains, strict=True):
        models = [f"{runs[0].title}, {context.point(runs[0])}" for runs in (pair.first, pair.second)]
        errors = [str(over_images(_errors(context, runs))) for runs in (pair.first, pair.second)]
        rows.append([models[0], errors[0], models[1], errors[1], as_percent(gain)])
    return Table(["model", "its MSE", "compared model", "its MSE", "lower by"], rows)


def _errors(context: ReportContext, runs: Sequence[Member]) -> list[Tensor]:
    return [context.per_image(run, "reconstruction_mse") for run in runs]


def span(gains: Sequence[Estimate]) -> str:
    """The range of the errors, such as "7 to 68 % lower" or "between 4 % lower and 3 % higher"."""
    low, high = (of((gain.mean for gain in gains), default=0.0) for of in (min, max))
    if low < 0 < high:
        return f"between {percent(high)} lower and {percent(-low)} higher"
    ends = dict.fromkeys(percent(size) for size in sorted((abs(low), abs(high))))
    return f"{' to '.join(ends).replace(f'{KEEP}% to', ' to')} {'higher' if low < 0 else 'lower'}"
