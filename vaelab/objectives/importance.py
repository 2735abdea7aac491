"""Importance-weighted objectives (Burda, Grosse & Salakhutdinov 2016; Rainforth et al. 2018; Tucker et al. 2019)."""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from vaelab.distributions import log_mean_exp
from vaelab.errors import SpecError, unknown
from vaelab.models import VAE, Draw
from vaelab.objectives.bounds import elbo, iwae, miwae, path_log_post
from vaelab.objectives.criterion import Criterion
from vaelab.objectives.losses import Losses, at_least_one

Gradient = Literal["plain", "path", "dreg"]


@dataclass(frozen=True, kw_only=True)
class Iwae:
    """The importance-weighted bound L_S (Burda, Grosse & Salakhutdinov 2016, equation 8).

    Arguments:
        samples: S, draws of z for each image; S = 1 is the ELBO with a sampled KL.
        gradient: of q's parameters: `plain`, the bound's own; `path`, which leaves out the score (Roeder, Wu &
            Duvenaud 2017) and is biased for S > 1; `dreg`, doubly reparameterised, unbiased and of less variance
            (Tucker, Lawson, Gu & Maddison 2019, equation 8).
    """

    samples: int = 5
    gradient: Gradient = "plain"

    def __post_init__(self) -> None:
        at_least_one("samples", self.samples)
        if self.gradient not in get_args(Gradient):
            raise unknown("gradient", self.gradient, get_args(Gradient))

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name=f"-IWAE bound, K = {self.samples}")

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor | Losses, Draw]:
        draw = model(x, self.samples)
        if self.gradient == "plain":
            return -iwae(draw), draw
        log_w = draw.log_lik + draw.log_prior - path_log_post(draw)
        bound = log_mean_exp(log_w, dim=0)
        if self.gradient == "path":
            return -bound, draw
        w = log_w.detach().softmax(0)
        return Losses(generative=-bound, inference=-(w**2 * log_w).sum(0)), draw


@dataclass(frozen=True, kw_only=True)
class Miwae:
    """The mean of M importance-weighted bounds (Rainforth et al. 2018, section 5): less noise for q's gradient.

    Arguments:
        samples: K, draws of z in each bound.
        bounds: M; 1 is the importance-weighted bound. M K draws are taken for each image.
    """

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
    """p is trained by the bound of all M K draws, q by the mean of M bounds of K (Rainforth et al. 2018, section 5).

    Arguments:
        samples: K.
        bounds: M.
    """

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
        beta: share of the ELBO, from 0 to 1.
    """

    samples: int = 5
    beta: float = 0.05

    def __post_init__(self) -> None:
        at_least_one("samples", self.samples)
        if not 0 <= self.beta <= 1:
            raise SpecError(found=f"beta = {self.beta:g}", expected="a share from 0 to 1", do="use, say, beta=0.05")

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name=f"-CIWAE bound, K = {self.samples}, beta = {self.beta:g}")

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, self.samples)
        return -(self.beta * elbo(draw) + (1 - self.beta) * iwae(draw)), draw
