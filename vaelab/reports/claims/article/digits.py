"""Claims about the digits that a model can produce, by its number of latent dimensions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vaelab.evaluation.proportion import Proportion
from vaelab.reports.claims.article.kinds import bernoulli, fully_connected
from vaelab.reports.claims.article.manifolds import manifold
from vaelab.reports.claims.article.source import ARTICLE, MNIST, MNIST_SECTION
from vaelab.reports.claims.claim import (
    UNJUDGED,
    Outcome,
    Statement,
    Verdict,
    agreed,
    of_parts,
    parts_in_words,
)
from vaelab.reports.claims.pairs import ladders
from vaelab.reports.context import ReportContext
from vaelab.reports.digits import DIGITS, appearance, recognition
from vaelab.reports.text import DASH, Table, latent, listed, percent
from vaelab.studies.study import Member

TWO_DIMENSIONS = Statement(
    "With two dimensions only 0, 1, 3, 8 and 9 are recognised in the decoder's images.",
    "In the 2 dimensional space, it appears only 0, 1, 3, 8, and 9 are recognized.",
    f"{MNIST_SECTION}, Figure 1b",
    (MNIST,),
    ARTICLE,
)
FIVE_DIMENSIONS = Statement(
    "With five dimensions 6 and 7 are recognised; with two they are not.",
    "In 1c, 6, and 7 get recognized.",
    f"{MNIST_SECTION}, Figure 1c",
    (MNIST,),
    ARTICLE,
)
MORE_DIMENSIONS = Statement(
    "With ten dimensions, and also with twenty, the decoder can represent all digits.",
    "In 1d and 1e, all digits can be represented by the decoder.",
    f"{MNIST_SECTION}, Figures 1d and 1e",
    (MNIST,),
    ARTICLE,
)
SAME_DIGITS = Statement(
    "The two-dimensional manifold shows the digits that are recognised in the reconstructions.",
    "Figure 2, 2a shows the space learned by our autoencoder. It is consistent with what we see in the 2D case in "
    "Figure 1b.",
    f"{MNIST_SECTION}, Figure 2a",
    (MNIST,),
    ARTICLE,
)
PRIOR_SAMPLES = 2_000
RECOGNISED = 0.5  # the smallest proportion of a digit's reconstructions that must be read as that digit
APPEARS = 0.02  # the smallest proportion of a digit among the confident images: a fifth of an equal proportion
ALL = frozenset(range(DIGITS))
NAMED = frozenset({0, 1, 3, 8, 9})
READ = (
    f"A classifier reads images by the five nearest of up to 10,000 training images. A digit counts as produced if at "
    f"least {percent(RECOGNISED)} of the reconstructions of its test images are read as that digit, and at least "
    f"{percent(APPEARS)} of the confident prior samples are. Of {PRIOR_SAMPLES:,} prior samples (decoder means), those "
    "are confident on which four of the five neighbours agree. With several seeds, this must hold for more than half "
    "of them."
)


@dataclass(frozen=True)
class Produced:
    """How one run produces each of the ten digits."""

    member: Member
    recognised: list[Proportion]  # the proportion of the digit's reconstructions that are read as the digit
    appears: list[Proportion]  # the proportion of the confident prior samples that are read as the digit

    @property
    def digits(self) -> frozenset[int]:
        """The digits that count as produced."""
        return frozenset(d for d in ALL if counts_as_produced(self.recognised[d], self.appears[d]))


def two_dimensions(context: ReportContext) -> Outcome:
    """Check whether two dimensions produce the digits that the article names, and no others."""
    return _outcome(context, (2,), lambda digits: only(digits[2]))


def five_dimensions(context: ReportContext) -> Outcome:
    """Check whether five dimensions produce 6 and 7, and two do not."""
    return _outcome(context, (2, 5), six_and_seven)


def more_dimensions(context: ReportContext) -> Outcome:
    """Check whether ten dimensions produce every digit, and whether twenty do."""

    def every(digits: dict[int, frozenset[int]]) -> dict[str, Verdict]:
        return {f"all digits with {latent(z)}": every_digit(digits[z]) for z in sorted(digits)}

    return _outcome(context, (10, 20), every)


def same_digits(context: ReportContext) -> Outcome:
    """Check whether the manifold shows the digits that are recognised in the reconstructions in two dimensions."""
    runs = [m for m in context.done if _asked(context, m) and m.latent == 2]
    rows, seen, recognised = list[list[str]](), list[frozenset[int]](), list[frozenset[int]]()
    for run in runs:
        shares = appearance(context.reader(run), manifold(context, run))
        seen.append(frozenset(d for d in ALL if shares[d].n and shares[d].value >= APPEARS))
        produced = _produced(context, run)
        recognised.append(
            frozenset(d for d in ALL if produced.recognised[d].n and produced.recognised[d].value >= RECOGNISED)
        )
        where = context.at(run)
        rows.append(["manifold", where, *_cells(shares)])
        rows.append(["reconstructions read correctly", where, *_cells(produced.recognised)])
    shown, known = majority(seen), majority(recognised)
    parts: dict[str, Verdict] = {
        "the manifold shows what is recognised": _holds(known <= shown),
        "it shows no other digit": _holds(shown <= known),
    }
    return Outcome(
        f"The classifier recognises {names(shown)} on the manifold, and {names(known)} in the reconstructions. "
        f"{parts_in_words(parts)}",
        of_parts(parts),
        "A classifier reads images by the five nearest of up to 10,000 training images. The manifold shows a digit if "
        f"at least {percent(APPEARS)} of its confident images are read as that digit. A digit is recognised if at "
        f"least {percent(RECOGNISED)} of the reconstructions of its test images are read as that digit.",
        runs,
        [Table(["share", "run", *map(str, range(DIGITS))], rows)],
    )


def counts_as_produced(recognised: Proportion, appears: Proportion) -> bool:
    """Whether most of a digit's reconstructions are recognised, and the digit appears in the prior samples."""
    return recognised.n > 0 and recognised.value >= RECOGNISED and appears.n > 0 and appears.value >= APPEARS


def majority(sets: Sequence[frozenset[int]]) -> frozenset[int]:
    """The digits that are in more than half of the sets, one for each seed."""
    return frozenset(d for d in ALL if 2 * sum(d in one for one in sets) > len(sets))


def only(produced: frozenset[int]) -> dict[str, Verdict]:
    """The two parts of "only 0, 1, 3, 8 and 9"."""
    return {
        "0, 1, 3, 8 and 9 are drawn": _holds(produced >= NAMED),
        "no other digit is drawn": _holds(produced <= NAMED),
    }


def six_and_seven(digits: dict[int, frozenset[int]]) -> dict[str, Verdict]:
    """The parts of "6 and 7 get recognised", by the digits of each number of dimensions that was trained."""
    if 5 not in digits:
        return {}
    five: dict[str, Verdict] = {f"{d} with five dimensions": _holds(d in digits[5]) for d in (6, 7)}
    return {**five, "neither with two dimensions": _holds(not digits[2] & {6, 7}) if 2 in digits else UNJUDGED}


def every_digit(produced: frozenset[int]) -> Verdict:
    """The verdict on "all digits": mixed if one is missing."""
    missing = len(ALL - produced)
    return "supported" if not missing else "mixed" if missing == 1 else "contradicted"


def names(some: frozenset[int]) -> str:
    """The digits in words, such as "the digits 0, 1 and 7"."""
    if not some or some == ALL:
        return "all ten digits" if some else "no digit"
    return f"the digit{'s' if len(some) > 1 else ''} {listed([str(d) for d in sorted(some)])}"


def _holds(true: bool) -> Verdict:
    return "supported" if true else "contradicted"


def _outcome(
    context: ReportContext, latents: tuple[int, ...], rule: Callable[[dict[int, frozenset[int]]], dict[str, Verdict]]
) -> Outcome:
    """Measure what the models with these numbers of latent dimensions produce; `rule` gives the parts of the claim."""
    produced, said, verdicts = list[Produced](), list[str](), list[Verdict]()
    for ladder in ladders([m for m in context.done if _asked(context, m) and m.latent in latents]):
        made = {runs[0].latent: [_produced(context, run) for run in runs] for runs in ladder}
        digits = {z: majority([one.digits for one in of]) for z, of in made.items()}
        parts = rule(digits)
        said += [f"With {context.point(of[0].member)} the model draws {drawn(digits[z])}." for z, of in made.items()]
        said += [parts_in_words(parts)] if len(parts) > 1 else []
        verdicts.append(of_parts(parts))
        produced += [one for of in made.values() for one in of]
    if produced:
        said.append(_accuracy(context, produced[0].member))
    return Outcome(
        " ".join(said),
        agreed(verdicts),
        f"{READ}",
        [one.member for one in produced],
        [_table(context, produced)],
    )


def drawn(some: frozenset[int]) -> str:
    """The produced digits in words, such as "recognisable 0s, 1s and 7s only"."""
    if some == ALL:
        return "all ten digits"
    return f"recognisable {listed([f'{d}s' for d in sorted(some)])} only" if some else "no recognisable digit"


def _accuracy(context: ReportContext, member: Member) -> str:
    accuracy = context.reader(member).accuracy
    low, high = accuracy.interval
    return (
        f"The classifier is right on {percent(accuracy.value)} of the test images ({percent(low)} to {percent(high)})."
    )


def _asked(context: ReportContext, member: Member) -> bool:
    """Whether the claims are about this kind of model: fully connected, Bernoulli, on grey digits."""
    if not (fully_connected(member) and bernoulli(member)):
        return False
    test = context.data(member).test
    return test.shape[0] == 1 and test.labels is not None and set(test.labels.tolist()) == set(ALL)


def _produced(context: ReportContext, member: Member) -> Produced:
    reader, labels = context.reader(member), context.test(member).labels
    assert labels is not None
    return Produced(
        member,
        recognition(reader, context.reconstructions(member), labels),
        appearance(reader, context.prior_means(member, PRIOR_SAMPLES)),
    )


def _table(context: ReportContext, produced: list[Produced]) -> Table:
    return Table(["share", "run", *map(str, range(DIGITS))], [row for one in produced for row in _rows(context, one)])


def _rows(context: ReportContext, one: Produced) -> list[list[str]]:
    labels, where = context.test(one.member).labels, context.at(one.member)
    assert labels is not None
    real = recognition(context.reader(one.member), context.images(one.member), labels)
    kinds = [
        ("test images read correctly", real),
        ("reconstructions read correctly", one.recognised),
        (f"prior samples (of {one.appears[0].n:,} confident)", one.appears),
    ]
    marks = ["yes" if d in one.digits else "no" for d in range(DIGITS)]
    return [*([name, where, *_cells(shares)] for name, shares in kinds), ["counts as produced", where, *marks]]


def _cells(shares: list[Proportion]) -> list[str]:
    return [percent(share.value) if share.n else DASH for share in shares]
