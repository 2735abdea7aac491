"""Claims about the number of latent dimensions: more give closer reconstructions and better models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vaelab.reports.claims.article.comparisons import relative_gain
from vaelab.reports.claims.article.detail import as_percent
from vaelab.reports.claims.article.source import ARTICLE, CONCLUSION, MNIST, MNIST_SECTION, SVHN
from vaelab.reports.claims.claim import (
    Outcome,
    Statement,
    Verdict,
    of_parts,
    parts_in_words,
    tally,
    verdict,
)
from vaelab.reports.claims.estimate import Estimate, Sign, paired
from vaelab.reports.claims.pairs import Pair, steps
from vaelab.reports.claims.sizes import SIMILAR
from vaelab.reports.context import ReportContext
from vaelab.reports.text import MINUS, Table, listed, percent

MARKEDLY = Statement(
    "More latent dimensions improve the decoder markedly, on MNIST and on SVHN.",
    "As the dimension increases in the latent space, we see a significant improvement in the decoder. In the later "
    "SVHN model, we will observe a similar behavior.",
    MNIST_SECTION,
    (MNIST, SVHN),
    ARTICLE,
)
THE_MORE_THE_BETTER = Statement(
    "With more latent features the autoencoder is better (here: as a model of the test images).",
    "As more latent features are considered in the images, the better the performance of the autoencoders is.",
    CONCLUSION,
    (MNIST, SVHN),
    ARTICLE,
)
STEP = "A step goes from one number of latent dimensions to the next larger one of the same model."


@dataclass(frozen=True)
class DimensionStep:
    """The gain (> 0) or loss of a step, and whether it is for the claim."""

    pair: Pair
    cells: list[str]
    signs: list[Sign]


def markedly(context: ReportContext) -> Outcome:
    """Check whether each step up lowers the reconstruction error by more than SIMILAR, on each data set."""

    def take(pair: Pair) -> DimensionStep:
        gain = relative_gain(context, pair)
        return DimensionStep(pair, [as_percent(gain)], [gain.above(SIMILAR)])

    rule = f"It improves markedly if the reconstruction MSE is lower by more than {percent(SIMILAR)}."
    return _outcome(
        context,
        take,
        ["reconstruction MSE lower by"],
        ("the improvement", "marked", "not marked", "bring no marked improvement"),
        rule,
    )


def the_more_the_better(context: ReportContext) -> Outcome:
    """Check whether each step up improves the bounds, by any amount."""

    def take(pair: Pair) -> DimensionStep:
        gains = [_gain(context, pair, "elbo", -1), _gain(context, pair, "nll", 1)]
        return DimensionStep(pair, [str(gain) for gain in gains], [gain.sign for gain in gains])

    rule = "It is better or worse if the interval of the difference in nats does not contain zero."
    return _outcome(
        context,
        take,
        [f"{MINUS}ELBO lower by, nats", "NLL lower by, nats"],
        ("the larger model", "better", "worse", "bring no clear improvement"),
        rule,
    )


def _gain(context: ReportContext, pair: Pair, name: str, sign: int) -> Estimate:
    return paired(*([sign * context.per_image(run, name) for run in runs] for runs in (pair.first, pair.second)))


def _outcome(
    context: ReportContext,
    take: Callable[[Pair], DimensionStep],
    columns: list[str],
    words: tuple[str, str, str, str],
    rule: str,
) -> Outcome:
    taken = [take(pair) for pair in steps(context.done)]
    by_data = {name: [s for s in taken if s.pair.first[0].spec.data == name] for name in _data(taken)}
    verdicts: dict[str, Verdict] = {f"on {name}": verdict(_signs(own)) for name, own in by_data.items()}
    subject, favour, against, lacks = words
    said = [
        f"On {name}, {tally(_signs(own), subject, f'is {favour}', f'is {against}')}." for name, own in by_data.items()
    ]
    stuck = [step for step in taken if any(sign < 1 for sign in step.signs)]
    told: dict[Sign, str] = {1: favour, 0: "not clear", -1: against}
    rows = [
        [
            step.pair.first[0].title,
            _where(context, step),
            *step.cells,
            " / ".join(dict.fromkeys(told[sign] for sign in step.signs)),
        ]
        for step in taken
    ]
    return Outcome(
        " ".join(said)
        + (f" These steps {lacks}: {_by_title(context, stuck)}." if stuck else "")
        + (f" {parts_in_words(verdicts)}" if len(verdicts) > 1 else ""),
        of_parts(verdicts),
        f"{STEP} {rule} Each data set is a part.",
        [run for step in taken for run in step.pair.runs],
        [Table(["model", "step", *columns, "the step is"], rows)],
    )


def _data(taken: Sequence[DimensionStep]) -> list[str]:
    return list(dict.fromkeys(step.pair.first[0].spec.data for step in taken))


def _signs(taken: Sequence[DimensionStep]) -> list[Sign]:
    return [sign for step in taken for sign in step.signs]


def _where(context: ReportContext, step: DimensionStep, between: str = " \N{RIGHTWARDS ARROW} ") -> str:
    return f"{context.point(step.pair.first[0])}{between}{step.pair.second[0].latent}"


def _by_title(context: ReportContext, taken: Sequence[DimensionStep]) -> str:
    titles = dict.fromkeys(step.pair.first[0].title for step in taken)
    own = {title: [step for step in taken if step.pair.first[0].title == title] for title in titles}
    said = {title: [_where(context, step, " to ") for step in some] for title, some in own.items()}
    return "; ".join(f"{title}, {listed(steps)}" for title, steps in said.items())
