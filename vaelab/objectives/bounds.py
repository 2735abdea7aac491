"""Lower bounds of log p(x) and their terms. Each is a function of a Draw and gives nats per image, [B]."""

from torch import Tensor

from vaelab.distributions import kl_per_dimension, log_mean_exp
from vaelab.models import Draw


def rate(draw: Draw) -> Tensor:
    """Return KL(q(z|x) || p(z)), [B]: in closed form if one is known, otherwise the mean of log q(z|x) - log p(z)."""
    return draw.kl if draw.kl is not None else sampled_rate(draw)


def sampled_rate(draw: Draw) -> Tensor:
    """Return the mean of log q(z|x) - log p(z) over the samples, [B] (Kingma & Welling 2014, equation 6)."""
    return (draw.log_post - draw.log_prior).mean(0)


def rates(draw: Draw) -> Tensor:
    """Return the known parts of the rate, [parts, B]: by group, by latent dimension, or the whole rate as one part."""
    if draw.kl_groups is not None:
        return draw.kl_groups
    per_dimension = kl_per_dimension(draw.posterior, draw.prior)
    return rate(draw).unsqueeze(0) if per_dimension is None else per_dimension.movedim(-1, 0)


def distortion(draw: Draw) -> Tensor:
    """Return -E_q[log p(x|z)], [B], averaged over the samples."""
    return -draw.log_lik.mean(0)


def elbo(draw: Draw) -> Tensor:
    """Return L(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z)), [B] (Kingma & Welling 2014, equations 3 and 7)."""
    return -distortion(draw) - rate(draw)


def log_weights(draw: Draw) -> Tensor:
    """Return log w_s = log p(x|z_s) + log p(z_s) - log q(z_s|x), [S, B]."""
    return draw.log_lik + draw.log_prior - draw.log_post


def iwae(draw: Draw) -> Tensor:
    """Return L_S(x) = log 1/S sum_s w_s, [B] (Burda, Grosse & Salakhutdinov 2016, equation 8)."""
    return log_mean_exp(log_weights(draw), dim=0)


def miwae(draw: Draw, bounds: int) -> Tensor:
    """Return the mean of L_K over M = `bounds` groups of K = S / M samples, [B] (Rainforth et al. 2018, section 5)."""
    return log_mean_exp(log_weights(draw).unflatten(0, (bounds, -1)), dim=1).mean(0)


def path_log_post(draw: Draw) -> Tensor:
    """Return log q(z|x), [S, B], with the gradient through z only: without the score, whose mean is 0.

    This is "sticking the landing" (Roeder, Wu & Duvenaud 2017, section 3). The value equals `draw.log_post`. In a
    hierarchical model the score is with respect to all parameters of q, including those of the shared top-down path.
    """
    score = draw.posterior.log_prob(draw.z.detach())
    return draw.log_post - (score - score.detach())
