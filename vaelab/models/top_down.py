"""One way down through groups of latent variables, and the distributions that are read off it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaelab.distributions import diagonal_normal, kl_divergence
from vaelab.distributions.shape import SampleShape
from vaelab.models.conditional import rounding
from vaelab.networks.stages import Shape, Stage

MEANS = 16  # ways down that E[z] is averaged over

Pick = Callable[[int, Tensor], Tensor]  # (g, features h [N, C, ...]) -> z_g [N, *shape of the group]


class LatentGroup(nn.Module):
    """What p has for one group z_g: p(z_g | h) where there is something above it, and the way from z_g onwards.

    Arguments:
        stage: at whose size it lies.
        size: numbers at each place.
        top: whether there is nothing above it.
    """

    def __init__(self, stage: Stage, size: int, top: bool) -> None:
        super().__init__()
        channels = stage.shape[0]
        self.shape = (size, *stage.shape[1:])
        self.prior = None if top else _at_first_zero(stage.linear(channels, 2 * size))  # N(0, I)
        self.enter = stage.linear(size, channels)
        self.block = stage.block()

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        """The features behind z_g, [N, C, ...]."""
        return self.block(h + self.enter(z))


class TopDown(nn.Module):
    """The way down from the top to the image: one pass serves inference, sampling and latents that are given.

    Arguments:
        stages: of a network, from the image inwards.
        stage_of: of each group, from the top, its place in `stages`.
        sizes: of each group, from the top, numbers at each place.
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
        """Let `pick` choose each z_g from the features above it; the features above z_G [count, C, ...], and z_G."""
        h, z = self.start.expand(count, *self.start.shape), self.start
        with rounding(self.use_bfloat16, self.start.device):
            for g, way in enumerate(self.ways):
                h = way(self.groups[g - 1](h, z) if g else h)
                z = pick(g, h)
        return h, z

    def image(self, h: Tensor, z: Tensor) -> Tensor:
        """From what `down` gives, the parameters of p(x|z), [N, *out_shape]."""
        with rounding(self.use_bfloat16, h.device):
            return self.out(self.groups[-1](h, z)).float()

    def prior(self, g: int, h: Tensor, top: Distribution) -> Distribution:
        """p(z_g | z_<g), batch [N], of vectors; batch [] for the first."""
        return top if g == 0 else _normal(self.groups[g].prior(h))  # pyright: ignore[reportCallIssue]

    def parts(self, z: Tensor) -> list[Tensor]:
        """The groups of z [N, D], each in its shape."""
        each = zip(z.split(self.sizes, -1), self.shapes, strict=True)
        return [part.unflatten(-1, shape) for part, shape in each]

    def forward(self, z: Tensor) -> Tensor:
        """The parameters of p(x|z), [N, *out_shape], for z [N, D]."""
        given = self.parts(z)
        return self.image(*self.down(len(z), lambda g, h: given[g]))


class Inference(nn.Module):
    """q(z_g | z_<g, x) of all groups: what an encoder is of, beside its own features of x.

    Arguments:
        stages: of the encoder, from the image inwards; their features are one vector [F].
        stage_of: of each group, from the top, its place in `stages`.
        sizes: of each group, from the top, numbers at each place.
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
        """q(z_g | z_<g, x), batch [N], from the features h [N, C, ...] above it and those of x, [N, F]."""
        place = self.stage_of[g]
        sizes = [prod(shape) for shape in self.shapes]
        own = features.split(sizes, -1)[place].unflatten(-1, self.shapes[place])
        return _normal(self.groups[g](torch.cat([h, own], 1)))


@dataclass(frozen=True)
class Pass:
    """What one way down gave, for N images and draws."""

    z: Tensor  # [N, D]
    log_post: Tensor  # [N]  log q(z|x); 0 where no image was given
    log_prior: Tensor  # [N]  log p(z); 0 where p(z_1) was not given
    kl: list[Tensor]  # [N] of each group given those above it; of one draw where it has no closed form
    mean: Tensor  # [N, D]  of each group given those above it; [N, 0] where no image was given
    ends: tuple[Tensor, Tensor]  # what `TopDown.image` takes


def descend(
    trunk: TopDown,
    count: int,
    given: Tensor | None = None,
    top: Distribution | None = None,
    inference: Inference | None = None,
    features: Tensor | None = None,
) -> Pass:
    """One way down: z ~ q(z|x) where features of images are given, otherwise z ~ p(z), or z that is given.

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
    """p(z), or q(z|x) of images. What was drawn last is remembered with its density, as a flow does.

    Arguments:
        trunk: the way down.
        top: p(z_1) for p(z); None for q(z|x).
        inference, features: for q(z|x), of images [*batch, F].
    """

    has_rsample = True
    mean_is_estimated = True  # from MEANS ways down, with other draws each time

    def __init__(
        self,
        trunk: TopDown,
        top: Distribution | None = None,
        inference: Inference | None = None,
        features: Tensor | None = None,
    ) -> None:
        self.trunk, self.top, self.inference, self.features = trunk, top, inference, features
        self.drawn: tuple[Tensor, Tensor] | None = None  # z, its log-density
        batch = torch.Size() if features is None else features.shape[:-1]
        super().__init__(batch, torch.Size([sum(trunk.sizes)]), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    @property
    def mean(self) -> Tensor:
        """E[z], [*batch, D]: of each group the mean given those above it, averaged over draws of these."""
        with torch.no_grad():
            means = [self.descend(self.batch_shape).mean for _ in range(MEANS)]
            return torch.stack(means).mean(0).reshape(*self.batch_shape, -1)

    def descend(self, leading: torch.Size, given: Tensor | None = None, top: Distribution | None = None) -> Pass:
        """`descend` for axes `leading`, the batch among them, as N."""
        features = None if self.features is None else self.features.expand(*leading, -1).reshape(leading.numel(), -1)
        return descend(self.trunk, leading.numel(), given, top or self.top, self.inference, features)

    def rsample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        leading = torch.Size(sample_shape) + self.batch_shape
        went = self.descend(leading)
        z = went.z.reshape(*leading, -1)
        self.drawn = z, self._density(went).reshape(leading)
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        if self.drawn is not None and value is self.drawn[0]:
            log_p = self.drawn[1]
            if log_p.requires_grad or not torch.is_grad_enabled():  # else it was drawn where no gradient was wanted
                return log_p
        leading = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        given = value.to(self.trunk.start.dtype).expand(*leading, -1).reshape(leading.numel(), -1)
        return self._density(self.descend(leading, given)).reshape(leading)

    def _density(self, went: Pass) -> Tensor:
        return went.log_prior if self.inference is None else went.log_post


def _way(stages: list[Stage], place: int, to: int) -> nn.Module:
    """From the features of one stage to those of another nearer to the image."""
    return nn.Sequential(*(stages[i].up(stages[i - 1].shape) for i in range(place, to, -1)))


def _drawn(source: Distribution | None, count: int) -> Tensor:
    """[count, n], of p(z_1) without a batch, or of a batch of as many."""
    assert source is not None
    size = torch.Size([] if source.batch_shape else [count])
    return source.rsample(size) if source.has_rsample else source.sample(size)


def _normal(parameters: Tensor) -> Distribution:
    """N(mu, diag(sigma^2)) of vectors, from mu and log sigma^2, the two halves of the channels."""
    mu, log_var = parameters.float().flatten(1).chunk(2, -1)
    return diagonal_normal(mu, 0.5 * log_var)


def _at_first_zero(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    return module
