"""The variational autoencoder (Kingma & Welling 2014).

The letters are the article's: encoder q_theta(z|x), decoder p_phi(x|z). Kingma & Welling use the opposite ones. Two
slips of the article are not repeated here: the quadratic term of its KL takes the inverse of the covariance, and the
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


def flat(
    latent: int,
    image_shape: tuple[int, int, int],
    network: Any,
    posterior: Any,
    likelihood: Any,
    prior: Callable[[nn.Module, int], nn.Module],
    labels: Labels | None,
) -> "VAE":
    """One latent vector for each image.

    Where encoder and decoder are told labels (Sohn, Lee & Yan 2015; Kingma et al. 2014, equation 2), the image is
    joined by one more channel, a learned image of each label, and z by the label's one-hot code: any network takes
    both, and pays for one channel however many labels there are.

    Arguments:
        latent: D; of a posterior with a `layout`, numbers of one vector of many.
        image_shape: (C, H, W).
        network: a recipe of `vaelab.networks`.
        posterior: a head of `vaelab.posteriors`.
        likelihood: a head of `vaelab.likelihoods`.
        prior: makes a prior of `vaelab.priors`, given the encoder and D.
        labels: that encoder and decoder are told; None for none.
    """
    channels, height, width = image_shape
    levels, *shape = getattr(posterior, "layout", (1, latent))
    seen, planes, codes = image_shape, None, None
    if labels is not None:
        seen, shape = (channels + 1, height, width), [latent + len(labels)]
        planes = nn.Sequential(nn.Linear(len(labels), height * width, bias=False), nn.Unflatten(1, (1, height, width)))
        codes = nn.Identity()
    encoder = network.encoder(seen, posterior.parameter_shape((latent,)))
    decoder = network.decoder(tuple(shape), likelihood.parameter_shape(image_shape))
    size = latent
    if hasattr(posterior, "layout"):
        decoder, size = nn.Sequential(Summed(levels, *shape), decoder), levels * prod(shape)
    q = Conditional(encoder, posterior, image_shape, planes)
    return VAE(prior(q, latent), q, Conditional(decoder, likelihood, (size,), codes), labels)


class Summed(nn.Module):
    """z [N, D] laid out as levels of some shape -> their sum, [N, *shape]."""

    def __init__(self, levels: int, *shape: int) -> None:
        super().__init__()
        self.layout = (levels, *shape)

    def forward(self, z: Tensor) -> Tensor:
        return z.reshape(-1, *self.layout).sum(1)


class VAE(nn.Module):
    """p(z), q(z|x) and p(x|z), composed.

    With `labels` it is p(z), q(z|x, y) and p(x|z, y), of which `given(y)` makes a model like any other: whoever asks
    for densities, draws or reconstructions asks that one. Its bounds are of log p(x|y).

    Arguments:
        prior: () -> p(z), over [D].
        posterior: x [B, C, H, W] -> q(z|x), over [D].
        likelihood: z [S, B, D] -> p(x|z), over [C, H, W].
        labels: that posterior and likelihood are told; None for none.

    Raises:
        SpecError: one of them is not such a part.
    """

    hierarchical: ClassVar[bool] = False  # whether z comes in groups, each conditioned on those above it
    protocol: str | None = None  # by which the pixels were read that it was trained on; None before that

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
    def support(self) -> str:
        """Where z lies: "real", all of R^D; "sphere", the unit vectors of it; or "codes", vectors out of codebooks."""
        return getattr(getattr(self.posterior, "head", None), "support", "real")

    def given(self, labels: Any) -> "VAE":
        """This model, told the labels of its batch; itself where it is told none.

        Arguments:
            labels: whole numbers or names of classes [B], or a single one for a batch of any size.

        Raises:
            SpecError: no labels, or one that no training image had.
        """
        return self.conditioned(self.condition(labels))

    def condition(self, labels: Any) -> Tensor | None:
        """The one-hot codes of labels [...], bool [..., K], where this model is told any. Raises SpecError: `given`."""
        return None if self.labels is None else self.labels.one_hot(self.labels.known(labels))

    def conditioned(self, condition: Tensor | None) -> "VAE":
        """`given` the labels of this code [..., K]; None for a model that is told none."""
        if condition is None:
            return self
        conditioned = VAE(self.prior, self.posterior.given(condition), self.likelihood.given(condition))
        conditioned.protocol = self.protocol
        return conditioned

    def conditioned_on_any(self) -> "VAE":
        """Told some label, for those who ask for shapes and not for numbers; itself where it is told none."""
        return self if self.labels is None else self.conditioned(self.labels.one_hot(self.labels.classes[0]))

    def draw_condition(self, n: int) -> Tensor | None:
        """The codes of n labels, as frequent as among the training images; None where this model is told none."""
        return None if self.labels is None else self.labels.draw(n)

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
        """p(x|z) for n draws z ~ p(z), batch [n]: `.mean` are the smooth images, `.sample()` are images.

        A model that is told labels draws them too, unless it was `given` n of them: its images are those of
        p(x) = sum_y p(y) p(x|y).
        """
        conditioned = self.conditioned(self.draw_condition(n))
        return conditioned.likelihood(conditioned.prior().sample(torch.Size([n])))

    def reconstruct(self, x: Tensor, samples: int = 1) -> Tensor:
        """E_{q(z|x)} of the decoder's mean, estimated from `samples` draws, for x [B, C, H, W]; the same shape."""
        return self.likelihood(self.posterior(x).rsample(torch.Size([samples]))).mean.mean(0)
