"""Lower bounds of log p(x), each a function of a Draw, in nats for each image [B]; and the objectives they make.

An objective returns the Draw beside the loss so that rate, distortion and ELBO are reported from the very samples that
were optimised, whatever was optimised, without a second pass through the model.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vaelab.distributions import log_mean_exp
from vaelab.errors import SpecError
from vaelab.models import VAE, Draw

Objective = Callable[[VAE, Tensor, Tensor], tuple[Tensor, Draw]]  # (model, x, step) -> loss [B], what it was made of


def rate(draw: Draw) -> Tensor:
    """KL(q(z|x) || p(z)), [B]: exact where it has a closed form, otherwise the mean of log q(z|x) - log p(z)."""
    return draw.kl if draw.kl is not None else (draw.log_post - draw.log_prior).mean(0)


def distortion(draw: Draw) -> Tensor:
    """-E_q[log p(x|z)], [B], the mean over the samples."""
    return -draw.log_lik.mean(0)


def elbo(draw: Draw) -> Tensor:
    """L(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z)), [B] (Kingma & Welling 2014, equations 3 and 7)."""
    return -distortion(draw) - rate(draw)


def log_weights(draw: Draw) -> Tensor:
    """log w_s = log p(x|z_s) + log p(z_s) - log q(z_s|x), [S, B]."""
    return draw.log_lik + draw.log_prior - draw.log_post


def iwae(draw: Draw) -> Tensor:
    """L_S(x) = log 1/S sum_s w_s, [B] (Burda, Grosse & Salakhutdinov 2016, equation 8)."""
    return log_mean_exp(log_weights(draw), dim=0)


@dataclass(frozen=True, kw_only=True)
class Elbo:
    """Maximise the ELBO.

    Arguments:
        samples: S, draws of z for each image.
    """

    samples: int = 1

    def __post_init__(self) -> None:
        _check_samples(self.samples)

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, self.samples)
        return -elbo(draw), draw


@dataclass(frozen=True, kw_only=True)
class Iwae:
    """Maximise the importance-weighted bound.

    Arguments:
        samples: S, draws of z for each image; S = 1 is the ELBO with a Monte Carlo KL.
    """

    samples: int = 5

    def __post_init__(self) -> None:
        _check_samples(self.samples)

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, self.samples)
        return -iwae(draw), draw


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise SpecError(found=f"samples = {samples}", expected="at least 1 draw of z", do="use samples=1 or more")
