"""Fully connected networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import nn

from vaelab.networks.scales import activation_named, dense
from vaelab.networks.stages import Block, Shape, Stage
from vaelab.system.errors import SpecError


def check_sizes(what: str, sizes: Sequence[int]) -> None:
    """Raise SpecError unless every size is at least 1."""
    if any(size < 1 for size in sizes):
        raise SpecError(
            found=f"{what} = {','.join(map(str, sizes))}", expected="sizes of at least 1", do="use sizes of 1 or more"
        )


def mlp(
    in_shape: Shape,
    out_shape: Shape,
    hidden: Sequence[int],
    activation: type[nn.Module],
    behind: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Return a network: [N, *in_shape], flattened -> hidden layers with activations -> [N, *out_shape].

    Arguments:
        behind: the activation that the caller applies to the output; None if there is none.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    width = prod(in_shape)
    for size in hidden:
        layers += [dense(width, size, activation), activation()]
        width = size
    return nn.Sequential(*layers, dense(width, prod(out_shape), behind), nn.Unflatten(1, out_shape))


@dataclass(frozen=True, kw_only=True)
class FullyConnected:
    """Hidden layers, mirrored in the decoder. With `activation=tanh`: Kingma & Welling's networks (2014, appendix C).

    Arguments:
        hidden: sizes of the encoder's hidden layers, starting at the image; without any, both networks are affine.
        activation: a name in `ACTIVATIONS`. The default is the best of five on MNIST. With z = 10 and 30 epochs the
            -ELBO was 102.8 with GELU, 103.8 with ReLU, 104.3 with tanh, and 105.9 with ELU.
    """

    hidden: tuple[int, ...] = (500,)
    activation: str = "gelu"

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
            down=lambda: nn.Sequential(nn.Flatten(), dense(prod(before), size, act), act()),
            block=lambda: Block(act(), dense(size, size, act), act(), dense(size, size)),
            up=lambda to: nn.Sequential(act(), dense(size, prod(to)), nn.Unflatten(1, to)),
            linear=nn.Linear,
        )
