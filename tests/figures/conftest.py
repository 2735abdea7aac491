from collections.abc import Callable
from math import prod

import numpy as np
import pytest
import torch
from torch import nn

from vaelab.data.dataset import Dataset
from vaelab.likelihoods import Bernoulli, Gaussian
from vaelab.models import VAE, Conditional
from vaelab.networks import FullyConnected
from vaelab.posteriors import DiagonalGaussian
from vaelab.priors import StandardNormal


class Fixed(nn.Module):
    """A network that answers the same parameters to every input."""

    def __init__(self, parameters: torch.Tensor) -> None:
        super().__init__()
        self.parameters_ = nn.Parameter(parameters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parameters_.expand(len(x), *self.parameters_.shape)


class Recorder(nn.Module):
    """A network that keeps its inputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        return self.network(x)


@pytest.fixture
def make_model() -> Callable[..., VAE]:
    def make(shape, latent, head=None, encoder=None, decoder=None):
        torch.manual_seed(0)
        head = head or (Bernoulli() if shape[0] == 1 else Gaussian())
        network, posterior = FullyConnected(hidden=(16,)), DiagonalGaussian()
        encoder = encoder or network.encoder(shape, posterior.parameter_shape((latent,)))
        decoder = decoder or network.decoder((latent,), head.parameter_shape(shape))
        return VAE(
            StandardNormal(latent),
            Conditional(encoder, posterior, shape),
            Conditional(Recorder(decoder), head, (latent,)),
        )

    return make


@pytest.fixture
def mirror(make_model) -> Callable[..., VAE]:
    """A model whose reconstruction is sigmoid(8 x - 4), so that it tells which image was encoded."""

    def make(shape):
        size = prod(shape)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, 2 * size))
        with torch.no_grad():  # mu = 8 x - 4, sigma = 0
            encoder[1].weight.copy_(torch.cat([8 * torch.eye(size), torch.zeros(size, size)]))
            encoder[1].bias.copy_(torch.cat([torch.full((size,), -4.0), torch.full((size,), -50.0)]))
        return make_model(shape, size, encoder=encoder, decoder=nn.Unflatten(1, shape))

    return make


@pytest.fixture
def make_data() -> Callable[..., Dataset]:
    def make(shape, count=60, protocol="grey", labels=True):
        random = np.random.default_rng(1)
        images = random.integers(0, 256, (count, *shape), np.uint8)
        return Dataset("noise", "test", images, random.integers(0, 4, count) if labels else None, protocol)

    return make


@pytest.fixture
def fixed() -> type[Fixed]:
    return Fixed
