"""VAEs with linear Gaussian decoders, whose log p(x) is known exactly.

With a standard normal prior it is probabilistic PCA (Tipping & Bishop 1999), and everything else is known as well.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal

from vaelab.distributions import diagonal_normal
from vaelab.models import VAE, Conditional
from vaelab.posteriors import DiagonalGaussian
from vaelab.priors import StandardNormal


class PlainGaussian(nn.Module):
    """N(parameters, sigma^2 I) over an image, its mean not squashed."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.log_sigma = torch.tensor(math.log(sigma), dtype=torch.float64)

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return event_shape

    def forward(self, parameters: Tensor) -> Independent:
        return diagonal_normal(parameters, self.log_sigma, event_dims=3)


class LearnedGaussian(nn.Module):
    """N(parameters, sigma^2 I) over an image, its mean not squashed and sigma one number that is learned."""

    protocols, admitted = ("grey",), ()

    def __init__(self) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(-2.0))

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return event_shape

    def forward(self, parameters: Tensor) -> Independent:
        return diagonal_normal(parameters, self.log_sigma, event_dims=3)


class Mixture(MixtureSameFamily):
    """As torch has it, for measuring: the gradient that a draw lacks is not asked for."""

    def rsample(self, sample_shape=torch.Size()) -> Tensor:  # noqa: B008
        return self.sample(sample_shape)


class ExactPosterior(nn.Module):
    """p(z|x) of z ~ sum_k share_k N(mean_k, covariance_k) and x = W z + b + sigma * noise, from flattened pixels x.

    A component's posterior is normal with precision covariance_k^-1 + W'W / sigma^2, and its weight is share_k
    N(x; W mean_k + b, W covariance_k W' + sigma^2 I) but for a constant (Bishop 2006, equations 2.113 to 2.117).
    """

    def __init__(
        self, share: Tensor, mean: Tensor, covariance: Tensor, weight: Tensor, bias: Tensor, sigma: float
    ) -> None:
        super().__init__()
        self.share, self.mean, self.precision = share, mean, torch.linalg.inv(covariance)
        self.weight, self.bias, self.sigma = weight, bias, sigma
        marginal = weight @ covariance @ weight.T + sigma**2 * torch.eye(len(bias), dtype=bias.dtype)
        self.marginal = MultivariateNormal(mean @ weight.T + bias, marginal)

    def forward(self, x: Tensor) -> Mixture:
        covariance = torch.linalg.inv(self.precision + self.weight.T @ self.weight / self.sigma**2)  # [K, D, D]
        seen = (x - self.bias) @ self.weight / self.sigma**2
        pull = (self.precision @ self.mean.unsqueeze(-1)).squeeze(-1) + seen.unsqueeze(-2)  # [B, K, D]
        component = MultivariateNormal((covariance @ pull.unsqueeze(-1)).squeeze(-1), covariance)
        weight = Categorical(logits=self.share.log() + self.marginal.log_prob(x.unsqueeze(-2)))
        return Mixture(weight, component, validate_args=False)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean [B, D] and covariance [B, D, D] of p(z|x)."""
        q = self(x)
        weight, loc = q.mixture_distribution.probs, q.component_distribution.loc
        mean = (weight.unsqueeze(-1) * loc).sum(1)
        spread = (loc - mean.unsqueeze(1)).unsqueeze(-1)
        within = q.component_distribution.covariance_matrix + spread @ spread.transpose(-1, -2)
        return mean, (weight.view(*weight.shape, 1, 1) * within).sum(1)


@dataclass
class Oracle:
    """x = W z + b + sigma * noise, with orthogonal columns W so that the exact posterior is diagonal."""

    model: VAE
    weight: Tensor  # [P, D]
    bias: Tensor  # [P]
    sigma: float
    exact: ExactPosterior

    def log_p(self, x: Tensor) -> Tensor:
        """Exact log p(x) of images [B, C, H, W]."""
        pixels = len(self.bias)
        covariance = self.weight @ self.weight.T + self.sigma**2 * torch.eye(pixels, dtype=torch.float64)
        return MultivariateNormal(self.bias, covariance).log_prob(x.flatten(1))


class Double(Conditional):
    """A Conditional that stays in float64."""

    def forward(self, context: Tensor):
        batch = context.shape[: context.dim() - len(self.context_shape)]
        parameters = self.network(self._joined(context.double(), batch))
        return self.head(parameters.reshape(*batch, *parameters.shape[1:]))


def linear_gaussian(shape=(1, 2, 3), latent=2, sigma=0.5, posterior_error=0.0, seed=0) -> Oracle:
    """The oracle; its encoder is the exact posterior, off by `posterior_error` in mean and log-variance."""
    pixels = math.prod(shape)
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(pixels, latent, generator=generator, dtype=torch.float64)
    basis, _ = torch.linalg.qr(raw)
    weight = basis * torch.linspace(1.5, 0.5, latent, dtype=torch.float64)
    bias = torch.randn(pixels, generator=generator, dtype=torch.float64)
    # p(z|x) = N(M^-1 W' (x - b), sigma^2 M^-1) with M = W'W + sigma^2 I (Tipping & Bishop 1999, equation 7)
    inverse = torch.linalg.inv(weight.T @ weight + sigma**2 * torch.eye(latent, dtype=torch.float64))
    encoder, decoder = nn.Linear(pixels, 2 * latent).double(), nn.Linear(latent, pixels).double()
    with torch.no_grad():
        decoder.weight.copy_(weight)
        decoder.bias.copy_(bias)
        encoder.weight.zero_()
        encoder.weight[:latent] = inverse @ weight.T
        encoder.bias[:latent] = -(inverse @ weight.T @ bias) + posterior_error
        encoder.bias[latent:] = (sigma**2 * inverse.diagonal()).log() + posterior_error
    model = VAE(
        StandardNormal(latent).double(),
        Double(nn.Sequential(nn.Flatten(), encoder), DiagonalGaussian(), shape),
        Double(nn.Sequential(decoder, nn.Unflatten(1, shape)), PlainGaussian(sigma), (latent,)),
    )
    one, eye = torch.ones(1, dtype=torch.float64), torch.eye(latent, dtype=torch.float64)
    exact = ExactPosterior(one, torch.zeros(1, latent, dtype=torch.float64), eye.unsqueeze(0), weight, bias, sigma)
    return Oracle(model, weight, bias, sigma, exact)


class Fixed(nn.Module):
    """A prior without parameters."""

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution

    def forward(self) -> Distribution:
        return self.distribution


@dataclass
class MixtureOracle:
    """z ~ sum_k weight_k N(mean_k, variance_k I), x = W z + b + sigma * noise: x is a mixture of K normals."""

    model: VAE
    components: MultivariateNormal  # of x, batch [K]
    log_weight: Tensor  # [K]
    exact: ExactPosterior

    def log_p(self, x: Tensor) -> Tensor:
        """Exact log p(x) of images [B, C, H, W]."""
        return torch.logsumexp(self.log_weight + self.components.log_prob(x.flatten(1).unsqueeze(1)), 1)


def mixture_prior(shape=(1, 2, 3), sigma=0.7, seed=0) -> MixtureOracle:
    """The oracle, with three components in two dimensions; its encoder takes the prior for a single normal."""
    pixels = math.prod(shape)
    generator = torch.Generator().manual_seed(seed)
    weight = 0.7 * torch.randn(pixels, 2, generator=generator, dtype=torch.float64)
    bias = torch.randn(pixels, generator=generator, dtype=torch.float64)
    share = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    mean = torch.tensor([[1.2, 0.0], [-0.8, 0.8], [0.0, -1.2]], dtype=torch.float64)
    variance = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)
    prior = MixtureSameFamily(
        Categorical(share, validate_args=False),
        diagonal_normal(mean, 0.5 * variance.log().unsqueeze(1).expand(3, 2)),
        validate_args=False,
    )
    covariance = variance.view(3, 1, 1) * (weight @ weight.T) + sigma**2 * torch.eye(pixels, dtype=torch.float64)
    components = MultivariateNormal(mean @ weight.T + bias, covariance)
    model = _vae(prior, torch.diag(prior.variance), prior.mean, weight, bias, sigma, shape)
    exact = ExactPosterior(share, mean, variance.view(3, 1, 1) * torch.eye(2), weight, bias, sigma)
    return MixtureOracle(model, components, share.log(), exact)


class TwoLevel(Distribution):
    """p(z1, z2) = N(z2; 0, I) N(z1; A z2 + a, tau^2 I) over the concatenated [z1, z2]."""

    def __init__(self, weight: Tensor, bias: Tensor, tau: float) -> None:
        self.weight, self.bias, self.tau = weight, bias, tau
        super().__init__(event_shape=torch.Size([sum(weight.shape)]), validate_args=False)

    def rsample(self, sample_shape=torch.Size()) -> Tensor:  # noqa: B008
        below, above = self.weight.shape
        z2 = torch.randn(*sample_shape, above, dtype=self.weight.dtype)
        noise = torch.randn(*sample_shape, below, dtype=self.weight.dtype)
        return torch.cat([z2 @ self.weight.T + self.bias + self.tau * noise, z2], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        z1, z2 = value.split(list(self.weight.shape), -1)
        given = diagonal_normal(z2 @ self.weight.T + self.bias, torch.tensor(self.tau, dtype=z1.dtype).log())
        return diagonal_normal(torch.zeros_like(z2), torch.zeros_like(z2)).log_prob(z2) + given.log_prob(z1)


@dataclass
class TwoLevelOracle:
    """z2 -> z1 -> x, each linear with Gaussian noise: x is normal."""

    model: VAE
    marginal: MultivariateNormal  # of x
    exact: ExactPosterior

    def log_p(self, x: Tensor) -> Tensor:
        """Exact log p(x) of images [B, C, H, W]."""
        return self.marginal.log_prob(x.flatten(1))


def two_level(shape=(1, 2, 3), sigma=0.6, tau=0.8, seed=0) -> TwoLevelOracle:
    """The oracle, with two dimensions z1 and one z2; its encoder lacks the posterior's correlations."""
    pixels = math.prod(shape)
    generator = torch.Generator().manual_seed(seed)
    weight = 0.7 * torch.randn(pixels, 2, generator=generator, dtype=torch.float64)
    bias = torch.randn(pixels, generator=generator, dtype=torch.float64)
    above = torch.tensor([[1.0], [-0.7]], dtype=torch.float64)
    shift = torch.tensor([0.3, -0.2], dtype=torch.float64)
    covariance_1 = above @ above.T + tau**2 * torch.eye(2, dtype=torch.float64)
    covariance = torch.cat([torch.cat([covariance_1, above], 1), torch.cat([above.T, torch.eye(1)], 1)])
    mean = torch.cat([shift, torch.zeros(1, dtype=torch.float64)])
    whole = torch.cat([weight, torch.zeros(pixels, 1, dtype=torch.float64)], 1)  # x does not see z2
    noise = sigma**2 * torch.eye(pixels, dtype=torch.float64)
    marginal = MultivariateNormal(weight @ shift + bias, weight @ covariance_1 @ weight.T + noise)
    one = torch.ones(1, dtype=torch.float64)
    exact = ExactPosterior(one, mean.unsqueeze(0), covariance.unsqueeze(0), whole, bias, sigma)
    model = _vae(TwoLevel(above, shift, tau), covariance, mean, whole, bias, sigma, shape)
    return TwoLevelOracle(model, marginal, exact)


def _vae(prior: Distribution, covariance: Tensor, mean: Tensor, weight: Tensor, bias: Tensor, sigma: float, shape):
    """x = W z + b + sigma * noise; the encoder's mean and variances are the posterior's under N(mean, covariance)."""
    pixels, latent = weight.shape
    precision = torch.linalg.inv(covariance)
    posterior = torch.linalg.inv(precision + weight.T @ weight / sigma**2)
    encoder, decoder = nn.Linear(pixels, 2 * latent).double(), nn.Linear(latent, pixels).double()
    with torch.no_grad():
        decoder.weight.copy_(weight)
        decoder.bias.copy_(bias)
        encoder.weight.zero_()
        encoder.weight[:latent] = posterior @ weight.T / sigma**2
        encoder.bias[:latent] = posterior @ (precision @ mean - weight.T @ bias / sigma**2)
        encoder.bias[latent:] = posterior.diagonal().log()
    return VAE(
        Fixed(prior),
        Double(nn.Sequential(nn.Flatten(), encoder), DiagonalGaussian(), shape),
        Double(nn.Sequential(decoder, nn.Unflatten(1, shape)), PlainGaussian(sigma), (latent,)),
    )
