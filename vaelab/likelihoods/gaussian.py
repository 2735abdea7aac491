"""The Gaussian likelihood, and the optimal sigma."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vaelab.distributions import diagonal_normal
from vaelab.likelihoods.scale import LOG_SIGMA_CEILING, LOG_SIGMA_FLOOR, OF_DENSITIES, START, Scale

if TYPE_CHECKING:
    from vaelab.models import VAE


class Gaussian(nn.Module):
    """p(x|z) = N(mu, diag(sigma^2)).

    The mean is mu = sigmoid(m), which keeps it in (0, 1), the range of pixels. If it is `free` it is mu = 1/2 + m/4,
    with the same slope at 1/2. m is an output of the decoder.

    A learned log sigma is s between soft limits, floor -6 and ceiling 2, which leave a gradient everywhere (after
    Rybkin, Daniilidis & Levine 2021, section 4). s is one number (`shared`), or an output of the decoder for each pixel
    (`pixel`). The optimal sigma^2 is the mean squared residual (same article; `optimal`). In training mode, log p(x|z)
    computes it from the images that it is evaluated for, over all of their pixels and samples. At this sigma the
    derivative with respect to sigma is 0, so the gradient with respect to mu is that of the maximum over sigma (the
    envelope theorem). This is the optimum for the ELBO, and is also used for other bounds. In evaluation mode sigma is
    a fixed number. It is calibrated on training images and saved with the weights, so no image influences its own
    sigma.

    Arguments:
        sigma: a positive number (fixed), `shared` (one, learned), `pixel` (one for each pixel, learned, given z) or
            `optimal` (one, optimal for the training images).
        mean: `sigmoid` or `free`.

    Raises:
        SpecError: a fixed sigma is not positive and finite.
    """

    protocols: ClassVar[tuple[str, ...]] = ("8bit", "grey")
    admitted: ClassVar[tuple[str, ...]] = ()

    log_sigma: Tensor  # the calibrated one

    def __init__(
        self,
        *,
        sigma: float | Literal["shared", "pixel", "optimal"] = "shared",
        mean: Literal["sigmoid", "free"] = "sigmoid",
    ) -> None:
        super().__init__()
        self.sigma, self.mean = sigma, mean
        if sigma == "optimal":
            self.scale = None
            self.register_buffer("log_sigma", torch.tensor(math.log(START)))
        else:
            self.scale = Scale("sigma", sigma, OF_DENSITIES, START)
            self.s = self.scale.parameter()

    @property
    def calibrates_scale(self) -> bool:
        return self.scale is None

    def extra_repr(self) -> str:
        return f"sigma={self.sigma}, mean={self.mean}"

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.scale.parameter_shape(event_shape) if self.scale else event_shape

    def parameters_for_mean(self, mean: Tensor) -> Tensor:
        m = mean.logit() if self.mean == "sigmoid" else 4 * (mean - 0.5)
        return self.scale.parameters_for_mean(m) if self.scale else m

    def forward(self, parameters: Tensor) -> Distribution:
        m, log_sigma = self.scale.split(parameters, self.s) if self.scale else (parameters, self.log_sigma)
        mu = m.sigmoid() if self.mean == "sigmoid" else 0.5 + m / 4
        p = diagonal_normal(mu, log_sigma, event_dims=3)
        return _Profile(p.base_dist, 3, validate_args=False) if self.training and not self.scale else p

    @torch.no_grad()
    def calibrate(self, batches: Iterable[tuple["VAE", Tensor]]) -> None:
        """Set sigma to the optimum for some images, with one z ~ q(z|x) each; do nothing unless sigma is `optimal`.

        Arguments:
            batches: the model with this likelihood, and x [B, C, H, W] as the protocol reads them.
        """
        if self.scale:
            return
        total, count = torch.zeros((), dtype=torch.float64, device=self.log_sigma.device), 0
        for model, x in batches:
            total += (x - model(x).likelihood.mean).double().square().sum()
            count += x.numel()
        self.log_sigma.copy_(_best_log_sigma(total / count))


class _Profile(Independent):
    """N(mu, sigma^2 I) with log-densities at the sigma that maximises the likelihood of all values together."""

    def log_prob(self, value: Tensor) -> Tensor:
        mu = self.base_dist.mean
        log_sigma = _best_log_sigma((value - mu).detach().square().mean())
        return diagonal_normal(mu, log_sigma, event_dims=3).log_prob(value)


def _best_log_sigma(squared_residual: Tensor) -> Tensor:
    """Return the log sigma that maximises the likelihood, from the mean squared residual, within the limits of sigma.

    The limits of a learned sigma are soft, so that there is a gradient. Here there is none, and soft limits would miss
    the maximum.
    """
    return (squared_residual.log() / 2).clamp(LOG_SIGMA_FLOOR, LOG_SIGMA_CEILING)
