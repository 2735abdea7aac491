"""Lower bounds of log p(x) and their terms, each a function of a Draw, in nats for each image [B]."""

from torch import Tensor

from vaelab.distributions import kl_per_dimension, log_mean_exp
from vaelab.models import Draw


def rate(draw: Draw) -> Tensor:
    """KL(q(z|x) || p(z)), [B]: exact where it has a closed form, otherwise the mean of log q(z|x) - log p(z)."""
    return draw.kl if draw.kl is not None else sampled_rate(draw)


def sampled_rate(draw: Draw) -> Tensor:
    """The mean of log q(z|x) - log p(z) over the samples, [B] (Kingma & Welling 2014, equation 6)."""
    return (draw.log_post - draw.log_prior).mean(0)


def rates(draw: Draw) -> Tensor:
    """The rate in as many parts as are known, [parts, B]: of each latent dimension, of each group, or of all as one."""
    if draw.kl_groups is not None:
        return draw.kl_groups
    per_dimension = kl_per_dimension(draw.posterior, draw.prior)
    return rate(draw).unsqueeze(0) if per_dimension is None else per_dimension.movedim(-1, 0)


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


def miwae(draw: Draw, bounds: int) -> Tensor:
    """The mean of L_K over M = `bounds` groups of K = S / M samples each, [B] (Rainforth et al. 2018, section 5)."""
    return log_mean_exp(log_weights(draw).unflatten(0, (bounds, -1)), dim=1).mean(0)


def path_log_post(draw: Draw) -> Tensor:
    """log q(z|x), [S, B], with a gradient that goes through z alone: without the score, which is 0 on average.

    "Sticking the landing" (Roeder, Wu & Duvenaud 2017, section 3). The value is that of `draw.log_post`. In a ladder
    the score is that of all parameters that q depends on, the shared way down among them.
    """
    score = draw.posterior.log_prob(draw.z.detach())
    return draw.log_post - (score - score.detach())
