"""Signs that training has gone astray though every number is finite, and what to try: for the log and the report."""

from dataclasses import dataclass

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaelab.likelihoods import LOG_SIGMA_CEILING, LOG_SIGMA_FLOOR

DEAD_KL = 0.01  # nats: a latent dimension below this says nothing of the image
DEAD_RATE = 0.1  # nats in all: less than an eighth of a bit for the whole image
NEAR_LIMIT = 0.05  # of log sigma: a twentieth, which the soft limits leave only to an s that pushes hard against them


@dataclass(frozen=True)
class Finding:
    """Something amiss: its kind ("posterior-collapse", "sigma-collapse"), what was seen, and what to try."""

    kind: str
    says: str
    do: str


def findings(kl_per_dimension: Tensor | None, rate: float, log_sigma: float | None) -> list[Finding]:
    """What is amiss with a model; empty where nothing is.

    The posterior has collapsed (Bowman et al. 2016, section 3.1) where z carries next to nothing of the image: a rate
    below 0.1 nats, or no latent dimension with a KL of 0.01 nats; in part, where more than half of them have less.
    Sigma has collapsed where the scale of a Gaussian likelihood rests on a limit that its head sets for it.

    Arguments:
        kl_per_dimension: KL(q(z_d|x) || p(z_d)) [D], mean over images, in nats; None without a closed form.
        rate: KL(q(z|x) || p(z)), mean over images, in nats.
        log_sigma: mean log sigma of a likelihood that learns it, see `mean_log_sigma`; None for another, and for a
            fixed sigma, which lies where the user put it.
    """
    return _posterior_collapse(kl_per_dimension, rate) + ([] if log_sigma is None else _sigma_collapse(log_sigma))


def mean_log_sigma(likelihood: Distribution) -> float | None:
    """Mean of log sigma over the pixels and the batch of p(x|z); None where it is no diagonal normal."""
    if not (isinstance(likelihood, Independent) and isinstance(likelihood.base_dist, Normal)):
        return None
    return likelihood.base_dist.scale.double().log().mean().item()


def _posterior_collapse(kl_per_dimension: Tensor | None, rate: float) -> list[Finding]:
    latent = 0 if kl_per_dimension is None else len(kl_per_dimension)
    dead = 0 if kl_per_dimension is None else int((kl_per_dimension < DEAD_KL).sum())
    counted = f"{dead} of {latent} latent dimensions have a KL below {DEAD_KL} nats" if latent else ""
    if rate < DEAD_RATE or (latent and dead == latent):
        return [
            Finding(
                "posterior-collapse",
                f"the rate is {rate:.3g} nats: the decoder ignores z" + (f" ({counted})" if counted else ""),
                "train for longer, use --objective iwae:samples=5, or a likelihood with a smaller sigma; "
                "a wide sigma explains the images as noise",
            )
        ]
    if dead > latent / 2:
        return [
            Finding(
                "posterior-collapse",
                f"{counted}: the posterior has collapsed in part",
                f"use fewer latent dimensions (--latent {latent - dead} would hold what is used), "
                "--objective iwae:samples=5, or train for longer",
            )
        ]
    return []


def _sigma_collapse(log_sigma: float) -> list[Finding]:
    if abs(log_sigma - LOG_SIGMA_FLOOR) < NEAR_LIMIT:
        return [
            Finding(
                "sigma-collapse",
                f"mean log sigma is {log_sigma:.2f}, at its floor of {LOG_SIGMA_FLOOR:g}: the likelihood grows without "
                "bound as sigma shrinks, and only the floor holds it",
                "use --protocol 8bit, on which a density is bounded (grey levels are points), "
                "or fix it, as --likelihood gaussian:sigma=0.1",
            )
        ]
    if abs(log_sigma - LOG_SIGMA_CEILING) < NEAR_LIMIT:
        return [
            Finding(
                "sigma-collapse",
                f"mean log sigma is {log_sigma:.2f}, at its ceiling of {LOG_SIGMA_CEILING:g}: the images are explained "
                "as noise",
                "lower --learning-rate, or fix it, as --likelihood gaussian:sigma=0.1",
            )
        ]
    return []
