"""The kinds of models that the article compares."""

from vaelab.reports.claims.pairs import Pair, pairs
from vaelab.reports.context import ReportContext
from vaelab.studies.study import Member


def fully_connected(member: Member) -> bool:
    return _name(member.spec.network) == "mlp"


def convolutional(member: Member) -> bool:
    return _name(member.spec.network) in ("article-conv", "conv")


def bernoulli(member: Member) -> bool:
    return _name(member.spec.likelihood) == "bernoulli"


def gaussian(member: Member) -> bool:
    """A Gaussian decoder whose means go through a sigmoid, as the article's do."""
    return _name(member.spec.likelihood) == "gaussian" and not free_mean(member)


def free_mean(member: Member) -> bool:
    """A Gaussian decoder whose means may be any number."""
    return _name(member.spec.likelihood) == "gaussian" and "mean=free" in member.spec.likelihood.split(":")


def by_network(context: ReportContext) -> list[Pair]:
    """(fully connected, convolutional) models with the same Spec but for the network."""
    return pairs(context, fully_connected, convolutional, ("network",))


def by_likelihood(context: ReportContext) -> list[Pair]:
    """(Bernoulli, Gaussian) models with the same Spec but for the likelihood and what it reads pixels as."""
    return pairs(context, bernoulli, gaussian, ("likelihood", "protocol"))


def _name(part: str) -> str:
    return part.split(":")[0]
