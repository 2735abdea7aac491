"""The variational autoencoder (Kingma & Welling 2014).

The letters are the article's: encoder q_theta(z|x), decoder p_phi(x|z). Kingma & Welling use the opposite ones. Two
slips of the article are not repeated here: the quadratic term of its KL takes the inverse of the covariance, and the
reparameterised sample is z = mu + sigma * eps elementwise, not with the square root of a trace.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import kl_divergence
from vaelab.models.conditional import Conditional
from vaelab.models.draw import Draw


def flat(
    latent: int,
    image_shape: tuple[int, int, int],
    network: Any,
    posterior: Any,
    likelihood: Any,
    prior: Callable[[nn.Module, int], nn.Module],
) -> "VAE":
    """One latent vector for each image.

    Arguments:
        latent: D.
        image_shape: (C, H, W).
        network: a recipe of `vaelab.networks`.
        posterior: a head of `vaelab.posteriors`.
        likelihood: a head of `vaelab.likelihoods`.
        prior: makes a prior of `vaelab.priors`, given the encoder and D.
    """
    encoder = network.encoder(image_shape, posterior.parameter_shape((latent,)))
    decoder = network.decoder((latent,), likelihood.parameter_shape(image_shape))
    q = Conditional(encoder, posterior, image_shape)
    return VAE(prior(q, latent), q, Conditional(decoder, likelihood, (latent,)))


class VAE(nn.Module):
    """p(z), q(z|x) and p(x|z), composed.

    Arguments:
        prior: () -> p(z), over [D].
        posterior: x [B, C, H, W] -> q(z|x), over [D].
        likelihood: z [S, B, D] -> p(x|z), over [C, H, W].
    """

    def __init__(self, prior: nn.Module, posterior: Conditional, likelihood: Conditional) -> None:
        super().__init__()
        self.prior = prior
        self.posterior = posterior
        self.likelihood = likelihood

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self.posterior.context_shape

    @property
    def latent(self) -> int:
        """D, the number of latent dimensions."""
        return self.likelihood.context_shape[0]

    @property
    def support(self) -> str:
        """Where z lies: "real", all of R^D, or "sphere", the unit vectors of it."""
        return getattr(self.posterior.head, "support", "real")

    def forward(self, x: Tensor, samples: int = 1) -> Draw:
        """Draw `samples` = S times from q(z|x) for each image of x [B, C, H, W], values in [0, 1]."""
        return self.draw(x, self.posterior(x), samples)

    def draw(self, x: Tensor, q: Distribution, samples: int = 1) -> Draw:
        """`forward` with the posterior q = q(z|x) at hand, so that many samples need one pass of the encoder."""
        prior = self.prior()
        z = q.rsample(torch.Size([samples]))  # of a diagonal normal z = mu + sigma * eps, eps ~ N(0, I)
        p = self.likelihood(z)
        return Draw(
            z=z,
            log_lik=p.log_prob(x),
            log_prior=prior.log_prob(z),
            log_post=q.log_prob(z),
            kl=kl_divergence(q, prior),
            prior=prior,
            posterior=q,
            likelihood=p,
        )

    def sample(self, n: int) -> Distribution:
        """p(x|z) for n draws z ~ p(z), batch [n]: `.mean` are the smooth images, `.sample()` are images."""
        return self.likelihood(self.prior().sample(torch.Size([n])))

    def reconstruct(self, x: Tensor, samples: int = 1) -> Tensor:
        """E_{q(z|x)} of the decoder's mean, estimated from `samples` draws, for x [B, C, H, W]; the same shape."""
        return self.likelihood(self.posterior(x).rsample(torch.Size([samples]))).mean.mean(0)
