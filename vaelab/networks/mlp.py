"""Fully connected networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import nn

from vaelab.errors import SpecError, unknown
from vaelab.networks.stages import Block, Shape, Stage

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


def activation_named(name: str) -> type[nn.Module]:
    """The activation module called `name`; SpecError lists the known ones."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def check_sizes(what: str, sizes: Sequence[int]) -> None:
    """SpecError unless every size is at least 1."""
    if any(size < 1 for size in sizes):
        raise SpecError(found=f"{what} = {','.join(map(str, sizes))}", expected="sizes of at least 1", do="raise them")


def mlp(in_shape: Shape, out_shape: Shape, hidden: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    """[..., *in_shape] flattened -> hidden layers, an activation behind each -> [..., *out_shape]."""
    layers: list[nn.Module] = [nn.Flatten()]
    width = prod(in_shape)
    for size in hidden:
        layers += [nn.Linear(width, size), activation()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, prod(out_shape)), nn.Unflatten(1, out_shape))


@dataclass(frozen=True, kw_only=True)
class FullyConnected:
    """Kingma & Welling's networks (2014, appendix C): hidden layers, mirrored in the decoder.

    Arguments:
        hidden: sizes of the encoder's hidden layers, from the image inwards; none makes both maps affine.
        activation: a name in `ACTIVATIONS`.
    """

    hidden: tuple[int, ...] = (500,)
    activation: str = "tanh"

    def __post_init__(self) -> None:
        check_sizes("hidden", self.hidden)
        activation_named(self.activation)

    def encoder(self, in_shape: Shape, out_shape: Shape) -> nn.Module:
        return mlp(in_shape, out_shape, self.hidden, activation_named(self.activation))

    def decoder(self, in_shape: Shape, out_shape: Shape) -> nn.Module:
        return mlp(in_shape, out_shape, self.hidden[::-1], activation_named(self.activation))

    def stages(self, in_shape: Shape) -> list[Stage]:
        before = (in_shape, *((size,) for size in self.hidden))
        return [self._stage(shape, size) for shape, size in zip(before, self.hidden, strict=False)]

    def _stage(self, before: Shape, size: int) -> Stage:
        act = activation_named(self.activation)
        return Stage(
            shape=(size,),
            down=lambda: nn.Sequential(nn.Flatten(), nn.Linear(prod(before), size), act()),
            block=lambda: Block(act(), nn.Linear(size, size), act(), nn.Linear(size, size)),
            up=lambda to: nn.Sequential(act(), nn.Linear(size, prod(to)), nn.Unflatten(1, to)),
            linear=nn.Linear,
        )
