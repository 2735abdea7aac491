"""The top-down path through groups of latent variables, and the distributions that it defines."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaelab.distributions import DrawMemo, diagonal_normal, kl_divergence
from vaelab.distributions.shape import SampleShape
from vaelab.models.conditional import rounding
from vaelab.networks.stages import Shape, Stage

MEANS = 16  # top-down passes that E[z] is averaged over

Pick = Callable[[int, Tensor], Tensor]  # (g, features h [N, C, ...]) -> z_g [N, *shape of the group]


class LatentGroup(nn.Module):
    """The parts of p for one group z_g: p(z_g | h), unless it is the top group, and the path from z_g downwards.

    Arguments:
        stage: the stage of the group.
        size: numbers at each place.
        top: whether it is the top group.
    """

    def __init__(self, stage: Stage, size: int, top: bool) -> None:
        super().__init__()
        channels = stage.shape[0]
        self.shape = (size, *stage.shape[1:])
        self.prior = None if top else _at_first_zero(stage.linear(channels, 2 * size))  # N(0, I)
        self.enter = stage.linear(size, channels)
        self.block = stage.block()

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        """Return the features after z_g, [N, C, ...]."""
        return self.block(h + self.enter(z))


class TopDown(nn.Module):
    """The top-down path to the image, which is shared by inference, sampling and evaluation of a given z.

    Arguments:
        stages: of a network, starting at the image.
        stage_of: for each group, from the top, its index in `stages`.
        sizes: for each group, from the top, the numbers at each place.
        out_shape: of the likelihood's parameters.
    """

    use_bfloat16: bool = False

    def __init__(self, stages: list[Stage], stage_of: list[int], sizes: list[int], out_shape: Shape) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(stages[-1].shape))
        groups = [
            LatentGroup(stages[place], size, top=g == 0)
            for g, (place, size) in enumerate(zip(stage_of, sizes, strict=True))
        ]
        self.groups = nn.ModuleList(groups)
        above = [stage_of[0], *stage_of]
        self.ways = nn.ModuleList(_way(stages, *pair) for pair in zip(above, stage_of, strict=False))
        self.out = nn.Sequential(_way(stages, stage_of[-1], 0), stages[0].up(out_shape))
        self.shapes = [group.shape for group in groups]
        self.sizes = [prod(shape) for shape in self.shapes]

    def down(self, count: int, pick: Pick) -> tuple[Tensor, Tensor]:
        """Let `pick` choose each z_g from the features above it; return those above z_G [count, C, ...], and z_G."""
        h, z = self.start.expand(count, *self.start.shape), self.start
        with rounding(self.use_bfloat16, self.start.device):
            for g, way in enumerate(self.ways):
                h = way(self.groups[g - 1](h, z) if g else h)
                z = pick(g, h)
        return h, z

    def image(self, h: Tensor, z: Tensor) -> Tensor:
        """Return the parameters of p(x|z), [N, *out_shape], from the result of `down`."""
        with rounding(self.use_bfloat16, h.device):
            return self.out(self.groups[-1](h, z)).float()

    def prior(self, g: int, h: Tensor, top: Distribution) -> Distribution:
        """Return p(z_g | z_<g), batch [N], of vectors; batch [] for the first group."""
        return top if g == 0 else _normal(self.groups[g].prior(h))  # pyright: ignore[reportCallIssue]

    def parts(self, z: Tensor) -> list[Tensor]:
        """Return the groups of z [N, D], each in its shape."""
        each = zip(z.split(self.sizes, -1), self.shapes, strict=True)
        return [part.unflatten(-1, shape) for part, shape in each]

    def forward(self, z: Tensor) -> Tensor:
        """Return the parameters of p(x|z), [N, *out_shape], for z [N, D]."""
        given = self.parts(z)
        return self.image(*self.down(z.shape[0], lambda g, h: given[g]))


class Inference(nn.Module):
    """q(z_g | z_<g, x) of all groups: the part of an encoder that combines its features of x with those from above.

    Arguments:
        stages: of the encoder, starting at the image; their features are one vector [F].
        stage_of: for each group, from the top, its index in `stages`.
        sizes: for each group, from the top, the numbers at each place.
    """

    def __init__(self, stages: list[Stage], stage_of: list[int], sizes: list[int]) -> None:
        super().__init__()
        self.shapes = [stage.shape for stage in stages]
        self.stage_of = stage_of
        self.groups = nn.ModuleList(
            nn.Sequential(
                stage.linear(2 * stage.shape[0], stage.shape[0]), stage.block(), stage.linear(stage.shape[0], 2 * size)
            )
            for stage, size in zip((stages[place] for place in stage_of), sizes, strict=True)
        )

    def forward(self, g: int, h: Tensor, features: Tensor) -> Distribution:
        """Return q(z_g | z_<g, x), batch [N], from the features h [N, C, ...] above it and those of x, [N, F]."""
        place = self.stage_of[g]
        sizes = [prod(shape) for shape in self.shapes]
        own = features.split(sizes, -1)[place].unflatten(-1, self.shapes[place])
        return _normal(self.groups[g](torch.cat([h, own], 1)))


@dataclass(frozen=True)
class Pass:
    """The results of one top-down pass, for N images and draws."""

    z: Tensor  # [N, D]
    log_post: Tensor  # [N]  log q(z|x); 0 without an image
    log_prior: Tensor  # [N]  log p(z); 0 without p(z_1)
    kl: list[Tensor]  # [N] for each group, given those above it; estimated from one draw if it has no closed form
    mean: Tensor  # [N, D]  of each group, given those above it; [N, 0] without an image
    ends: tuple[Tensor, Tensor]  # arguments of `TopDown.image`


def descend(
    trunk: TopDown,
    count: int,
    given: Tensor | None = None,
    top: Distribution | None = None,
    inference: Inference | None = None,
    features: Tensor | None = None,
) -> Pass:
    """Make one top-down pass: with z ~ q(z|x) if features of images are given, z ~ p(z) otherwise, or a given z.

    Arguments:
        count: N.
        given: z [N, D].
        top: p(z_1), of vectors.
        inference, features: of images, [N, F].
    """
    parts = None if given is None else trunk.parts(given)
    z, kl, means, log_post, log_prior = list[Tensor](), list[Tensor](), list[Tensor](), list[Tensor](), list[Tensor]()

    def pick(g: int, h: Tensor) -> Tensor:
        p = None if top is None else trunk.prior(g, h, top)
        q = None if inference is None or features is None else inference(g, h, features)
        z_g = parts[g].flatten(1) if parts else _drawn(q or p, count)
        z.append(z_g)
        if q is not None:
            log_post.append(q.log_prob(z_g))
            means.append(q.mean)
        if p is not None:
            log_prior.append(p.log_prob(z_g))
        if q is not None and p is not None:
            exact = kl_divergence(q, p)
            kl.append(log_post[g] - log_prior[g] if exact is None else exact)
        return z_g.unflatten(-1, trunk.shapes[g])

    ends = trunk.down(count, pick)
    none = trunk.start.new_zeros(count)
    return Pass(
        z=torch.cat(z, -1),
        log_post=sum(log_post, none),
        log_prior=sum(log_prior, none),
        kl=kl,
        mean=torch.cat(means, -1) if means else none.unsqueeze(-1)[:, :0],
        ends=ends,
    )


class Hierarchical(Distribution):
    """p(z), or q(z|x) of images. As in a flow, the last draw is kept with its density.

    Arguments:
        trunk: the top-down path.
        top: p(z_1) for p(z); None for q(z|x).
        inference, features: for q(z|x), of images [*batch, F].
    """

    has_rsample = True
    mean_is_estimated = True  # from MEANS top-down passes, with different draws each time

    def __init__(
        self,
        trunk: TopDown,
        top: Distribution | None = None,
        inference: Inference | None = None,
        features: Tensor | None = None,
    ) -> None:
        self.trunk, self.top, self.inference, self.features = trunk, top, inference, features
        self.memo = DrawMemo()
        batch = torch.Size() if features is None else features.shape[:-1]
        super().__init__(batch, torch.Size([sum(trunk.sizes)]), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    @property
    def mean(self) -> Tensor:
        """E[z], [*batch, D]: the mean of each group given those above it, averaged over draws of the latter."""
        with torch.no_grad():
            means = [self.descend(self.batch_shape).mean for _ in range(MEANS)]
            return torch.stack(means).mean(0).reshape(*self.batch_shape, -1)

    def descend(self, leading: torch.Size, given: Tensor | None = None, top: Distribution | None = None) -> Pass:
        """Call `descend` with the axes `leading`, which include the batch, flattened to N."""
        features = None if self.features is None else self.features.expand(*leading, -1).reshape(leading.numel(), -1)
        return descend(self.trunk, leading.numel(), given, top or self.top, self.inference, features)

    def rsample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        leading = torch.Size(sample_shape) + self.batch_shape
        went = self.descend(leading)
        z = went.z.reshape(*leading, -1)
        self.memo.keep(z, self._density(went).reshape(leading))
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        if (known := self.memo.log_prob(value)) is not None:
            return known
        leading = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        given = value.to(self.trunk.start.dtype).expand(*leading, -1).reshape(leading.numel(), -1)
        return self._density(self.descend(leading, given)).reshape(leading)

    def _density(self, went: Pass) -> Tensor:
        return went.log_prior if self.inference is None else went.log_post


def _way(stages: list[Stage], place: int, to: int) -> nn.Module:
    """Return the path from the features of one stage to those of another, nearer to the image."""
    return nn.Sequential(*(stages[i].up(stages[i - 1].shape) for i in range(place, to, -1)))


def _drawn(source: Distribution | None, count: int) -> Tensor:
    """Draw [count, n] from p(z_1) without a batch, or from a batch of size `count`."""
    assert source is not None
    size = torch.Size([] if source.batch_shape else [count])
    return source.rsample(size) if source.has_rsample else source.sample(size)


def _normal(parameters: Tensor) -> Distribution:
    """Return N(mu, diag(sigma^2)) of vectors, from mu and log sigma^2, the two halves of the channels."""
    mu, log_var = parameters.float().flatten(1).chunk(2, -1)
    return diagonal_normal(mu, 0.5 * log_var)


def _at_first_zero(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    return module
