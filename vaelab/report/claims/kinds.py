"""The kinds of runs that the claims speak of, and which runs are compared with which."""

from vaelab.report.material import Material
from vaelab.study import Member


def fully_connected(member: Member) -> bool:
    return _name(member.spec.network) == "mlp"


def convolutional(member: Member) -> bool:
    return _name(member.spec.network) in ("article-conv", "conv")


def bernoulli(member: Member) -> bool:
    return _name(member.spec.likelihood) == "bernoulli"


def gaussian(member: Member) -> bool:
    return _name(member.spec.likelihood) == "gaussian"


def by_network(material: Material) -> list[tuple[Member, Member]]:
    """(fully connected, convolutional) runs with the same likelihood of the same pixels."""
    return material.pairs(fully_connected, convolutional, lambda m: (m.spec.protocol, m.spec.likelihood))


def by_likelihood(material: Material) -> list[tuple[Member, Member]]:
    """(Bernoulli, Gaussian) runs with the same network."""
    return material.pairs(bernoulli, gaussian, lambda m: m.spec.network)


def _name(part: str) -> str:
    return part.split(":")[0]
