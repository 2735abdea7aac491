"""Residual networks."""

from dataclasses import dataclass

from torch import nn

from vaelab.networks.conv import between, check_channels, doubling, halving, halvings
from vaelab.networks.mlp import check_sizes
from vaelab.networks.scales import activation_named, scaled
from vaelab.networks.stages import Block, Shape, Stage
from vaelab.system.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Residual:
    """Strided convolutions halve the image, with residual blocks at each size. The decoder is the mirror image.

    Group normalisation is over channels of one image (Wu & He 2018). So no image depends on the others in the batch, as
    it would with batch normalisation.

    Arguments:
        channels: feature maps of each stage, starting at the image.
        blocks: residual blocks in each stage.
        groups: number of groups in the normalisation; it divides every number of channels.
        hidden: sizes of fully connected layers between the maps and the latent space, mirrored in the decoder.
        activation: a name in `ACTIVATIONS`.

    Raises:
        SpecError: a size is below 1, or the channels are not a multiple of the groups.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    blocks: int = 1
    groups: int = 8
    hidden: tuple[int, ...] = ()
    activation: str = "elu"

    def __post_init__(self) -> None:
        check_channels(self.channels)
        for name, sizes in (("blocks", (self.blocks,)), ("groups", (self.groups,)), ("hidden", self.hidden)):
            check_sizes(name, sizes)
        activation_named(self.activation)
        if uneven := [c for c in self.channels if c % self.groups]:
            raise SpecError(
                found=f"{uneven[0]} channels in {self.groups} groups",
                expected="channels that are a multiple of the groups",
                do="change one of them, for example channels=32,64:groups=8",
            )

    def encoder(self, in_shape: Shape, out_shape: Shape) -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in zip((in_shape[0], *self.channels), self.channels, strict=False):
            layers += [scaled(halving(before, after), nn.GroupNorm), *self._blocks(after)]
        inner = (self.channels[-1], *halvings(in_shape, len(self.channels))[-1][1:])
        dense = between(inner, out_shape, self.hidden, activation_named(self.activation))
        return nn.Sequential(*layers, *self._normalised(self.channels[-1]), *dense)

    def decoder(self, in_shape: Shape, out_shape: Shape) -> nn.Module:
        shapes = halvings(out_shape, len(self.channels))
        inner = (self.channels[-1], *shapes[-1][1:])
        layers: list[nn.Module] = [*between(in_shape, inner, self.hidden[::-1], activation_named(self.activation))]
        maps = (out_shape[0], *self.channels)
        for stage in reversed(range(len(self.channels))):
            channels = maps[stage + 1]
            up = scaled(doubling(channels, maps[stage], shapes[stage]), nn.GroupNorm if stage else None)
            layers += [*self._blocks(channels), *self._normalised(channels), up]
        return nn.Sequential(*layers)

    def stages(self, in_shape: Shape) -> list[Stage]:
        shapes = halvings(in_shape, len(self.channels))
        maps = (in_shape[0], *self.channels)
        return [self._stage(maps[i], (maps[i + 1], *shapes[i + 1][1:])) for i in range(len(self.channels))]

    def _stage(self, before: int, shape: Shape) -> Stage:
        channels = shape[0]
        return Stage(
            shape=shape,
            down=lambda: nn.Sequential(scaled(halving(before, channels), nn.GroupNorm), *self._blocks(channels)),
            block=lambda: nn.Sequential(*self._blocks(channels)),
            up=lambda to: nn.Sequential(*self._normalised(channels), scaled(doubling(channels, to[0], to))),
            linear=lambda numbers, to: nn.Conv2d(numbers, to, kernel_size=1),
        )

    def _normalised(self, channels: int) -> list[nn.Module]:
        return [nn.GroupNorm(self.groups, channels), activation_named(self.activation)()]

    def _blocks(self, channels: int) -> list[nn.Module]:
        """Return blocks of two convolutions, each after normalisation and activation (He et al. 2016b, figure 4 e)."""

        def half() -> list[nn.Module]:
            convolution = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
            return [*self._normalised(channels), scaled(convolution, nn.GroupNorm)]

        return [Block(*half(), *half()) for _ in range(self.blocks)]
