"""Signs of failed training although every number is finite, with advice: for the log and the report."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaelab.likelihoods import LOG_SIGMA_CEILING, LOG_SIGMA_FLOOR

DEAD_KL = 0.01  # nats: a latent dimension with less has no information on the image
DEAD_RATE = 0.1  # nats in total: 0.14 bits for the whole image
DEAD_INFORMATION = 0.1  # nats, the same for the mutual information
OFF_PRIOR = 0.5  # relative to its maximum; with less mutual information, KL(q(z) || p(z)) is over half of the rate
STUCK = 0.2  # proportion of a layer's units
NEAR_LIMIT = 0.05  # of log sigma: the soft limits allow so little only if the network's output is far beyond them


@dataclass(frozen=True)
class Finding:
    """A problem: its kind (such as "posterior-collapse"), what was found, and what to try."""

    kind: str
    says: str
    do: str


@dataclass(frozen=True)
class Seen:
    """Measurements of a model.

    Arguments:
        rate: KL(q(z|x) || p(z)), averaged over images, in nats.
        kl_per_dimension: KL(q(z_d|x) || p(z_d)) [D], averaged over images, in nats; None without a closed form.
        information: I_q(x; z) of some images, in nats, see `vaelab.evaluation.latents`; None if it was not measured.
        most: log N of these images, the maximum of their mutual information.
        log_sigma: mean log sigma of a likelihood that learns sigma, see `mean_log_sigma`; None for other likelihoods
            and for a fixed sigma.
        stuck: for each activation layer, the proportion of its units that pass no gradient.
        help: what to try if z is ignored, as options of the command that fit this run.
    """

    rate: float
    kl_per_dimension: Tensor | None = None
    information: float | None = None
    most: float = math.inf
    log_sigma: float | None = None
    stuck: Mapping[str, float] = field(default_factory=dict)
    help: str = "train for longer"


def findings(seen: Seen) -> list[Finding]:
    """Return the problems of a model; an empty list if there are none.

    - posterior-collapse (Bowman et al. 2016, section 3.1): z has almost no information on the image. The rate is below
      0.1 nats, or no latent dimension has a KL of 0.01 nats. It is partial if more than half of them have less.
    - constant-encoder: z has a rate but does not distinguish images. The mutual information is below 0.1 nats.
    - off-prior: the mutual information is less than half of the rate, or of log N if that is smaller; then q(z) differs
      from the prior: rate - I_q(x; z) = KL(q(z) || p(z)) (Hoffman & Johnson 2016, section 2).
    - stuck-units: more than a fifth of a layer's units are dead or saturated for all images.
    - sigma-collapse: the scale of a Gaussian likelihood is at a limit that its head sets.
    """
    collapsed = _posterior_collapse(seen)
    found = collapsed or _information(seen)
    return [*found, *_stuck(seen.stuck), *([] if seen.log_sigma is None else _sigma_collapse(seen.log_sigma))]


def mean_log_sigma(likelihood: Distribution) -> float | None:
    """Return the mean of log sigma over pixels and batch of p(x|z), or None if it is not a diagonal normal."""
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
        says = f"{counted}: the posterior has partly collapsed"
        fewer = f"use fewer latent dimensions (--latent {latent - dead} is enough for those in use)"
        return [Finding("posterior-collapse", says, f"{fewer}, or {seen.help}")]
    return []


def _information(seen: Seen) -> list[Finding]:
    if seen.information is None:
        return []
    beside = (
        f"the mutual information of image and z is {max(seen.information, 0):.2g} nats, the rate is {seen.rate:.3g}"
    )
    if seen.information < DEAD_INFORMATION:
        return [
            Finding(
                "constant-encoder", f"z is the same for all images: {beside}", f"lower --learning-rate, or {seen.help}"
            )
        ]
    if seen.information < OFF_PRIOR * min(seen.rate, seen.most):
        says = f"the aggregate of the posteriors differs from the prior: {beside}"
        return [Finding("off-prior", f"{says}; samples from the prior will not look like the data", seen.help)]
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
                "bound as sigma shrinks, and only the floor limits it",
                "use --protocol 8bit, on which a density is bounded (grey levels are points), "
                "or use a fixed sigma, as --likelihood gaussian:sigma=0.1",
            )
        ]
    if abs(log_sigma - LOG_SIGMA_CEILING) < NEAR_LIMIT:
        return [
            Finding(
                "sigma-collapse",
                f"mean log sigma is {log_sigma:.2f}, at its ceiling of {LOG_SIGMA_CEILING:g}: the images are explained "
                "as noise",
                "lower --learning-rate, or use a fixed sigma, as --likelihood gaussian:sigma=0.1",
            )
        ]
    return []
