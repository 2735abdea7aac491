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
    """Whether the decoder is Gaussian with a sigmoid on its means, as in the article."""
    return _name(member.spec.likelihood) == "gaussian" and not free_mean(member)


def free_mean(member: Member) -> bool:
    """Whether the decoder is Gaussian with means that may be any number."""
    return _name(member.spec.likelihood) == "gaussian" and "mean=free" in member.spec.likelihood.split(":")


def by_network(context: ReportContext) -> list[Pair]:
    """Pairs of (fully connected, convolutional) models whose Specs differ only in the network."""
    return pairs(context, fully_connected, convolutional, ("network",))


def by_likelihood(context: ReportContext) -> list[Pair]:
    """Pairs of (Bernoulli, Gaussian) models whose Specs differ only in the likelihood and its protocol."""
    return pairs(context, bernoulli, gaussian, ("likelihood", "protocol"))


def _name(part: str) -> str:
    return part.split(":")[0]
