"""Importance-weighted objectives (Burda, Grosse & Salakhutdinov 2016; Rainforth et al. 2018; Tucker et al. 2019)."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

from torch import Tensor

from vaelab.models import VAE, Draw
from vaelab.objectives.bounds import elbo, iwae, log_weights, miwae, path_log_post
from vaelab.objectives.criterion import Criterion
from vaelab.objectives.losses import Losses, at_least_one
from vaelab.system.errors import SpecError, unknown

Gradient = Literal["plain", "path", "dreg"]


@dataclass(frozen=True, kw_only=True)
class Iwae:
    """The importance-weighted bound L_S (Burda, Grosse & Salakhutdinov 2016, equation 8).

    Arguments:
        samples: S, draws of z for each image; S = 1 is the ELBO with a sampled KL.
        gradient: gradient estimator. `plain` is the gradient of the bound. `path` omits the score of q (Roeder,
            Wu & Duvenaud 2017) and is biased for S > 1. `dreg` is doubly reparameterised, unbiased, and has a lower
            variance (Tucker, Lawson, Gu & Maddison 2019, equation 8); see `doubly_reparameterised`.
    """

    importance_weighted: ClassVar = True
    admits_point: ClassVar = False

    samples: int = 5
    gradient: Gradient = "plain"

    def __post_init__(self) -> None:
        at_least_one("samples", self.samples)
        if self.gradient not in get_args(Gradient):
            raise unknown("gradient", self.gradient, get_args(Gradient))

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name=f"-IWAE bound, K = {self.samples}")

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, self.samples)
        if self.gradient == "path":
            draw = replace(draw, log_post=path_log_post(draw))
        elif self.gradient == "dreg":
            draw = doubly_reparameterised(model, x, draw)
        return -iwae(draw), draw


def doubly_reparameterised(model: VAE, x: Tensor, draw: Draw) -> Draw:
    """Return the draw in a form that makes the gradient of its `iwae` doubly reparameterised (Tucker et al. 2019).

    With the normalised weights w_s = w_s / sum_t w_t, the gradient with respect to any parameter of p and q is

        sum_s w_s^2 (d log w_s / d z_s) (d z_s / d parameter) + w_s (d log p(x, z_s) / d parameter at a fixed z_s).

    Only the path through z has the weight w_s^2: the score of q was turned into a second path (their equation 7). The
    second term is not zero for parameters that p and q share: the density of the VampPrior uses the encoder, and p and
    q of a hierarchical model share the top-down path (Bauer & Mnih 2021 treat such hierarchies). The plain gradient has
    the same mean.

    The cost is a second forward pass of the decoder and one backward pass.

    Arguments:
        model: the model that made the draw.
        x: the images of the draw.
    """
    w = log_weights(draw).detach().softmax(0)
    z = _weighed(draw.z, w.unsqueeze(-1))
    p = model.likelihood(z)
    return replace(
        draw,
        log_lik=p.log_prob(x),
        log_prior=draw.prior.log_prob(z),
        log_post=_weighed(path_log_post(draw), w),
        likelihood=p,
    )


def _weighed(value: Tensor, weight: Tensor) -> Tensor:
    """Return `value` with its gradient multiplied by `weight`."""
    return value.detach() + weight * (value - value.detach())


@dataclass(frozen=True, kw_only=True)
class Miwae:
    """The mean of M importance-weighted bounds (Rainforth et al. 2018, section 5), with a less noisy gradient for q.

    Arguments:
        samples: K, draws of z in each bound.
        bounds: M; with M = 1 it is the importance-weighted bound. Each image takes M K draws.
    """

    importance_weighted: ClassVar = True
    admits_point: ClassVar = False

    samples: int = 5
    bounds: int = 5

    def __post_init__(self) -> None:
        at_least_one("samples", self.samples)
        at_least_one("bounds", self.bounds)

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name=f"-MIWAE bound, M = {self.bounds}, K = {self.samples}")

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, self.bounds * self.samples)
        return -miwae(draw, self.bounds), draw


@dataclass(frozen=True, kw_only=True)
class Piwae:
    """p(z) and p(x|z) use one bound of M K draws; q(z|x) uses the mean of M bounds (Rainforth et al. 2018, section 5).

    In a hierarchical model the top-down path, which p and q share, is trained as part of p.

    Arguments:
        samples: K, draws of z in each bound.
        bounds: M, the number of bounds for each image.
    """

    importance_weighted: ClassVar = True
    admits_point: ClassVar = False

    samples: int = 5
    bounds: int = 5

    def __post_init__(self) -> None:
        at_least_one("samples", self.samples)
        at_least_one("bounds", self.bounds)

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name=f"-IWAE bound, K = {self.bounds * self.samples}")

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Losses, Draw]:
        draw = model(x, self.bounds * self.samples)
        return Losses(generative=-iwae(draw), inference=-miwae(draw, self.bounds)), draw


@dataclass(frozen=True, kw_only=True)
class Ciwae:
    """beta ELBO + (1 - beta) L_S (Rainforth et al. 2018, section 5).

    Arguments:
        samples: S, draws of z for each image.
        beta: proportion of the ELBO, from 0 to 1.
    """

    importance_weighted: ClassVar = True
    admits_point: ClassVar = False

    samples: int = 5
    beta: float = 0.05

    def __post_init__(self) -> None:
        at_least_one("samples", self.samples)
        if not 0 <= self.beta <= 1:
            raise SpecError(found=f"beta = {self.beta:g}", expected="a number from 0 to 1", do="use, say, beta=0.05")

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name=f"-CIWAE bound, K = {self.samples}, beta = {self.beta:g}")

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, self.samples)
        return -(self.beta * elbo(draw) + (1 - self.beta) * iwae(draw)), draw
