"""A hierarchical model: latent groups z = (z_1, ..., z_G), from the top, where z_1 has the prior, down to the image.

p(z) = p(z_1) prod_g p(z_g | z_<g) and q(z|x) = prod_g q(z_g | z_<g, x) share the top-down path, as in the ladder VAE
(Soenderby et al. 2016, section 2.1) and its convolutional, residual successors (Kingma et al. 2016, appendix C; Vahdat
& Kautz 2020). z is one vector [D], so everything that uses the z, densities and samples of a VAE also works here. The
posterior of a group is a separate normal. It is not a product with the prior, as in Soenderby et al.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import is_diagonal_normal
from vaelab.models.conditional import Conditional, rounding
from vaelab.models.draw import Draw
from vaelab.models.top_down import Hierarchical, Inference, TopDown
from vaelab.models.vae import VAE
from vaelab.networks.stages import Stage
from vaelab.parts.capabilities import HasStages, has
from vaelab.system.errors import SpecError


class HierarchicalPrior(nn.Module):
    """() -> p(z).

    Arguments:
        top: a prior of z_1.
        trunk: the top-down path; it belongs to the decoder.
    """

    support: ClassVar = "real"

    def __init__(self, top: nn.Module, trunk: TopDown) -> None:
        super().__init__()
        self.top = top
        self.trunk = (trunk,)  # in a tuple, so that it is not a submodule

    def forward(self) -> Hierarchical:
        return Hierarchical(self.trunk[0], top=self.top())


class HierarchicalPosterior(nn.Module):
    """A head: features of images [..., F] -> q(z|x).

    Arguments:
        inference: of all groups.
        trunk: the top-down path; it belongs to the decoder.
    """

    support: ClassVar = "real"

    def __init__(self, inference: Inference, trunk: TopDown) -> None:
        super().__init__()
        self.inference = inference
        self.trunk = (trunk,)

    def forward(self, features: Tensor) -> Hierarchical:
        return Hierarchical(self.trunk[0], inference=self.inference, features=features)


class TopPosterior(nn.Module):
    """x -> q(z_1|x), for a prior of z_1 that consists of posteriors, such as VampPrior.

    Arguments:
        encoder: x -> q(z|x); it belongs to the model.
    """

    def __init__(self, encoder: Conditional) -> None:
        super().__init__()
        self.encoder = (encoder,)

    def forward(self, x: Tensor) -> Distribution:
        q = self.encoder[0](x)
        h = q.trunk.start.expand(len(x), *q.trunk.start.shape)
        with rounding(q.trunk.use_bfloat16, x.device):
            return q.inference(0, h, q.features)


class BottomUp(nn.Module):
    """x [N, C, H, W] -> the features of all stages, concatenated to one vector [N, F]."""

    def __init__(self, stages: list[Stage]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stage.down() for stage in stages)

    def forward(self, x: Tensor) -> Tensor:
        features = list[Tensor]()
        for stage in self.stages:
            x = stage(x)
            features.append(x.flatten(1))
        return torch.cat(features, 1)


class Ladder(VAE):
    """A VAE that computes z, its densities and p(x|z) in one top-down pass."""

    hierarchical: ClassVar[bool] = True

    @property
    def groups(self) -> tuple[int, ...]:
        prior: Any = self.prior
        return tuple(prior.trunk[0].sizes)

    def draw(self, x: Tensor, q: Any, samples: int = 1) -> Draw:
        prior, leading = self.prior(), torch.Size([samples]) + q.batch_shape
        went = q.descend(leading, top=prior.top)
        z = went.z.reshape(*leading, -1)
        q.memo.keep(z, went.log_post.reshape(leading))
        prior.memo.keep(z, went.log_prior.reshape(leading))
        parameters = q.trunk.image(*went.ends)
        p = self.likelihood.read(parameters, leading)
        kl_groups = torch.stack(went.kl).unflatten(1, leading).mean(1)
        return Draw(
            z=z,
            log_lik=p.log_prob(x),
            log_prior=prior.log_prob(z),
            log_post=q.log_prob(z),
            kl=kl_groups.sum(0),
            prior=prior,
            posterior=q,
            likelihood=p,
            kl_groups=kl_groups,
        )


def ladder(
    latent: int,
    image_shape: tuple[int, int, int],
    network: Any,
    posterior: Any,
    likelihood: Any,
    prior: Callable[[nn.Module, int], nn.Module],
    *,
    groups: tuple[int, ...] = (1,),
    above: tuple[int, ...] = (),
) -> Ladder:
    """Build a model with groups of latent variables at the stages of a network, each conditioned on those above it.

    Arguments:
        latent: numbers at each place of a group; with a convolutional network, the channels of its maps.
        image_shape: (C, H, W).
        network: a recipe of `vaelab.networks` that has stages.
        posterior: the diagonal head.
        likelihood: a head of `vaelab.likelihoods`.
        prior: makes a prior of the top group, given q(z_1|x) and the number of its dimensions.
        groups: number of groups at each stage of the network, starting at the image; one number applies to all stages.
        above: `latent` of the second group and those above it, starting at the image, if they differ.

    Raises:
        SpecError: the network has no stages, the posterior is another, or a list does not fit the stages or groups.
    """
    if not has(network, HasStages):
        raise _refused(f"network {type(network).__name__}", "a network with stages", "use --network residual or mlp")
    if posterior.parameter_shape((2,)) != (4,) or not is_diagonal_normal(posterior(torch.zeros(1, 4))):
        raise _refused(
            f"posterior {type(posterior).__name__}",
            "diagonal normals given the groups above",
            "use --posterior diagonal",
        )
    stages: list[Stage] = network.stages(image_shape)
    counts = groups * len(stages) if len(groups) == 1 else groups
    if len(counts) != len(stages) or min(counts, default=0) < 1:
        do = f"use, say, groups={','.join(['1'] * len(stages))}"
        raise _refused(f"groups={','.join(map(str, groups))}", f"1 or more for each of the {len(stages)} stages", do)
    stage_of = [place for place, count in enumerate(counts) for _ in range(count)][::-1]
    if above and (len(above) != len(stage_of) - 1 or min(above) < 1):
        found = f"above={','.join(map(str, above))}"
        raise _refused(found, f"1 or more for each of {len(stage_of) - 1} groups", "give as many numbers, or none")
    sizes = [*above[::-1], latent] if above else [latent] * len(stage_of)
    trunk = TopDown(stages, stage_of, sizes, likelihood.parameter_shape(image_shape))
    q = Conditional(BottomUp(stages), HierarchicalPosterior(Inference(stages, stage_of, sizes), trunk), image_shape)
    p = Conditional(trunk, likelihood, (sum(trunk.sizes),))
    return Ladder(HierarchicalPrior(prior(TopPosterior(q), trunk.sizes[0]), trunk), q, p)


def _refused(found: str, expected: str, do: str) -> SpecError:
    return SpecError(found=f"model ladder with {found}", expected=expected, do=do)
