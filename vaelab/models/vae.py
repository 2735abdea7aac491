"""The variational autoencoder (Kingma & Welling 2014).

The letters are the article's: encoder q_theta(z|x), decoder p_phi(x|z). Kingma & Welling use the opposite letters. Two
errors of the article are corrected here: the quadratic term of its KL uses the inverse of the covariance, and the
reparameterised sample is z = mu + sigma * eps elementwise, not with the square root of a trace.
"""

from collections.abc import Callable
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import kl_divergence
from vaelab.models.conditional import Conditional
from vaelab.models.contract import check_model
from vaelab.models.draw import Draw
from vaelab.models.labels import Labels
from vaelab.parts.capabilities import HasLatentGrid, declared, has, head_of


def flat(
    latent: int,
    image_shape: tuple[int, int, int],
    network: Any,
    posterior: Any,
    likelihood: Any,
    prior: Callable[[nn.Module, int], nn.Module],
    labels: Labels | None,
) -> "VAE":
    """Build a model with one latent vector for each image.

    If encoder and decoder are conditioned on labels (Sohn, Lee & Yan 2015; Kingma et al. 2014, equation 2), the image
    gets one more channel, a learned image for each label, and z is concatenated with the one-hot label. This works with
    any network, and costs one channel for any number of labels.

    Arguments:
        latent: D; for a posterior with a `latent_grid`, the length of each of its vectors.
        image_shape: (C, H, W).
        network: a recipe of `vaelab.networks`.
        posterior: a head of `vaelab.posteriors`.
        likelihood: a head of `vaelab.likelihoods`.
        prior: makes a prior of `vaelab.priors`, given the encoder and D.
        labels: labels that encoder and decoder are conditioned on; None: no labels.
    """
    channels, height, width = image_shape
    head: object = posterior
    grid = head.latent_grid if has(head, HasLatentGrid) else None
    levels, *shape = grid or (1, latent)
    seen, planes, codes = image_shape, None, None
    if labels is not None:
        seen, shape = (channels + 1, height, width), [latent + len(labels)]
        planes = nn.Sequential(nn.Linear(len(labels), height * width, bias=False), nn.Unflatten(1, (1, height, width)))
        codes = nn.Identity()
    encoder = network.encoder(seen, posterior.parameter_shape((latent,)))
    decoder = network.decoder(tuple(shape), likelihood.parameter_shape(image_shape))
    size = latent
    if grid is not None:
        decoder, size = nn.Sequential(Summed(levels, *shape), decoder), levels * prod(shape)
    q = Conditional(encoder, posterior, image_shape, planes)
    return VAE(prior(q, latent), q, Conditional(decoder, likelihood, (size,), codes), labels)


class Summed(nn.Module):
    """z [N, D], unflattened to levels of a given shape -> their sum, [N, *shape]."""

    def __init__(self, levels: int, *shape: int) -> None:
        super().__init__()
        self.layout = (levels, *shape)

    def forward(self, z: Tensor) -> Tensor:
        return z.reshape(-1, *self.layout).sum(1)


class VAE(nn.Module):
    """p(z), q(z|x) and p(x|z), composed.

    With `labels` it is p(z), q(z|x, y) and p(x|z, y). `given(y)` makes an ordinary model of it, which has the
    densities, draws and reconstructions given y. Its bounds are of log p(x|y).

    Arguments:
        prior: () -> p(z), over [D].
        posterior: x [B, C, H, W] -> q(z|x), over [D].
        likelihood: z [S, B, D] -> p(x|z), over [C, H, W].
        labels: labels that posterior and likelihood are conditioned on; None: no labels.

    Raises:
        SpecError: one of these is not such a part.
    """

    hierarchical: ClassVar[bool] = False  # whether z comes in groups, each conditioned on those above it
    protocol: str | None = None  # pixel protocol of the training images; None before training

    def __init__(
        self, prior: nn.Module, posterior: Conditional, likelihood: Conditional, labels: Labels | None = None
    ) -> None:
        super().__init__()
        check_model(prior, posterior, likelihood)
        if isinstance(likelihood, Conditional):
            likelihood.make_room(posterior.context_shape)
        self.prior = prior
        self.posterior = posterior
        self.likelihood = likelihood
        self.labels = labels

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self.posterior.context_shape

    @property
    def latent(self) -> int:
        """D, the number of latent dimensions."""
        return self.likelihood.context_shape[0]

    @property
    def groups(self) -> tuple[int, ...]:
        """The number of dimensions of each group of z, from the top; (D,) if z is one group."""
        return (self.latent,)

    @property
    def support(self) -> str:
        """The space of z: "real", all of R^D; "sphere", its unit vectors; or "codes", vectors from codebooks."""
        return declared(head_of(self.posterior), "support")

    def given(self, labels: Any) -> "VAE":
        """Return this model, conditioned on the labels of a batch; return itself if it has no labels.

        Arguments:
            labels: whole numbers or names of classes [B], or a single one for a batch of any size.

        Raises:
            SpecError: there are no labels, or one that no training image had.
        """
        return self.conditioned(self.condition(labels))

    def condition(self, labels: Any) -> Tensor | None:
        """Return one-hot labels, bool [..., K], or None without labels. Raises SpecError as `given` does."""
        return None if self.labels is None else self.labels.one_hot(self.labels.known(labels))

    def conditioned(self, condition: Tensor | None) -> "VAE":
        """Return the model `given` these one-hot labels [..., K]; None for a model without labels."""
        if condition is None:
            return self
        conditioned = VAE(self.prior, self.posterior.given(condition), self.likelihood.given(condition))
        conditioned.protocol = self.protocol
        return conditioned

    def conditioned_on_any(self) -> "VAE":
        """Return the model conditioned on some label, for computing shapes; return itself if it has no labels."""
        return self if self.labels is None else self.conditioned(self.labels.one_hot(self.labels.classes[0]))

    def draw_condition(self, n: int) -> Tensor | None:
        """Draw n one-hot labels with the frequencies of the training images; None if the model has no labels."""
        return None if self.labels is None else self.labels.draw(n)

    def forward(self, x: Tensor, samples: int = 1) -> Draw:
        """Draw S = `samples` times from q(z|x) for each image of x [B, C, H, W], with values in [0, 1]."""
        return self.draw(x, self.posterior(x), samples)

    def draw(self, x: Tensor, q: Distribution, samples: int = 1) -> Draw:
        """Do the same as `forward` with a given posterior q = q(z|x), so that many samples need one encoder pass."""
        prior = self.prior()
        z = q.rsample(torch.Size([samples]))  # for a diagonal normal z = mu + sigma * eps, eps ~ N(0, I)
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
        """Return p(x|z) for n draws z ~ p(z), batch [n]: `.mean` are smooth images, `.sample()` are sampled images.

        A model with labels draws labels too, unless it was `given` n of them. Its images are then those of
        p(x) = sum_y p(y) p(x|y).
        """
        conditioned = self.conditioned(self.draw_condition(n))
        return conditioned.likelihood(conditioned.prior().sample(torch.Size([n])))

    def reconstruct(self, x: Tensor, samples: int = 1) -> Tensor:
        """Return E_{q(z|x)} of the decoder's mean, estimated from `samples` draws, for x [B, C, H, W]; same shape."""
        return self.likelihood(self.posterior(x).rsample(torch.Size([samples]))).mean.mean(0)
