"""Which digits a model can produce, by its number of latent dimensions."""

from collections.abc import Callable
from dataclasses import dataclass

from vaelab.evaluation.digits import DIGITS, appearance, recognition
from vaelab.evaluation.share import Share
from vaelab.report.claims.claim import Claim, Table, Verdict, agreed
from vaelab.report.claims.kinds import bernoulli, fully_connected
from vaelab.report.material import Material, plain
from vaelab.report.text import DASH, listed, percent, with_interval
from vaelab.study import Member

PRIOR_SAMPLES = 2_000
RECOGNISED = 0.5  # least share of a digit's reconstructions that are read as that digit
APPEARS = 0.02  # least share of a digit among the confident prior samples: a fifth of an even share
ALL = frozenset(range(DIGITS))


@dataclass(frozen=True)
class Produced:
    """What one model makes of each of the ten digits."""

    member: Member
    recognised: list[Share]  # of the digit's reconstructions, those read as the digit
    appears: list[Share]  # of the confident prior samples, those read as the digit

    @property
    def digits(self) -> frozenset[int]:
        """The digits that count as produced."""
        return frozenset(d for d in ALL if counts_as_produced(self.recognised[d], self.appears[d]))


def digits(material: Material) -> list[Claim]:
    """Whether 2, 5, 10 and 20 dimensions produce the digits that the article names."""
    members = [m for m in material.done if _asked(material, m)]
    produced = [_produced(material, m) for m in members if m.latent in (2, 5, 10, 20)]
    return [
        _claim(
            material,
            "In two dimensions only 0, 1, 3, 8 and 9 are recognised in the decoder's images.",
            [p for p in produced if p.member.latent == 2],
            only,
            "contradicted if any other digit is produced, supported if these and no others are, otherwise mixed",
        ),
        _claim(
            material,
            "With five dimensions, 6 and 7 are recognised too.",
            [p for p in produced if p.member.latent == 5],
            six_and_seven,
            "supported if both are produced, mixed if one is, contradicted if neither is",
        ),
        _claim(
            material,
            "With ten and twenty dimensions, the decoder can represent all digits.",
            [p for p in produced if p.member.latent in (10, 20)],
            every_digit,
            "supported if all ten are produced, contradicted if two or more are not, mixed if one is not",
        ),
    ]


def counts_as_produced(recognised: Share, appears: Share) -> bool:
    """Whether most of a digit's reconstructions are recognised, and it is seen among the prior samples."""
    return recognised.n > 0 and recognised.value >= RECOGNISED and appears.n > 0 and appears.value >= APPEARS


def only(produced: frozenset[int]) -> Verdict:
    """The verdict on "only 0, 1, 3, 8 and 9"."""
    named = {0, 1, 3, 8, 9}
    if produced - named:
        return "contradicted"
    return "supported" if produced == named else "mixed"


def six_and_seven(produced: frozenset[int]) -> Verdict:
    """The verdict on "6 and 7 too"."""
    found = len(produced & {6, 7})
    return "supported" if found == 2 else "mixed" if found == 1 else "contradicted"


def every_digit(produced: frozenset[int]) -> Verdict:
    """The verdict on "all digits"."""
    missing = len(ALL - produced)
    return "supported" if not missing else "mixed" if missing == 1 else "contradicted"


def _claim(
    material: Material, says: str, produced: list[Produced], rule: Callable[[frozenset[int]], Verdict], rule_text: str
) -> Claim:
    parts = [
        f"{one.member.spec.data}, {material.at(one.member)}: "
        + ("all ten are produced" if one.digits == ALL else f"produced are {_names(one.digits)}")
        + (f"; not {_names(ALL - one.digits)}" if one.digits != ALL else "")
        for one in produced
    ]
    readers = {one.member.spec.data: material.reader(one.member) for one in produced}
    measured = (
        "; ".join(parts)
        + "."
        + "".join(
            f" The classifier is right about {with_interval(reader.accuracy)} of {data}'s test images."
            for data, reader in readers.items()
        )
    )
    return Claim(
        says,
        measured,
        agreed([rule(one.digits) for one in produced]),
        "Images are read by the five nearest of up to 10,000 training images. A digit counts as produced if at least "
        f"{percent(RECOGNISED)} of the reconstructions of its test images are read as that digit, and it makes up at "
        f"least {percent(APPEARS)} of those of {PRIOR_SAMPLES:,} prior samples (decoder means) on which four of the "
        f"five neighbours agree. The claim is {rule_text}; mixed where runs disagree.",
        [Table(["share", "run", *map(str, range(DIGITS))], [row for one in produced for row in _rows(material, one)])],
    )


def _asked(material: Material, member: Member) -> bool:
    """Whether it is the kind of model that the article speaks of here: fully connected, Bernoulli, on grey digits."""
    test = material.data(member).test
    ten_labels = test.labels is not None and set(test.labels.tolist()) == set(ALL)
    return fully_connected(member) and bernoulli(member) and test.shape[0] == 1 and ten_labels


def _produced(material: Material, member: Member) -> Produced:
    reader, labels = material.reader(member), material.test(member).labels
    assert labels is not None
    return Produced(
        member,
        recognition(reader, material.reconstructions(member), labels),
        appearance(reader, material.prior_means(member, PRIOR_SAMPLES)),
    )


def _rows(material: Material, one: Produced) -> list[list[str]]:
    test, where = material.test(one.member), material.at(one.member)
    assert test.labels is not None
    real = recognition(material.reader(one.member), plain(test), test.labels)
    kinds = [
        ("test images read rightly", real),
        ("reconstructions read rightly", one.recognised),
        (f"prior samples (of {one.appears[0].n:,} confident)", one.appears),
        ("counts as produced", None),
    ]
    return [[name, where, *(_cells(shares) if shares else _marks(one.digits))] for name, shares in kinds]


def _cells(shares: list[Share]) -> list[str]:
    return [percent(share.value) if share.n else DASH for share in shares]


def _marks(produced: frozenset[int]) -> list[str]:
    return ["yes" if d in produced else "no" for d in range(DIGITS)]


def _names(some: frozenset[int]) -> str:
    return listed([str(d) for d in sorted(some)])
