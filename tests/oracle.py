"""A linear-Gaussian VAE is probabilistic PCA (Tipping & Bishop 1999): everything about it is known exactly."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal

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


@dataclass
class Oracle:
    """x = W z + b + sigma * noise, with orthogonal columns W so that the exact posterior is diagonal."""

    model: VAE
    weight: Tensor  # [P, D]
    bias: Tensor  # [P]
    sigma: float

    def log_p(self, x: Tensor) -> Tensor:
        """Exact log p(x) of images [B, C, H, W]."""
        pixels = len(self.bias)
        covariance = self.weight @ self.weight.T + self.sigma**2 * torch.eye(pixels, dtype=torch.float64)
        return MultivariateNormal(self.bias, covariance).log_prob(x.flatten(1))


class Double(Conditional):
    """A Conditional that stays in float64."""

    def forward(self, context: Tensor):
        batch = context.shape[: context.dim() - len(self.context_shape)]
        parameters = self.network(context.double().reshape(-1, *self.context_shape))
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
    return Oracle(model, weight, bias, sigma)
