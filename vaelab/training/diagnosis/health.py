"""Signs that training has gone astray though every number is finite, and what to try: for the log and the report."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaelab.likelihoods import LOG_SIGMA_CEILING, LOG_SIGMA_FLOOR

DEAD_KL = 0.01  # nats: a latent dimension below this says nothing of the image
DEAD_RATE = 0.1  # nats in all: less than an eighth of a bit for the whole image
DEAD_INFORMATION = 0.1  # nats, the same of the mutual information
OFF_PRIOR = 0.5  # of what the mutual information can be: below this, more than half of the rate tells no images apart
STUCK = 0.2  # share of a layer's units
NEAR_LIMIT = 0.05  # of log sigma: a twentieth, which the soft limits leave only to an s that pushes hard against them


@dataclass(frozen=True)
class Finding:
    """Something amiss: its kind (such as "posterior-collapse"), what was seen, and what to try."""

    kind: str
    says: str
    do: str


@dataclass(frozen=True)
class Seen:
    """What was seen of a model.

    Arguments:
        rate: KL(q(z|x) || p(z)), mean over images, in nats.
        kl_per_dimension: KL(q(z_d|x) || p(z_d)) [D], mean over images, in nats; None without a closed form.
        information: I_q(x; z) of some images, in nats, see `vaelab.evaluation.latents`; None if it was not measured.
        most: log N of these images, which their mutual information cannot exceed.
        log_sigma: mean log sigma of a likelihood that learns it, see `mean_log_sigma`; None for another, and for a
            fixed sigma, which is where the user put it.
        stuck: of each layer of activations, the share of its units that pass no gradient on.
        help: what to try when z is ignored, in the words of the command, as it fits this run.
    """

    rate: float
    kl_per_dimension: Tensor | None = None
    information: float | None = None
    most: float = math.inf
    log_sigma: float | None = None
    stuck: Mapping[str, float] = field(default_factory=dict)
    help: str = "train for longer"


def findings(seen: Seen) -> list[Finding]:
    """What is amiss with a model; empty where nothing is.

    - The posterior has collapsed (Bowman et al. 2016, section 3.1) where z carries next to nothing of the image: a rate
      below 0.1 nats, or no latent dimension with a KL of 0.01 nats; in part, where more than half of them have less.
    - The encoder is constant where z has a rate but tells no images apart: a mutual information below 0.1 nats.
    - q(z) lies off the prior where the mutual information is less than half of the rate, or of log N if that is less:
      rate - I_q(x; z) = KL(q(z) || p(z)) (Hoffman & Johnson 2016, section 2).
    - Units are stuck where more than a fifth of a layer's are dead or saturated for all images.
    - Sigma has collapsed where the scale of a Gaussian likelihood rests on a limit that its head sets for it.
    """
    collapsed = _posterior_collapse(seen)
    found = collapsed or _information(seen)
    return [*found, *_stuck(seen.stuck), *([] if seen.log_sigma is None else _sigma_collapse(seen.log_sigma))]


def mean_log_sigma(likelihood: Distribution) -> float | None:
    """Mean of log sigma over the pixels and the batch of p(x|z); None where it is no diagonal normal."""
    if not (isinstance(likelihood, Independent) and isinstance(likelihood.base_dist, Normal)):
        return None
    return likelihood.base_dist.scale.double().log().mean().item()


def _posterior_collapse(seen: Seen) -> list[Finding]:
    latent = 0 if seen.kl_per_dimension is None else len(seen.kl_per_dimension)
    dead = 0 if seen.kl_per_dimension is None else int((seen.kl_per_dimension < DEAD_KL).sum())
    counted = f"{dead} of {latent} latent dimensions have a KL below {DEAD_KL} nats" if dead else ""
    if seen.rate < DEAD_RATE or (latent and dead == latent):
        says = f"the rate is {seen.rate:.3g} nats: the decoder ignores z" + (f" ({counted})" if counted else "")
        return [Finding("posterior-collapse", says, seen.help)]
    if dead > latent / 2:
        says = f"{counted}: the posterior has collapsed in part"
        fewer = f"use fewer latent dimensions (--latent {latent - dead} would hold what is used)"
        return [Finding("posterior-collapse", says, f"{fewer}, or {seen.help}")]
    return []


def _information(seen: Seen) -> list[Finding]:
    if seen.information is None:
        return []
    beside = (
        f"the mutual information of image and z is {max(seen.information, 0):.2g} nats beside a rate of {seen.rate:.3g}"
    )
    if seen.information < DEAD_INFORMATION:
        return [
            Finding(
                "constant-encoder", f"z is the same for all images: {beside}", f"lower --learning-rate, or {seen.help}"
            )
        ]
    if seen.information < OFF_PRIOR * min(seen.rate, seen.most):
        says = f"the posteriors of all images together lie off the prior: {beside}"
        return [Finding("off-prior", f"{says}; samples of the prior will not look like the data", seen.help)]
    return []


def _stuck(stuck: Mapping[str, float]) -> list[Finding]:
    worst = max(stuck, key=lambda name: stuck[name], default="")
    if not worst or stuck[worst] <= STUCK:
        return []
    says = f"{stuck[worst]:.0%} of the units of {worst} are dead or saturated for all images"
    others = sum(share > STUCK for share in stuck.values()) - 1
    more = f", and more than {STUCK:.0%} in {others} other layer{'s' if others > 1 else ''}" if others else ""
    return [Finding("stuck-units", says + more, "use activation=elu, or lower --learning-rate")]


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
