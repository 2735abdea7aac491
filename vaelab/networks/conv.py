"""Convolutional networks."""

from dataclasses import dataclass

from torch import nn

from vaelab.networks.mlp import check_sizes, mlp
from vaelab.networks.scales import activation_named, scaled
from vaelab.networks.stages import Shape
from vaelab.system.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class ArticleConvolutional:
    """The article's network for SVHN: one convolution in the encoder and none in the decoder.

    The article gives 16 maps and no other detail. We chose a 4 x 4 kernel with stride 2.

    Arguments:
        maps: feature maps of the convolution.
        hidden: sizes of the fully connected layers after it, mirrored in the decoder.
        activation: a name in `ACTIVATIONS`.
    """

    maps: int = 16
    hidden: tuple[int, ...] = (500,)
    activation: str = "elu"

    def __post_init__(self) -> None:
        check_sizes("maps", (self.maps,))
        check_sizes("hidden", self.hidden)
        activation_named(self.activation)

    def encoder(self, in_shape: Shape, out_shape: Shape) -> nn.Module:
        activation = activation_named(self.activation)
        (_, height, width) = halvings(in_shape, 1)[-1]
        dense = mlp((self.maps, height, width), out_shape, self.hidden, activation)
        return nn.Sequential(scaled(halving(in_shape[0], self.maps), activation), activation(), *dense)

    def decoder(self, in_shape: Shape, out_shape: Shape) -> nn.Module:
        return mlp(in_shape, out_shape, self.hidden[::-1], activation_named(self.activation))


@dataclass(frozen=True, kw_only=True)
class Convolutional:
    """Strided convolutions that halve the image, mirrored by transposed convolutions that double it.

    Every stage has a 4 x 4 kernel with stride 2. The kernel size is a multiple of the stride, so the transposed
    convolutions overlap evenly (Odena, Dumoulin & Olah 2016). The decoder restores odd sizes exactly.

    Arguments:
        channels: feature maps of each stage, starting at the image.
        hidden: sizes of fully connected layers between the maps and the latent space, mirrored in the decoder.
        activation: a name in `ACTIVATIONS`.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    hidden: tuple[int, ...] = ()
    activation: str = "elu"

    def __post_init__(self) -> None:
        check_channels(self.channels)
        check_sizes("hidden", self.hidden)
        activation_named(self.activation)

    def encoder(self, in_shape: Shape, out_shape: Shape) -> nn.Module:
        activation = activation_named(self.activation)
        shapes = halvings(in_shape, len(self.channels))
        layers: list[nn.Module] = []
        for before, after in zip((in_shape[0], *self.channels), self.channels, strict=False):
            layers += [scaled(halving(before, after), activation), activation()]
        inner = (self.channels[-1], *shapes[-1][1:])
        return nn.Sequential(*layers, *between(inner, out_shape, self.hidden, activation))

    def decoder(self, in_shape: Shape, out_shape: Shape) -> nn.Module:
        activation = activation_named(self.activation)
        shapes = halvings(out_shape, len(self.channels))
        inner = (self.channels[-1], *shapes[-1][1:])
        layers: list[nn.Module] = [*between(in_shape, inner, self.hidden[::-1], activation, activation)]
        maps = (out_shape[0], *self.channels)
        for stage in reversed(range(len(self.channels))):
            up = doubling(maps[stage + 1], maps[stage], shapes[stage])
            layers += [activation(), scaled(up, activation if stage else None)]
        return nn.Sequential(*layers)


def check_channels(channels: tuple[int, ...]) -> None:
    """Raise SpecError unless there is at least one stage and every stage has at least one map."""
    check_sizes("channels", channels)
    if not channels:
        raise SpecError(
            found="no channels", expected="a number of feature maps for each stage", do="use, say, channels=32,64"
        )


def halving(before: int, after: int) -> nn.Conv2d:
    """Return a convolution from `before` maps to `after` maps of half their size."""
    return nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1)


def between(
    in_shape: Shape,
    out_shape: Shape,
    hidden: tuple[int, ...],
    activation: type[nn.Module],
    behind: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Return the layers between the innermost maps and the latent space, for encoder or decoder.

    This is a 1 x 1 convolution if both are maps of the same size and there are no hidden layers; otherwise it is fully
    connected.

    Arguments:
        behind: the activation that the caller applies to the output; None if there is none.
    """
    if in_shape[1:] == out_shape[1:] and not hidden:
        return nn.Sequential(scaled(nn.Conv2d(in_shape[0], out_shape[0], kernel_size=1), behind))
    return mlp(in_shape, out_shape, hidden, activation, behind)


def doubling(before: int, after: int, to: Shape) -> nn.ConvTranspose2d:
    """Return a transposed convolution from `before` maps of half the size to `after` maps of the size of shape `to`."""
    odd = (to[1] % 2, to[2] % 2)  # the row and column that the halving dropped
    return nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1, output_padding=odd)


def halvings(shape: Shape, stages: int) -> list[Shape]:
    """Return the image's shape before each stage and after the last; a stage floors half the height and width."""
    channels, height, width = shape
    if min(height, width) < 2**stages:
        raise SpecError(
            found=f"{stages} halving stages for images of {height} x {width}",
            expected=f"at most {min(height, width).bit_length() - 1} for this size",
            do="give fewer channels, or use --network mlp",
        )
    return [(channels, height >> stage, width >> stage) for stage in range(stages + 1)]
