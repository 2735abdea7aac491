"""Objectives that penalise dependence between latent dimensions: beta-TC-VAE, FactorVAE, DIP-VAE."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import is_diagonal_normal
from vaelab.models import VAE, Draw
from vaelab.objectives.bounds import distortion, rate
from vaelab.objectives.criterion import ELBO, Criterion, in_words
from vaelab.objectives.losses import Losses, at_least_one, not_negative
from vaelab.system.errors import SpecError


def check_diagonal(name: str, model: VAE) -> None:
    """Raise SpecError unless q(z|x) is a normal with independent dimensions."""
    with torch.no_grad():
        q = model.conditioned_on_any().posterior(
            torch.zeros(1, *model.image_shape, device=next(model.parameters()).device)
        )
    if not is_diagonal_normal(q):
        raise SpecError(
            found=f"objective {name} with a posterior that is not a diagonal normal",
            expected="a posterior whose dimensions are independent, with known densities and moments",
            do="use --posterior diagonal",
        )


class Decomposition(NamedTuple):
    """The parts of log q(z|x) - log p(z), [B] each; their sum is the whole (Chen et al. 2018, equation 2)."""

    information: Tensor  # log q(z|x) - log q(z); its mean is the mutual information of x and z
    total_correlation: Tensor  # log q(z) - sum_d log q(z_d)
    dimension_wise: Tensor  # sum_d log q(z_d) - log p(z)


def decompose(draw: Draw, images: int) -> Decomposition:
    """Return the parts for the first draw of z of each image; q(z) is estimated by stratified sampling in the batch.

    Each z has its own image n* in the batch, and M = B - 1 other images; the training set has N. The weights are 1 / N
    for n*, (N - M) / (N M) for one of the others, and 1 / M for the rest. They sum to one, and the weighted density,
    averaged over batches, equals the mean over all images (Chen et al. 2018, appendix C.2).
    """
    z, q = draw.z[0], draw.posterior
    per_dimension = q.base_dist.log_prob(z.unsqueeze(1))  # type: ignore[attr-defined]  [B of z, B of q, D]
    log_weight = stratified_log_weights(len(z), images, z.device)
    log_q = torch.logsumexp(per_dimension.sum(-1) + log_weight, 1)
    log_each = torch.logsumexp(per_dimension + log_weight.unsqueeze(-1), 1).sum(-1)
    return Decomposition(draw.log_post[0] - log_q, log_q - log_each, log_each - draw.log_prior[0])


def stratified_log_weights(batch: int, images: int, device: torch.device) -> Tensor:
    """Return the logarithms of the weights in `decompose`, [B of z, B of q]."""
    others = batch - 1
    place = torch.arange(batch, device=device)
    ahead = (place - place.unsqueeze(1)) % batch  # 0: the own image; 1: the one that represents images not in the batch
    own, rest, other = -math.log(images), _log((images - others) / (images * others)), -math.log(others)
    return torch.where(ahead == 0, own, torch.where(ahead == 1, rest, other))


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf  # 0: the batch is the whole training set


class BetaTC:
    """Distortion + alpha information + beta total correlation + gamma dimension-wise KL (Chen et al. 2018, equation 4).

    The parts are estimated from the batch by stratified sampling: see `decompose`. The estimate of q(z) is unbiased,
    but its logarithm is not, so the value and the gradient are biased. Larger batches have less bias.

    Arguments:
        images: N, the size of the training set.
        alpha: weight of the mutual information of image and latent vector.
        beta: weight of the total correlation of the aggregate posterior.
        gamma: weight of the dimension-wise KL: the sum of the KL of each latent dimension to the prior.

    Raises:
        SpecError: a weight is negative.
    """

    admits_point: ClassVar = False
    of_batch: ClassVar = True

    def __init__(self, images: int, *, alpha: float = 1.0, beta: float = 6.0, gamma: float = 1.0) -> None:
        for name, weight in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
            not_negative(name, weight)
        self.images, self.alpha, self.beta, self.gamma = images, alpha, beta, gamma

    @property
    def judged_by(self) -> Criterion:
        parts = (self.alpha, "information"), (self.beta, "total correlation"), (self.gamma, "dimension-wise KL")
        return Criterion(name=in_words((1, "distortion"), *parts))

    def __repr__(self) -> str:
        return f"BetaTC({self.images}, alpha={self.alpha}, beta={self.beta}, gamma={self.gamma})"

    def check(self, model: VAE, batch: int) -> None:
        """Raise SpecError if single dimensions have no known density, or a batch has fewer than two images."""
        check_diagonal("beta-tc", model)
        if batch < 2:
            raise SpecError(
                found=f"objective beta-tc with batch = {batch}", expected="at least 2", do="use --batch 100"
            )

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, 1)
        parts = decompose(draw, self.images)
        cost = self.alpha * parts.information + self.beta * parts.total_correlation + self.gamma * parts.dimension_wise
        return distortion(draw) + cost, draw


class Factor(nn.Module):
    """Distortion + rate + gamma total correlation, as estimated by a critic (Kim & Mnih 2018, equations 2 and 3).

    The critic is part of the objective. It learns to distinguish z ~ q(z) from vectors whose dimensions come from
    different images of the batch. Its logit estimates the log density ratio. All images of a batch train both the model
    and the critic. The reported loss is the model's. Errors of the critic bias its gradient. The weights are selected
    by the ELBO, because the critic learns too: its estimates at two validations are not comparable.

    Arguments:
        latent: D.
        gamma: weight of the total correlation.
        hidden: sizes of the critic's hidden layers.
    """

    admits_point: ClassVar = False
    of_batch: ClassVar = True
    judged_by = ELBO

    def __init__(self, latent: int, *, gamma: float = 6.0, hidden: tuple[int, ...] = (1000,) * 5) -> None:
        super().__init__()
        not_negative("gamma", gamma)
        at_least_one("hidden", min(hidden, default=1))
        self.latent, self.gamma = latent, gamma
        layers: list[nn.Module] = []
        for before, after in zip((latent, *hidden), hidden, strict=False):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        self.critic = nn.Sequential(*layers, nn.Linear((latent, *hidden)[-1], 1))

    def check(self, model: VAE, batch: int) -> None:
        """Raise SpecError if z has several groups that depend on each other, or a batch has fewer than two images."""
        if model.latent != self.latent:
            raise SpecError(
                found="objective factor with a model of several groups of latent variables",
                expected="one group of latent variables",
                do="use --model vae",
            )
        if batch < 2:
            raise SpecError(found=f"objective factor with batch = {batch}", expected="at least 2", do="use --batch 100")

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}"

    def forward(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Losses, Draw]:
        draw = model(x, 1)
        z = draw.z[0]
        loss = distortion(draw) + rate(draw) + self.gamma * self.critic(z).squeeze(-1)
        joint, apart = (self.critic(v.detach()).squeeze(-1) for v in (z, shuffled(draw.posterior.rsample())))
        errors = nn.functional.softplus(-joint) + nn.functional.softplus(apart)  # -log D(z) - log(1 - D(z'))
        return Losses(generative=loss, inference=loss, own=errors / 2), draw


def shuffled(z: Tensor) -> Tensor:
    """Return z [B, D] with the images permuted separately in each dimension (Kim & Mnih 2018, algorithm 1)."""
    return z.gather(0, torch.rand_like(z).argsort(0))


@dataclass(frozen=True, kw_only=True)
class Dip:
    """-ELBO plus a penalty on the covariance C of z (Kumar, Sattigeri & Balakrishnan 2018, equations 6 and 7).

    The penalty is lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2, estimated from the batch. Squares of
    estimates are biased. Larger batches have less bias.

    Arguments:
        kind: 1: C is the covariance of the means of q(z|x) over the images; 2: C is the covariance of z ~ q(z).
        off_diagonal: lambda_od, the weight of the covariances.
        diagonal: lambda_d, the weight of the variances.

    Raises:
        SpecError: the kind is unknown, or a weight is negative.
    """

    admits_point: ClassVar = False
    of_batch: ClassVar = True
    kind: int = 1
    off_diagonal: float = 10.0
    diagonal: float = 100.0

    def __post_init__(self) -> None:
        if self.kind not in (1, 2):
            raise SpecError(found=f"kind = {self.kind}", expected="1 (of the means) or 2 (of z)", do="use kind=1")
        not_negative("off_diagonal", self.off_diagonal)
        not_negative("diagonal", self.diagonal)

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name="distortion + rate + DIP penalty")

    def check(self, model: VAE, batch: int) -> None:
        """Raise SpecError if q(z|x) has no closed-form moments, or a batch has fewer than two images."""
        check_diagonal("dip", model)
        if batch < 2:
            raise SpecError(found=f"objective dip with batch = {batch}", expected="at least 2", do="use --batch 100")

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, 1)
        c = self.covariance(draw.posterior)
        diagonal = c.diagonal()
        penalty = self.off_diagonal * (c.square().sum() - diagonal.square().sum())
        penalty = penalty + self.diagonal * (diagonal - 1).square().sum()
        return distortion(draw) + rate(draw) + penalty, draw

    def covariance(self, q: Distribution) -> Tensor:
        """Return C, [D, D]."""
        centred = q.mean - q.mean.mean(0)
        of_means = centred.T @ centred / len(centred)
        return of_means + q.variance.mean(0).diag() if self.kind == 2 else of_means
